package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/sluice-ml/sluice/deploy/bench/lab"
	"github.com/sluice-ml/sluice/deploy/bench/stats"
	"github.com/sluice-ml/sluice/pipeline/onnx"
)

// The goals of one GPU: the share of ONNX Runtime alone, and what batching brings over single rows.
const (
	goalShare = 0.92
	goalBatch = 3.5
)

// series is a figure of a contender, round by round.
func (p *page) series(name string, figure func(leg) float64) (values []float64) {
	for _, l := range p.legs[name] {
		values = append(values, figure(l))
	}
	return values
}

func rate(l leg) float64 { return l.rate }
func p95(l leg) float64  { return l.p95ms }

// ratio is one contender over another, paired by round.
func (p *page) ratio(ours, theirs string, figure func(leg) float64) stats.Estimate {
	return stats.Paired(p.series(ours, figure), p.series(theirs, figure))
}

// verdict holds the unfavourable end of the interval against the goal; of a rehearsal there is none.
func (p *page) verdict(e stats.Estimate, bound float64, atMost bool) string {
	switch {
	case !p.cuda():
		return "no GPU"
	case math.IsNaN(e.Median):
		return "not measured"
	case atMost && e.High <= bound, !atMost && e.Low >= bound:
		return "MET"
	default:
		return "NOT MET"
	}
}

func (p *page) write(ctx context.Context) error {
	var t strings.Builder
	p.heading(ctx, &t)
	goals := p.goalTable()
	t.WriteString(goals)
	p.contenderTable(&t)
	p.sweepTable(&t)
	if err := os.MkdirAll(filepath.Dir(p.out), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(p.out, []byte(t.String()), 0o644); err != nil {
		return err
	}
	fmt.Print(goals)
	fmt.Println("\nwritten:", p.out)
	return nil
}

// heading is what a figure means nothing without.
func (p *page) heading(ctx context.Context, t *strings.Builder) {
	ask := func(name string, args ...string) string {
		text, err := lab.Command(ctx, name, args...)
		if err != nil {
			return "unknown"
		}
		return strings.TrimSpace(text)
	}
	t.WriteString("# sluice on one GPU beside ONNX Runtime alone\n\nMade by `make bench-gpu`; what the words mean stands in deploy/bench/gpu/README.md.\n\n")
	gpu := "none"
	if p.cuda() {
		gpu = ask("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader", "-i", strings.TrimPrefix(p.device, "cuda:"))
	} else {
		t.WriteString("**A rehearsal on the CPU**: it shows that the command works but for the device. No figure here is one of a GPU.\n\n")
	}
	fmt.Fprintf(t, "- commit: %s\n- GPU and driver: %s\n- processor: %s\n", ask("git", "rev-parse", "--short=12", "HEAD"), gpu, lab.Processor())
	fmt.Fprintf(t, "- %d cores, %s, payload %s, largest batch %d, %d rounds of %g s a leg\n", runtime.NumCPU(), "ONNX Runtime "+onnx.RuntimeVersion(), p.payload.Name, p.batches[len(p.batches)-1], p.rounds, p.seconds)
	fmt.Fprintf(t, "- measured: %s to %s\n", p.began.UTC().Format(time.RFC3339), time.Now().UTC().Format(time.RFC3339))
	fmt.Fprintf(t, "- outputs: every one compared with Python's onnxruntime on the CPU; the largest distance is %.1e (allowed: %g, absolute and relative)\n", p.worst, p.tolerance)
}

func (p *page) goalTable() string {
	var t strings.Builder
	t.WriteString("\n## Goals\n\nRatios are medians of paired rounds with their 95 % interval by bootstrap; the unfavourable end counts.\n\n| metric | goal | measured | |\n| --- | --- | --- | --- |\n")
	row := func(metric string, bound float64, atMost bool, e stats.Estimate) {
		want := "at least"
		if atMost {
			want = "at most"
		}
		fmt.Fprintf(&t, "| %s | %s %g | %s | %s |\n", metric, want, bound, interval(e), p.verdict(e, bound, atMost))
	}
	row(fmt.Sprintf("drain, %s, over %s", ours(p.chosen), rawCopies), goalShare, false, p.ratio(ours(p.chosen), rawCopies, rate))
	outstanding := fmt.Sprintf("%d outstanding", p.inFlight)
	row("self-tuned over batch 1, "+outstanding+", rate", goalBatch, false, p.ratio(closedTuned, closedOne, rate))
	row("self-tuned over batch 1, "+outstanding+", p95", 1, true, p.ratio(closedTuned, closedOne, p95))
	return t.String()
}

func interval(e stats.Estimate) string {
	if math.IsNaN(e.Median) {
		return "-"
	}
	return fmt.Sprintf("%.3g (%.3g to %.3g, %d rounds)", e.Median, e.Low, e.High, e.N)
}

func (p *page) contenderTable(t *strings.Builder) {
	fmt.Fprintf(t, "\n## Contenders\n\nMedians of the rounds; over the limit is paired with %s (%s).\n\n", rawCopies, p.sweep.limit().spec)
	t.WriteString("| contender | rows/s | over the limit | p95, ms | rows of a batch |\n| --- | --- | --- | --- | --- |\n")
	for _, name := range p.order {
		fmt.Fprintf(t, "| %s | %.0f | %s | %s | %s |\n", name, stats.Median(p.series(name, rate)), interval(p.ratio(name, rawCopies, rate)),
			orNone("%.2f", stats.Median(p.series(name, p95))), orNone("%.0f", stats.Median(p.series(name, func(l leg) float64 { return l.batch }))))
	}
	fmt.Fprintf(t, "\nPinned over pageable memory in sluice: %s.\n", interval(p.ratio(ours(p.chosen), pageable, rate)))
}

func orNone(format string, x float64) string {
	if math.IsNaN(x) {
		return "-"
	}
	return fmt.Sprintf(format, x)
}

// sweepTable shows what memory, streams and graphs bring to ONNX Runtime alone.
func (p *page) sweepTable(t *strings.Builder) {
	fmt.Fprintf(t, "\n## ONNX Runtime alone\n\nOne sweep, %g s a cell, rows/s; x/y is streams/sessions. Chosen for the rounds: %s and %s.\n\n| rows |", p.sweepSeconds(), p.sweep.limit().spec, p.sweep.resident().spec)
	var columns []spec
	for _, f := range p.sweep.figures {
		if f.spec.rows == p.batches[0] {
			columns = append(columns, f.spec)
			fmt.Fprintf(t, " %s %d/%d |", f.spec.mode, f.spec.streams, f.spec.sessions)
		}
	}
	t.WriteString(" graph |\n|" + strings.Repeat(" --- |", len(columns)+2) + "\n")
	for _, rows := range p.batches {
		fmt.Fprintf(t, "| %d |", rows)
		for _, c := range columns {
			c.rows = rows
			fmt.Fprintf(t, " %.0f |", p.sweep.best(func(s spec) bool { return s == c }).Rate)
		}
		graph := math.NaN()
		for _, g := range p.sweep.graphs {
			if g.spec.rows == rows {
				graph = g.Rate
			}
		}
		t.WriteString(" " + orNone("%.0f", graph) + " |\n")
	}
	if p.sweep.noGraph != "" {
		fmt.Fprintf(t, "\nCUDA graphs could not be measured: %s\n", strings.TrimSpace(p.sweep.noGraph))
	}
	x := p.sweep.transfers
	fmt.Fprintf(t, "\nTransfers of 64 MiB, GB/s: pinned %.1f to the device and %.1f back, pageable %.1f and %.1f. 128 KiB to the device: pinned %.1f us, pageable %.1f us.\n",
		x.PinnedTo, x.PinnedFrom, x.PageableTo, x.PageableFrom, x.SmallPinned, x.SmallPageable)
}
