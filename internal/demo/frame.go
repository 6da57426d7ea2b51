package demo

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Escape sequences of the view: SGR attributes only; screen control is terminal.go's.
const (
	reset = "\x1b[0m"
	bold  = "\x1b[1m"
	dim   = "\x1b[2m"
	red   = "\x1b[31m"
	green = "\x1b[32m"
)

// screen is what a frame is drawn for.
type screen struct {
	width, height int
	colors        bool
}

func (s screen) paint(attribute, text string) string {
	if !s.colors {
		return text
	}
	return attribute + text + reset
}

// frame draws a snapshot as lines that fit the screen.
func (s screen) frame(snap *snapshot, admin, log string) []string {
	lines := []string{
		s.paint(bold, "sluice demo") + s.fit("  digits -> digits.predictions, "+clock(snap.elapsed)+", Ctrl-C ends", 13),
		s.paint(dim, s.fit("admin page: http://"+admin+"/  (metrics below /metrics)", 0)),
		"",
		s.row("rate", fmt.Sprintf("%s predictions/s", count(snap.predictedRate)),
			fmt.Sprintf("published %s/s, %s outstanding", count(snap.publishedRate), count(float64(snap.lost())))),
		s.row("batch", fmt.Sprintf("%.1f rows", snap.batch), "mean of the last 5 s"),
		s.row("lag", fmt.Sprintf("%.2f s", snap.lag.Seconds()), "age of the oldest uncommitted image"),
		s.row("latency", "p50 "+duration(snap.p50),
			fmt.Sprintf("p90 %s, p99 %s, publish to prediction", duration(snap.p90), duration(snap.p99))),
		s.row("accuracy", fmt.Sprintf("%.2f %%", 100*snap.accuracy()),
			fmt.Sprintf("%s of %s right", count(float64(snap.correct)), count(float64(snap.predicted)))),
		s.row("dead", count(float64(snap.deadLettered)), "dead letters"),
	}
	lines = append(lines, s.stageBars(snap, s.height-len(lines)-s.picturesHeight()-3)...)
	lines = append(lines, "")
	lines = append(lines, s.pictures(snap)...)
	if log != "" && len(lines)+1 < s.height {
		lines = append(lines, "", s.paint(dim, s.fit(log, 0)))
	}
	return lines[:min(len(lines), s.height)]
}

func (s screen) row(name, value, note string) string {
	value = s.fit(fmt.Sprintf("%-20s ", value), 10)
	return fmt.Sprintf("%-10s", name) + s.paint(bold, value) + s.paint(dim, s.fit(note, 10+len(value)))
}

// fit cuts text where the line ends, used cells from its start on.
func (s screen) fit(text string, used int) string {
	runes := []rune(text)
	return string(runes[:max(0, min(len(runes), s.width-used))])
}

// stageBars shows where a message's time goes: a bar for each stage when there are
// rows for it, else the stages in one line.
func (s screen) stageBars(snap *snapshot, rows int) []string {
	var whole float64
	for _, name := range stages {
		whole += snap.stage[name]
	}
	if whole == 0 || rows < 1 {
		return nil
	}
	if rows < len(stages)+1 {
		return []string{s.stageRow(snap, whole)}
	}
	lines := []string{""}
	for _, name := range stages {
		cells := min(int(snap.stage[name]/whole*40+0.5), max(0, s.width-22))
		lines = append(lines, fmt.Sprintf("%-9s %9s  %s", name, duration(seconds(snap.stage[name])),
			s.paint(green, strings.Repeat("█", cells))))
	}
	return lines
}

// stageRow names the stages that matter.
func (s screen) stageRow(snap *snapshot, whole float64) string {
	var named []string
	for _, name := range stages {
		if snap.stage[name] >= whole/100 {
			named = append(named, name+" "+duration(seconds(snap.stage[name])))
		}
	}
	return fmt.Sprintf("%-10s", "stages") + s.paint(dim, s.fit(strings.Join(named, ", "), 10))
}

func (s screen) canvas() canvas { return canvas{colors: s.colors, large: s.height >= 36} }

// picturesHeight is a title, the pictures, and a caption.
func (s screen) picturesHeight() int { return s.canvas().height() + 2 }

// pictures draws the last predictions side by side, and the last wrong one.
func (s screen) pictures(snap *snapshot) []string {
	c := s.canvas()
	cell := max(c.width(), 9) + 2
	fits := max(1, s.width/cell)
	shown := snap.recent[max(0, len(snap.recent)-fits):]
	title := "last predictions"
	if snap.mistake != nil && fits > 1 {
		shown = append(shown[max(0, len(shown)-fits+1):len(shown):len(shown)], *snap.mistake)
		title += ", and at the end the last mistake"
	}
	lines := make([]string, c.height()+2)
	lines[0] = s.paint(dim, s.fit(title, 0))
	for i := range shown {
		for y, line := range c.draw(shown[i].Image) {
			lines[y+1] += line + strings.Repeat(" ", cell-c.width())
		}
		lines[c.height()+1] += s.caption(&shown[i], cell)
	}
	return lines
}

// caption is what the model read and how sure it was, then the truth if it differs.
func (s screen) caption(p *prediction, cell int) string {
	if !p.right() {
		text := fmt.Sprintf("%d, is %d", p.Label, p.Image.Label)
		return s.paint(red, text) + strings.Repeat(" ", max(0, cell-len(text)))
	}
	text := fmt.Sprintf("%d", p.Label)
	if share, ok := probability(p.Value, p.Label); ok {
		text += fmt.Sprintf(" %3.0f %%", 100*share)
	}
	return s.paint(green, text) + strings.Repeat(" ", max(0, cell-len(text)))
}

// probability is what the record says of a label.
func probability(value []byte, label int) (float64, bool) {
	var record struct {
		Outputs struct {
			Probabilities []float64 `json:"probabilities"`
		} `json:"outputs"`
	}
	if json.Unmarshal(value, &record) != nil || label < 0 || label >= len(record.Outputs.Probabilities) {
		return 0, false
	}
	return record.Outputs.Probabilities[label], true
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// clock is a running time as minutes and seconds.
func clock(d time.Duration) string {
	return fmt.Sprintf("%02d:%02d", int(d.Minutes()), int(d.Seconds())%60)
}

// duration gives three digits and a unit, of the same width from frame to frame.
func duration(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%d us", d.Microseconds())
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.2f ms", d.Seconds()*1e3)
	case d < time.Second:
		return fmt.Sprintf("%.0f ms", d.Seconds()*1e3)
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}

// count is a whole number with separators between thousands.
func count(n float64) string {
	digits := fmt.Sprintf("%.0f", n)
	var b strings.Builder
	for i, r := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 && digits[i-1] != '-' {
			b.WriteByte(',')
		}
		b.WriteRune(r)
	}
	return b.String()
}
