package modelbench

import (
	"fmt"
	"slices"
	"time"

	"github.com/sluice-ml/sluice/internal/plot"
)

// Report is what was measured of a model.
type Report struct {
	Version string    `json:"version"`
	Started time.Time `json:"started"`
	Model   string    `json:"model"`
	SHA256  string    `json:"sha256"`
	Device  string    `json:"device"`
	Runtime string    `json:"runtime_version"`
	// Verdict says whether rows share a run, and if not, why.
	Verdict string `json:"verdict"`
	// RowBytes is the size of a row's inputs.
	RowBytes       int64           `json:"row_bytes"`
	Seed           uint64          `json:"seed"`
	Cells          []*Cell         `json:"cells"`
	Fits           []Fit           `json:"fits"`
	Recommendation *Recommendation `json:"recommendation,omitempty"`
	// Notes say what was left out.
	Notes []string `json:"notes,omitempty"`
}

// busyShare: a run that works alone gets nearly all of a processor; below this
// the figures are of the neighbours too.
const busyShare = 0.8

// Finish marks the knees and adds fits and recommendation.
func (r *Report) Finish() {
	r.noteNeighbours()
	markKnees(r.Cells)
	for _, t := range r.threads() {
		if f, ok := fit(t, r.Cells); ok {
			r.Fits = append(r.Fits, f)
		}
	}
	r.Recommendation = Recommend(r.Cells)
}

// noteNeighbours says when other work took much of the processors. A run of one
// thread on the CPU never waits for anything else.
func (r *Report) noteNeighbours() {
	var given []float64
	for _, c := range r.Cells {
		if c.IntraOp == 1 && c.CPUPerMillion > 0 && r.Device == "cpu" {
			given = append(given, c.Given)
		}
	}
	slices.Sort(given)
	if len(given) == 0 || given[len(given)/2] >= busyShare {
		return
	}
	r.Notes = append(r.Notes, fmt.Sprintf("other work took part of the processors (half of the measurements got %.0f %% of what they wanted, or less): take these figures for rough",
		100*given[len(given)/2]))
}

// threads are the choices in the order in which they were measured.
func (r *Report) threads() []Threads {
	var all []Threads
	for _, c := range r.Cells {
		if !slices.Contains(all, c.Threads) {
			all = append(all, c.Threads)
		}
	}
	return all
}

// String is t(n) = 12 µs + 1.9 µs n, off by 4 % at most.
func (f *Fit) String() string {
	return fmt.Sprintf("t(n) = %s + %s n, off by %.0f %% at most", plot.Seconds(f.Fixed), plot.Seconds(f.PerRow), 100*f.Off)
}

// Mark is what to make of a cell: knee, recommended.
func (r *Report) Mark(c *Cell) string {
	mark := ""
	if c.Knee {
		mark = "knee"
	}
	if m := r.Recommendation; m != nil && c.Threads == (Threads{m.Workers, 1}) && c.Rows == m.MaxRows {
		if mark != "" {
			mark += ", "
		}
		mark += "recommended"
	}
	return mark
}

// Charts draws throughput and latency over the batch size.
func (r *Report) Charts() []plot.Chart {
	var sizes []float64
	for _, c := range r.Cells {
		if n := float64(c.Rows); !slices.Contains(sizes, n) {
			sizes = append(sizes, n)
		}
	}
	slices.Sort(sizes)
	x := plot.Axis{Label: "rows in a batch", Log: true, Ticks: sizes, Format: func(v float64) string { return fmt.Sprintf("%g", v) }}
	throughput := plot.Chart{
		Title: "Throughput of " + r.Model, Note: "workers x threads of a run; " + r.Device + ", ONNX Runtime " + r.Runtime,
		X: x, Y: plot.Axis{Label: "rows per second", Log: true},
	}
	latency := plot.Chart{
		Title: "Latency of a run", Note: "solid: median, dashed: p99, grey: the fit of the first",
		X: x, Y: plot.Axis{Label: "time of a run", Log: true, Format: plot.Seconds},
	}
	for i, t := range r.threads() {
		rows := plot.Series{Name: t.Name(), Color: i}
		p50 := plot.Series{Name: t.Name() + " p50", Color: i}
		p99 := plot.Series{Name: t.Name() + " p99", Color: i, Dashed: true}
		for _, c := range r.Cells {
			if c.Threads != t {
				continue
			}
			n, at := float64(c.Rows), fmt.Sprintf("%s, batch %d: ", t.Name(), c.Rows)
			rows.Points = append(rows.Points, plot.Point{X: n, Y: c.RowsPerSecond, Text: at + plot.Digits(c.RowsPerSecond) + " rows/s"})
			p50.Points = append(p50.Points, plot.Point{X: n, Y: c.P50, Text: at + "median " + plot.Seconds(c.P50)})
			p99.Points = append(p99.Points, plot.Point{X: n, Y: c.P99, Text: at + "p99 " + plot.Seconds(c.P99)})
		}
		throughput.Series = append(throughput.Series, rows)
		latency.Series = append(latency.Series, p50, p99)
	}
	if len(r.Fits) > 0 {
		line := plot.Series{Name: "fit", Color: 6, Dashed: true}
		for _, n := range sizes {
			line.Points = append(line.Points, plot.Point{X: n, Y: r.Fits[0].At(int(n)), Bare: true})
		}
		latency.Series = append(latency.Series, line)
	}
	for _, c := range r.Cells {
		if m := r.Recommendation; c.Knee && m != nil && c.Threads == (Threads{m.Workers, 1}) {
			mark := plot.Mark{X: float64(c.Rows), Text: "knee of " + c.Name()}
			throughput.Marks, latency.Marks = []plot.Mark{mark}, []plot.Mark{mark}
		}
	}
	return []plot.Chart{throughput, latency}
}

// Page is the charts with their table.
func (r *Report) Page() plot.Page {
	p := plot.Page{
		Title: "sluice model bench: " + r.Model,
		Facts: [][2]string{
			{"started", r.Started.UTC().Format(time.RFC3339)},
			{"model", r.Model + ", sha256 " + r.SHA256},
			{"runs on", r.Device + ", ONNX Runtime " + r.Runtime + "; " + r.Verdict},
			{"inputs", fmt.Sprintf("made up, %d bytes a row, seed %d", r.RowBytes, r.Seed)},
			{"version", r.Version},
		},
		Head:   []string{"workers x threads", "batch", "p50", "p99", "rows/s", "CPU s per million", ""},
		Notes:  append([]string{}, r.Notes...),
		Charts: r.Charts(),
	}
	for _, c := range r.Cells {
		p.Rows = append(p.Rows, []string{
			c.Name(), fmt.Sprint(c.Rows), plot.Seconds(c.P50), plot.Seconds(c.P99), fmt.Sprintf("%.0f", c.RowsPerSecond),
			fmt.Sprintf("%.3g", c.CPUPerMillion), r.Mark(c),
		})
	}
	for i := range r.Fits {
		p.Notes = append(p.Notes, r.Fits[i].Name()+": "+r.Fits[i].String())
	}
	if m := r.Recommendation; m != nil {
		p.Notes = append(p.Notes, fmt.Sprintf("Recommended: model.workers: %d and model.batch.max_rows: %d. %s.", m.Workers, m.MaxRows, m.Why))
	}
	return p
}
