package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-ml/sluice/internal/config"
	"github.com/sluice-ml/sluice/internal/modelbench"
	"github.com/sluice-ml/sluice/internal/synthetic"
	"github.com/sluice-ml/sluice/pipeline/onnx"
	"github.com/sluice-ml/sluice/schemas"
)

const (
	// batchMemory is what the inputs of one batch may take; larger ones are left
	// out.
	batchMemory = 1 << 30
	// madeRows is how many different rows are made at most, within rowsMemory.
	madeRows   = 1024
	rowsMemory = 64 << 20
)

// modelBenchFlags are the flags of `sluice model bench`.
type modelBenchFlags struct {
	source         sourceFlags
	made           madeFlags
	library        string
	device         string
	batch, threads string
	time           time.Duration
	seed           uint64
	json           bool
	curve          string
}

func (a *app) modelBenchCommand() *cobra.Command {
	var flags modelBenchFlags
	cmd := &cobra.Command{
		Use:   "bench [PATH]",
		Short: "Measure a model by batch size and threads",
		Long: `Run a model on made-up rows, by batch size and by threads (workers x threads of a
run), and show the time of a run, rows per second and processor time, without
Kafka. It runs the model as the service does, copies in and out included.

The knee is the batch with the most throughput per latency. The fit
t(n) = a + b n tells what a run costs whatever its rows, and what a row adds. The
recommended max_rows is the smallest batch with at least 95 % of the most rows per
second, for the number of workers that reached it.`,
		Example: `  sluice model bench ./models/fraud
  sluice model bench tokens.onnx --dim seq=32 --range input_ids=0..30000
  sluice model bench mlp.onnx --batch 1,16,256 --threads 1x1,4x1,1x4 --time 3s --curve mlp.html
  sluice model bench -c sluice.yaml --json | jq .recommendation`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.modelBench(cmd, &flags, args) },
	}
	f := cmd.Flags()
	f.StringVarP(&flags.source.file, "config", "c", "", "configuration file")
	f.StringArrayVar(&flags.source.sets, "set", nil, "set a configuration key: path=value (repeatable)")
	f.StringVar(&flags.library, "library", "", "ONNX Runtime library (instead of runtime.library)")
	f.StringVar(&flags.device, "device", "", "cpu, cuda, cuda:0 or auto (default: cpu, or with -c: model.device)")
	f.StringVar(&flags.batch, "batch", "1..1024", "batch sizes: LOW..HIGH doubles, or a list such as 1,16,100")
	f.StringVar(&flags.threads, "threads", "", "WORKERSxTHREADS of a run, a list (default: 1x1, as many workers as processors, and as many threads)")
	f.DurationVar(&flags.time, "time", time.Second, "how long each batch size is run")
	f.Uint64Var(&flags.seed, "seed", 1, "seed of the made-up values")
	f.StringVar(&flags.curve, "curve", "", "draw throughput and latency: FILE.svg, or FILE.html with the table")
	flags.made.register(cmd)
	jsonFlag(cmd, &flags.json)
	return cmd
}

func (a *app) modelBench(cmd *cobra.Command, flags *modelBenchFlags, args []string) error {
	cfg, err := a.modelBenchConfig(cmd, flags, args)
	if err != nil {
		return err
	}
	plan, err := flags.plan()
	if err != nil {
		return err
	}
	if _, _, err := loadRuntime(cfg); err != nil {
		return err
	}
	ctx := cmd.Context()
	b := &modelBench{
		cfg: modelConfig(cfg), plan: plan, flags: flags, screen: newBenchScreen(a.err),
		report: &modelbench.Report{Version: version, Started: time.Now().UTC(), Seed: flags.seed},
	}
	runErr := b.run(ctx)
	b.screen.clear()
	if len(b.report.Cells) == 0 {
		return runErr
	}
	b.report.Finish()
	if interrupted(ctx) {
		runErr = &exitError{exitFailure, errors.New("interrupted; the report holds what was measured until then")}
	}
	return errors.Join(a.printModelBench(b.report, flags.json), drawCurve(flags.curve, b.report.Page()), runErr)
}

// modelBenchConfig is the configuration with the model that is named.
func (a *app) modelBenchConfig(cmd *cobra.Command, flags *modelBenchFlags, args []string) (*config.Config, error) {
	var cfg *config.Config
	switch {
	case flags.source.file != "":
		var err error
		if cfg, err = a.load(cmd, &flags.source, false); err != nil {
			return nil, err
		}
	case len(args) == 1:
		cfg = config.Default()
		cfg.Runtime.Library, _ = a.lookup("SLUICE_RUNTIME_LIBRARY")
	default:
		return nil, usageErrorf("no model; name its path, or a configuration with -c")
	}
	if len(args) == 1 {
		cfg.Model.Path, cfg.Model.Version, cfg.Model.Name = args[0], "", ""
	}
	if flags.device != "" {
		cfg.Model.Device = flags.device
	}
	if flags.library != "" {
		cfg.Runtime.Library = flags.library
	}
	return cfg, nil
}

// modelBenchPlan is what is measured.
type modelBenchPlan struct {
	sizes   []int
	threads []modelbench.Threads
	opts    synthetic.Options
}

func (f *modelBenchFlags) plan() (*modelBenchPlan, error) {
	p := &modelBenchPlan{}
	var err error
	if p.sizes, err = modelbench.ParseBatches(f.batch); err != nil {
		return nil, usageErrorf("--batch: %w", err)
	}
	text := f.threads
	if text == "" {
		n := runtime.GOMAXPROCS(0)
		text = fmt.Sprintf("1x1,%dx1,1x%d", n, n)
	}
	if p.threads, err = modelbench.ParseThreads(text); err != nil {
		return nil, usageErrorf("--threads: %w", err)
	}
	if f.time < 10*time.Millisecond {
		return nil, usageErrorf("--time %v: at least 10ms", f.time)
	}
	if p.opts, err = f.made.options(); err != nil {
		return nil, err
	}
	files := reportFiles{curve: f.curve}
	return p, files.check()
}

// modelBench measures one model.
type modelBench struct {
	cfg    onnx.Config
	plan   *modelBenchPlan
	flags  *modelBenchFlags
	screen *benchScreen
	report *modelbench.Report
}

// run measures every choice of threads; what was measured is in the report with
// an error too.
func (b *modelBench) run(ctx context.Context) error {
	for i, t := range b.plan.threads {
		cfg := b.cfg
		cfg.Workers, cfg.IntraOp, cfg.MaxRows = t.Workers, t.IntraOp, b.plan.sizes[len(b.plan.sizes)-1]
		model, err := onnx.Load(ctx, cfg, nil)
		if err != nil {
			return modelError(ctx, err)
		}
		if i == 0 {
			b.describe(model)
		}
		err = errors.Join(b.sizes(ctx, model, t), model.Close())
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *modelBench) describe(m *onnx.Model) {
	sig := m.Signature()
	r := b.report
	r.Model, r.SHA256, r.Device, r.Runtime = m.Name, m.SHA256, m.Device, m.RuntimeVersion
	r.Verdict = "rows share a run"
	switch {
	case sig.Alone:
		r.Verdict = "each row is run alone: " + sig.AloneReason
	case sig.FixedRows > 0:
		r.Verdict += fmt.Sprintf(", padded to %d", sig.FixedRows)
	}
}

// sizes measures each batch size on a loaded model.
func (b *modelBench) sizes(ctx context.Context, m *onnx.Model, t modelbench.Threads) error {
	inputs, err := syntheticInputs(m.Inputs())
	if err != nil {
		return err
	}
	maker, err := synthetic.NewMaker(inputs, b.plan.opts, b.flags.seed)
	if err != nil {
		return usageErrorf("make up rows for %s: %w", filepath.Base(b.cfg.Path), err)
	}
	b.report.RowBytes = maker.RowBytes()
	var rows [][]schemas.Tensor
	for len(rows) < madeRows && (len(rows) == 0 || int64(len(rows)+1)*maker.RowBytes() < rowsMemory) {
		rows = append(rows, maker.Row(nil))
	}
	for _, n := range b.plan.sizes {
		if int64(n)*maker.RowBytes() > batchMemory {
			b.note("batches of %d and more are left out: their inputs take more than %v", n, config.Size(batchMemory))
			return nil
		}
		b.screen.show(fmt.Sprintf("%d x %d threads, batch %d", t.Workers, t.IntraOp, n))
		cell, err := modelbench.Measure(ctx, m, t, n, rows, b.flags.time)
		switch {
		case err != nil && ctx.Err() == nil:
			return fmt.Errorf("%w\nare the made-up values right for this model? see --range and --dim", err)
		case err != nil:
			return err
		}
		b.report.Cells = append(b.report.Cells, cell)
	}
	return nil
}

func (b *modelBench) note(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if !contains(b.report.Notes, text) {
		b.report.Notes = append(b.report.Notes, text)
	}
}

// printModelBench writes the report to standard output.
func (a *app) printModelBench(r *modelbench.Report, asJSON bool) error {
	if asJSON {
		return printJSON(a.out, r)
	}
	a.say("%s on %s, ONNX Runtime %s, %d bytes a row; %s", r.Model, r.Device, r.Runtime, r.RowBytes, r.Verdict)
	w := &strings.Builder{}
	fmt.Fprintf(w, "threads\tbatch\tp50\tp99\trows/s\tCPU s per million\t\n")
	for _, c := range r.Cells {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%.3g\t%s\n", c.Name(), c.Rows, readableSeconds(c.P50), readableSeconds(c.P99), readableRate(c.RowsPerSecond), c.CPUPerMillion, r.Mark(c))
	}
	if err := printTable(a.out, w); err != nil {
		return err
	}
	text := ""
	for i := range r.Fits {
		text += r.Fits[i].Name() + ": " + r.Fits[i].String() + "\n"
	}
	for _, n := range r.Notes {
		text += n + "\n"
	}
	if m := r.Recommendation; m != nil {
		text += fmt.Sprintf("recommended: model.workers: %d and model.batch.max_rows: %d\n  %s\n", m.Workers, m.MaxRows, m.Why)
	}
	_, err := fmt.Fprint(a.out, text)
	return err
}
