package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-ml/sluice/internal/bench"
	"github.com/sluice-ml/sluice/internal/load"
	"github.com/sluice-ml/sluice/internal/plot"
)

// reportFiles are where a bench writes what it measured.
type reportFiles struct {
	json             bool
	histogram, curve string
}

func (f *reportFiles) register(cmd *cobra.Command) {
	jsonFlag(cmd, &f.json)
	cmd.Flags().StringVar(&f.histogram, "histogram", "", "write every latency: FILE.hgrm (percentiles, one file a rate) or FILE.hlog (HdrHistogram log)")
	cmd.Flags().StringVar(&f.curve, "curve", "", "draw latency over load: FILE.svg, or FILE.html with the table")
}

// check is before the load, which is too long to fail afterwards.
func (f *reportFiles) check() error {
	for _, file := range []struct {
		flag, path string
		suffixes   []string
	}{{"--histogram", f.histogram, []string{".hgrm", ".hlog"}}, {"--curve", f.curve, []string{".svg", ".html"}}} {
		if file.path == "" {
			continue
		}
		if ext := filepath.Ext(file.path); !contains(file.suffixes, ext) {
			return usageErrorf("%s %s: the name must end in %s", file.flag, file.path, strings.Join(file.suffixes, " or "))
		}
		if err := writable(file.path); err != nil {
			return usageErrorf("%s: %w", file.flag, err)
		}
	}
	return nil
}

// writable says whether a file can be made there, and leaves what is there as it
// was.
func writable(path string) error {
	_, missing := os.Stat(path)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o666) //nolint:gosec // a report, for whom the umask says
	if err != nil {
		return err
	}
	err = f.Close()
	if missing != nil {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

func (f *reportFiles) write(r *bench.Report) error {
	if err := drawCurve(f.curve, r.Page()); err != nil {
		return err
	}
	switch {
	case f.histogram == "":
		return nil
	case filepath.Ext(f.histogram) == ".hlog":
		return createFile(f.histogram, func(w io.Writer) error { return load.WriteLog(w, "sluice bench", bench.Intervals(r.Points)) })
	}
	for _, p := range r.Points {
		path := f.histogram
		if len(r.Points) > 1 {
			path = fmt.Sprintf("%s-%g.hgrm", strings.TrimSuffix(path, ".hgrm"), p.Rate)
		}
		if err := createFile(path, p.Histogram.WritePercentiles); err != nil {
			return err
		}
	}
	return nil
}

// drawCurve writes the page, or its charts alone; "" is nowhere.
func drawCurve(path string, page plot.Page) error {
	switch filepath.Ext(path) {
	case "":
		return nil
	case ".svg":
		return createFile(path, func(w io.Writer) error { return plot.WriteSVG(w, page.Charts...) })
	default:
		return createFile(path, func(w io.Writer) error { return plot.WriteHTML(w, page) })
	}
}

// printBench writes the report to standard output.
func (a *app) printBench(r *bench.Report, asJSON bool) error {
	for _, p := range r.Points {
		if p.SenderLate() {
			a.say("warning: at %s per second the records were sent late (p99 %s): this machine or its way to the brokers is part of the latency",
				readableRate(p.Rate), readableSeconds(p.SendDelay.P99))
		}
	}
	if r.Note != "" {
		a.say("%s", r.Note)
	}
	if asJSON {
		return printJSON(a.out, r)
	}
	w := &strings.Builder{}
	fmt.Fprintf(w, "offered/s\treceived/s\tp50\tp90\tp99\tp99.9\tmax\tlost\ttwice\tdead\tverdict\n")
	for _, p := range r.Points {
		l := &p.Latency
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", readableRate(p.Rate), readableRate(p.ReceivedRate),
			readableSeconds(l.P50), readableSeconds(l.P90), readableSeconds(l.P99), readableSeconds(l.P999), readableSeconds(l.Max),
			groupDigits(p.Lost), groupDigits(p.Duplicates), groupDigits(p.DeadLettered+p.Refused), p.Verdict())
	}
	return printTable(a.out, w)
}
