package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/sluice-ml/sluice/internal/bench"
)

// plainEvery is how often progress is a line of its own where there is no
// terminal.
const plainEvery = 5 * time.Second

// benchScreen shows how a bench goes: one line that is drawn over itself on a
// terminal, else a line now and then. Safe for concurrent use.
type benchScreen struct {
	mu       sync.Mutex
	out      io.Writer
	terminal *os.File // nil: none
	drawn    bool
	last     time.Time
}

func newBenchScreen(out io.Writer) *benchScreen {
	s := &benchScreen{out: out, last: time.Now()}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		s.terminal = f
	}
	return s
}

// progress is a bench.Config's Progress.
func (s *benchScreen) progress(p bench.Progress) { s.show(benchLine(p, s.terminal != nil)) }

// show says how it goes.
func (s *benchScreen) show(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.terminal != nil {
		width, _, err := term.GetSize(int(s.terminal.Fd()))
		if err != nil {
			width = 80
		}
		s.drawn = true
		s.print("\r%s\x1b[K", cutTo(line, width-1))
		return
	}
	if time.Since(s.last) >= plainEvery {
		s.last = time.Now()
		s.print("%s\n", line)
	}
}

// say writes a line of its own.
func (s *benchScreen) say(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wipe()
	s.print("%s\n", text)
}

// clear takes the drawn line away.
func (s *benchScreen) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wipe()
}

func (s *benchScreen) wipe() {
	if s.drawn {
		s.drawn = false
		s.print("\r\x1b[K")
	}
}

// print is for people; when nobody reads it any more, so be it.
func (s *benchScreen) print(format string, args ...any) { _, _ = fmt.Fprintf(s.out, format, args...) }

// benchLine is one line about a trial.
func benchLine(p bench.Progress, bar bool) string {
	since, total := max(p.Since, 0), p.Total
	phase := ""
	switch {
	case p.Waiting:
		since, phase = total, "  waiting for "+groupDigits(p.Counts.Outstanding)
	case p.Since < p.Warmup:
		phase = "  warming up"
	}
	line := readableRate(p.Rate) + "/s"
	if bar {
		line += " " + progressBar(float64(min(since, total))/float64(total), 20)
	}
	line += fmt.Sprintf(" %.0f/%.0f s%s  back %s of %s  p50 %s  p99 %s  backlog %s", min(since, total).Seconds(), total.Seconds(), phase,
		groupDigits(p.Counts.Received), groupDigits(p.Counts.Sent), readableSeconds(p.P50.Seconds()), readableSeconds(p.P99.Seconds()), groupDigits(p.Backlog))
	if bad := p.Counts.DeadLettered + p.Counts.Refused; bad > 0 {
		line += "  dead " + groupDigits(bad)
	}
	return line
}

// progressBar is [=====>    ].
func progressBar(share float64, width int) string {
	done := min(int(share*float64(width)), width)
	head := ">"
	if done == width {
		head = ""
	}
	return "[" + strings.Repeat("=", done) + head + strings.Repeat(" ", max(width-done-len(head), 0)) + "]"
}

// cutTo shortens a line to that many characters.
func cutTo(line string, width int) string {
	if utf8.RuneCountInString(line) <= width {
		return line
	}
	return string([]rune(line)[:max(width, 0)])
}
