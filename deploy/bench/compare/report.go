package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/sluice-ml/sluice/deploy/bench/lab"
	"github.com/sluice-ml/sluice/deploy/bench/stats"
)

// report writes the results page and its plots, and prints the goals.
func (b *bench) report(ctx context.Context) error {
	if len(b.store.legs) == 0 {
		return errors.New("there are no legs to report")
	}
	date := time.Now().UTC().Format(time.DateOnly)
	base := filepath.Join(b.out, "bench-"+date)
	b.machine = fmt.Sprintf("%d cores", runtime.NumCPU())
	plots, err := b.plots(date)
	if err != nil {
		return err
	}
	var page strings.Builder
	page.WriteString(b.heading(ctx))
	page.WriteString(b.goalTable())
	for _, name := range slices.Sorted(maps.Keys(plots)) {
		fmt.Fprintf(&page, "\n![%s](bench-%s-%s.svg)\n", name, date, name)
	}
	page.WriteString(b.drainTables())
	page.WriteString(b.limitTables())
	page.WriteString(b.latencyTable())
	page.WriteString(b.legTable())
	errs := []error{os.MkdirAll(b.out, 0o755), os.WriteFile(base+".md", []byte(page.String()), 0o644)}
	for name, svg := range plots {
		errs = append(errs, os.WriteFile(base+"-"+name+".svg", svg, 0o644))
	}
	fmt.Print(b.goalTable())
	fmt.Println("\nwritten:", base+".md")
	return errors.Join(errs...)
}

// heading is what a figure means nothing without.
func (b *bench) heading(ctx context.Context) string {
	first, noisy := b.store.legs[0].At, 0
	for _, g := range b.store.legs {
		if g.Noise.Noisy() {
			noisy++
		}
	}
	var t strings.Builder
	fmt.Fprintf(&t, `# sluice beside its rivals

Made by %s. Broker, load, contenders and measurement share the machine's cores. Every output was compared with a
reference by Python's onnxruntime first (1e-4 absolute and relative); a contender that loses or mistakes one has no figure.

`, "`make bench`")
	for _, f := range lab.Surroundings(ctx, b.Lab) {
		fmt.Fprintf(&t, "- %s: %s\n", f[0], f[1])
	}
	fmt.Fprintf(&t, "- measured: %s to %s\n- arguments: %s\n", first.Format(time.RFC3339), b.store.legs[len(b.store.legs)-1].At.Format(time.RFC3339), strings.Join(b.store.arguments, ", "))
	fmt.Fprintf(&t, "- noise: %d of %d legs saw others on the machine (a fixed loop more than 5 %% slower than usual, or more than 3 %% stolen) in their last repeat\n", noisy, len(b.store.legs))
	return t.String()
}

// goalTable has the measured figure beside each goal.
func (b *bench) goalTable() string {
	var t strings.Builder
	t.WriteString("\n## Goals\n\nRatios are medians of paired rounds with their 95 % interval by bootstrap; the unfavourable end counts.\n\n")
	t.WriteString("| metric | goal | measured | unfavourable end | against | |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, g := range b.goals() {
		measured, end := "-", "-"
		if e := g.estimate; e.N > 0 && !math.IsNaN(e.Median) {
			measured = fmt.Sprintf("%.2f (%.2f to %.2f, %d rounds)", e.Median, e.Low, e.High, e.N)
			end = fmt.Sprintf("%.2f", g.unfavourable())
		}
		fmt.Fprintf(&t, "| %s | %s | %s | %s | %s | %s |\n", g.metric, g.wanted(), measured, end, g.against, g.verdict())
	}
	return t.String()
}

// points that drain, with their variants, as tables.
func (b *bench) drainTables() string {
	var t strings.Builder
	for _, point := range []string{"drain", "limits", "batching", "growth"} {
		type row struct{ payload, contender, variant string }
		var rows []row
		for _, g := range b.store.legs {
			if r := (row{g.Payload, g.Contender, g.Variant}); g.Point == point && g.Drain != nil && !slices.Contains(rows, r) {
				rows = append(rows, r)
			}
		}
		if len(rows) == 0 {
			continue
		}
		order := func(r row) (int, int) {
			return slices.IndexFunc(lab.Payloads, func(p *lab.Payload) bool { return p.Name == r.payload }),
				slices.IndexFunc(lab.Contenders, func(c *lab.Contender) bool { return c.Name == r.contender })
		}
		slices.SortStableFunc(rows, func(x, y row) int {
			p1, c1 := order(x)
			p2, c2 := order(y)
			return 100*(p1-p2) + c1 - c2
		})
		fmt.Fprintf(&t, "\n## %s\n\nMedians of the rounds. CPU is of the contender's own processes.\n\n", strings.ToUpper(point[:1])+point[1:])
		t.WriteString("| payload | contender | msg/s | CPU s per million | broker's | peak MiB | sluice over it |\n| --- | --- | --- | --- | --- | --- | --- |\n")
		for _, r := range rows {
			name := r.contender
			if r.variant != "" {
				name += ", " + r.variant
			}
			k := key{point, r.payload, r.contender, r.variant, 0}
			e := b.store.against(point, r.payload, "", r.contender, rate)
			ratio := "-"
			if !math.IsNaN(e.Median) && r.contender != "sluice" {
				ratio = fmt.Sprintf("%.2f (%.2f to %.2f)", e.Median, e.Low, e.High)
			}
			fmt.Fprintf(&t, "| %s | %s | %s | %s | %s | %s | %s |\n", r.payload, name, b.figure(k, rate), b.figure(k, cpu), b.figure(k, broker), b.figure(k, peak), ratio)
		}
	}
	return t.String()
}

// figure is a median, or that the row is void.
func (b *bench) figure(k key, f func(*leg) float64) string {
	m := b.store.median(k, f)
	if math.IsNaN(m) {
		return "void"
	}
	return number(m)
}

// limitTables are the parts beside the whole.
func (b *bench) limitTables() string {
	var t strings.Builder
	for _, p := range lab.Payloads {
		bound := stats.Median(present(b.store.bounds(p.Name)))
		if math.IsNaN(bound) {
			continue
		}
		if t.Len() == 0 {
			t.WriteString("\n## Limits\n\nWhat each part can do alone on all cores, and what all can do one after another: 1/(1/kafka + 1/decode + 1/ort + 1/encode).\n\n")
			t.WriteString("| payload | kafka | decode | onnxruntime | encode | additive limit | sluice |\n| --- | --- | --- | --- | --- | --- | --- |\n")
		}
		alone := func(part string) float64 {
			return b.store.median(key{"limits", p.Name, part, "", 0}, func(g *leg) float64 { return g.Limit.Rate })
		}
		ort := "-"
		if g := b.store.get(key{"limits", p.Name, partORT, "", 0}); g != nil {
			ort = fmt.Sprintf("%s (batch %d; a run of n takes %.0f us + %.2f us n)", number(alone(partORT)), g.Limit.Batch, g.Limit.FixedA, g.Limit.RowB)
		}
		fmt.Fprintf(&t, "| %s | %s | %s | %s | %s | %s | %s |\n", p.Name, b.figure(key{"limits", p.Name, partKafka, "", 0}, rate), number(alone(partDecode)), ort,
			number(alone(partEncode)), number(bound), b.figure(key{"limits", p.Name, "sluice", "", 0}, rate))
	}
	return t.String()
}

// latencyTable has every contender at every rate.
func (b *bench) latencyTable() string {
	var t strings.Builder
	for _, k := range b.latencyKeys() {
		if t.Len() == 0 {
			t.WriteString("\n## Latency\n\nMilliseconds from the scheduled instant of an open-loop Poisson schedule to receipt by a separate consumer; medians of the rounds.\n\n")
			t.WriteString("| payload | contender | load | rate | p50 | p90 | p99 | p99.9 | sustained |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n")
		}
		of := func(f func(*lab.Latencies) float64) string {
			return b.figure(k, func(g *leg) float64 {
				if g.Latency == nil || g.Latency.Void != "" {
					return math.NaN()
				}
				return f(g.Latency)
			})
		}
		fmt.Fprintf(&t, "| %s | %s | %s | %s | %s | %s | %s | %s | %d of %d rounds |\n", k.Payload, k.Contender, k.Variant, of(func(l *lab.Latencies) float64 { return l.Rate }),
			of(func(l *lab.Latencies) float64 { return l.P50 }), of(func(l *lab.Latencies) float64 { return l.P90 }), of(func(l *lab.Latencies) float64 { return l.P99 }),
			of(func(l *lab.Latencies) float64 { return l.P999 }), b.store.held(k), b.store.rounds(k))
	}
	for _, g := range b.store.legs {
		if g.Search != nil {
			fmt.Fprintf(&t, "\n- %s, %s, highest rate (%s): %s/s\n", g.Payload, g.Contender, g.Variant, number(g.Search.Rate))
		}
	}
	return t.String()
}

// held is in how many rounds a load was sustained.
func (s *store) held(k key) int {
	n := 0
	for k.Round = range s.rounds(k) {
		if g := s.get(k); g != nil && g.Latency.Sustained {
			n++
		}
	}
	return n
}

// latencyKeys are the first rounds of the loads, in their order.
func (b *bench) latencyKeys() (keys []key) {
	for _, g := range b.store.legs {
		if k := g.key; g.Latency != nil {
			if k.Round = 0; !slices.Contains(keys, k) {
				keys = append(keys, k)
			}
		}
	}
	slices.SortStableFunc(keys, func(x, y key) int { return strings.Compare(x.Variant, y.Variant) })
	return keys
}

// legTable is every leg, raw.
func (b *bench) legTable() string {
	var t strings.Builder
	t.WriteString("\n## Every leg\n\n")
	for _, g := range b.store.legs {
		fmt.Fprintf(&t, "- %s %s: %s\n", g.At.Format("15:04:05"), g.key, g.line())
	}
	fmt.Fprintf(&t, "\n%s, %d cores\n", runtime.Version(), runtime.NumCPU())
	return t.String()
}
