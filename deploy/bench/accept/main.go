// Command accept shows the main job's promises on a real Kafka broker: it loads
// topics, runs bin/sluice as a user would, kills it, poisons it, starves it, and
// checks what came out with clients that are not ours (franz-go, kcat) against a
// reference computed by Python's onnxruntime. It writes what it saw, raw, to a
// results file. KAFKA_BROKERS names the broker; `make accept` starts one.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sluice-ml/sluice/deploy/bench/lab"
)

// point is one "done when" of the main job.
type point struct {
	number int
	title  string
	run    func(context.Context, *campaign) ([]fact, error)
}

// fact is one thing seen: a name, a value, and whether it is what was promised.
type fact struct {
	Name  string
	Value string
	OK    bool
}

var points = []point{
	{1, "every id predicted by two processes, outputs equal the reference, lag 0", allPredicted},
	{2, "kill -9 at random: nothing lost, duplicates within the bound", killed},
	{3, "poison records: exactly those dead-lettered, replay brings the mended ones through", poisoned},
	{4, "SIGTERM under load: exit 0, nothing redone", terminated},
	{5, "a data-dependent failure on one row in 256: only the guilty rows", guiltyRows},
	{6, "memory bound under a slow model and a broker restart", bounded},
	{8, "every model of the zoo is treated right", everyModel},
	{9, "resident memory under a slow sink, bombs and giant tensors", ceiling},
	{7, "first figures beside a Python loop", firstFigures},
}

func main() {
	which := flag.String("points", "1,2,3,4,5,6,8,9,7", "the points to show")
	l := &campaign{Lab: &lab.Lab{}}
	flag.IntVar(&l.records, "records", 200_000, "records of 784 floats (points 1 to 4 and 7)")
	flag.StringVar(&l.Bin, "bin", "bin/sluice", "the service binary")
	flag.StringVar(&l.Zoo, "zoo", "pipeline/onnx/testdata/zoo", "folder of the model zoo")
	flag.StringVar(&l.Python, "python", "python3", "a Python with numpy, onnxruntime, confluent-kafka, pysimdjson")
	flag.StringVar(&l.out, "out", "", "results file to append to (default: stdout only)")
	flag.StringVar(&l.restart, "restart-broker", "", "shell command that restarts the broker hard (point 6)")
	flag.Uint64Var(&l.seed, "seed", 1, "seed of the fault times")
	flag.IntVar(&l.rounds, "rounds", 3, "rounds of the figures (point 7)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, l, *which)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "accept:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, l *campaign, which string) error {
	wanted, err := numbers(which)
	if err != nil {
		return err
	}
	if err := l.open(); err != nil {
		return err
	}
	defer l.Close(ctx)
	if err := l.heading(ctx); err != nil {
		return err
	}
	failed := 0
	for _, p := range points {
		if !slices.Contains(wanted, p.number) {
			continue
		}
		began := time.Now()
		facts, err := p.run(ctx, l)
		if err != nil {
			facts = append(facts, fact{"stopped by", err.Error(), false})
		}
		if !l.report(p, facts, time.Since(began)) {
			failed++
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d points did not hold", failed)
	}
	return nil
}

func numbers(list string) ([]int, error) {
	var out []int
	for _, s := range strings.Split(list, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(s))
		if err != nil {
			return nil, fmt.Errorf("-points %q: %w", list, err)
		}
		out = append(out, n)
	}
	return out, nil
}

// report prints a point's facts and appends them to the results file; it tells
// whether all held.
func (l *campaign) report(p point, facts []fact, took time.Duration) bool {
	held := true
	var b strings.Builder
	fmt.Fprintf(&b, "\n## %d. %s\n\n", p.number, p.title)
	for _, f := range facts {
		mark := "ok"
		if !f.OK {
			mark, held = "NOT", false
		}
		fmt.Fprintf(&b, "- %s: %s: %s\n", mark, f.Name, f.Value)
	}
	fmt.Fprintf(&b, "- took %s\n", took.Round(time.Second))
	fmt.Print(b.String())
	if l.out != "" {
		if err := appendFile(l.out, b.String()); err != nil {
			fmt.Fprintln(os.Stderr, "accept: write results:", err)
		}
	}
	return held
}

func appendFile(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(text); err != nil {
		return err
	}
	return f.Close()
}
