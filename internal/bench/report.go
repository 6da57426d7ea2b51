package bench

import (
	"fmt"
	"strconv"
	"time"

	"github.com/sluice-ml/sluice/internal/plot"
)

// Report is what a bench measured and how: with the same arguments it can be
// run again.
type Report struct {
	Version    string    `json:"version"`
	Started    time.Time `json:"started"`
	Brokers    []string  `json:"brokers"`
	Input      string    `json:"input"`
	Partitions int32     `json:"partitions"`
	Output     string    `json:"output"`
	DeadLetter string    `json:"dead_letter,omitempty"`
	Arrival    string    `json:"arrival"`
	Seed       uint64    `json:"seed"`
	// Warmup and Duration in seconds; the warm-up is not measured.
	Warmup   float64 `json:"warmup_seconds"`
	Duration float64 `json:"duration_seconds"`
	Match    string  `json:"match"`
	Records  struct {
		Origin    string  `json:"origin"`
		Different int     `json:"different"`
		MeanBytes float64 `json:"mean_bytes"`
	} `json:"records"`
	Points []*Point `json:"points"`
	// Knee is the rate at the knee, 0 for none.
	Knee float64 `json:"knee_rate,omitempty"`
	// Note says why rates were left out.
	Note string `json:"note,omitempty"`
}

// SetPoints adds the measured points.
func (r *Report) SetPoints(points []*Point, note string) {
	r.Points, r.Note = points, note
	if knee := Knee(points); knee != nil {
		r.Knee = knee.Rate
	}
}

// percentiles are the curve's lines, slowest last.
var percentiles = []struct {
	name string
	of   func(*Latency) float64
}{
	{"p50", func(l *Latency) float64 { return l.P50 }},
	{"p90", func(l *Latency) float64 { return l.P90 }},
	{"p99", func(l *Latency) float64 { return l.P99 }},
	{"p99.9", func(l *Latency) float64 { return l.P999 }},
}

// Curve draws latency over load: a line for each percentile, rings where the
// rate was not sustained, the knee marked.
func (r *Report) Curve() plot.Chart {
	c := plot.Chart{
		Title: "Publish to prediction, " + r.Input + " to " + r.Output,
		Note: fmt.Sprintf("%s arrivals from a schedule, %v s each, records of %.0f bytes, %s; rings: not sustained",
			r.Arrival, r.Duration, r.Records.MeanBytes, r.Started.UTC().Format("2006-01-02 15:04 MST")),
		X: plot.Axis{Label: "records per second, offered"},
		Y: plot.Axis{Label: "latency from the scheduled instant", Log: true, Format: plot.Seconds},
	}
	for i, percentile := range percentiles {
		line := plot.Series{Name: percentile.name, Color: i}
		for _, p := range r.Points {
			v := percentile.of(&p.Latency)
			text := fmt.Sprintf("%s at %g per second: %s", percentile.name, p.Rate, plot.Seconds(v))
			if !p.Sustained {
				text += ", not sustained"
			}
			line.Points = append(line.Points, plot.Point{X: p.Rate, Y: v, Hollow: !p.Sustained, Text: text})
		}
		c.Series = append(c.Series, line)
	}
	if r.Knee > 0 {
		c.Marks = []plot.Mark{{X: r.Knee, Text: "knee " + plot.Digits(r.Knee)}}
	}
	return c
}

// Page is the curve with its table.
func (r *Report) Page() plot.Page {
	p := plot.Page{
		Title: "sluice bench: " + r.Input + " to " + r.Output,
		Facts: [][2]string{
			{"started", r.Started.UTC().Format(time.RFC3339)},
			{"records", fmt.Sprintf("%s, %d different ones of %.0f bytes on average", r.Records.Origin, r.Records.Different, r.Records.MeanBytes)},
			{"load", fmt.Sprintf("%s arrivals, seed %d, %v s after %v s of warm-up, %d partitions", r.Arrival, r.Seed, r.Duration, r.Warmup, r.Partitions)},
			{"latency", "from the scheduled instant to receipt of the prediction, matched by " + r.Match},
			{"version", r.Version},
		},
		Head: []string{"offered/s", "received/s", "p50", "p90", "p99", "p99.9", "max", "lost", "twice", "dead", "verdict"},
		Notes: []string{
			"Latency counts from when a record was due, sent late or not: no coordinated omission. What never came back counts with its age at the end.",
			"Knee: the sustained rate with the most throughput per p99 latency. Not sustained: the backlog grew by more than 1 s of load.",
		},
		Charts: []plot.Chart{r.Curve()},
	}
	if r.Note != "" {
		p.Notes = append(p.Notes, r.Note+".")
	}
	for _, point := range r.Points {
		p.Rows = append(p.Rows, point.row())
	}
	return p
}

// row is the point's line of the table.
func (p *Point) row() []string {
	l, n := &p.Latency, func(v int64) string { return strconv.FormatInt(v, 10) }
	return []string{
		fmt.Sprintf("%g", p.Rate), fmt.Sprintf("%.0f", p.ReceivedRate),
		plot.Seconds(l.P50), plot.Seconds(l.P90), plot.Seconds(l.P99), plot.Seconds(l.P999), plot.Seconds(l.Max),
		n(p.Lost), n(p.Duplicates), n(p.DeadLettered + p.Refused), p.Verdict(),
	}
}

// Verdict says in a few words what to make of the point.
func (p *Point) Verdict() string {
	text := "sustained"
	switch {
	case p.Interrupted:
		text = "interrupted"
	case !p.Sustained:
		text = fmt.Sprintf("not sustained (backlog +%.1f s)", p.BacklogGrowth)
	}
	if p.Knee {
		text += ", knee"
	}
	return text
}
