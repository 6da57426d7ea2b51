// Command compare holds sluice against its rivals on a real Kafka broker: the
// same records, the same model, the same machine, in rotated order, several
// rounds, every output checked first. `make bench` starts a broker, builds what
// takes part and runs it; deploy/bench/README.md says how to read what comes out.
package main

import (
	"context"
	"errors"
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

// options are the flags.
type options struct {
	contenders, payloads, points string
	rates                        string
	rounds, records, partitions  int
	floor                        float64
	latencyPayload               string
	duration                     time.Duration
	out                          string
	resume, reportOnly           bool
	variants                     []*lab.Contender
}

func main() {
	var o options
	l := &lab.Lab{}
	flag.StringVar(&o.contenders, "contenders", "", "who takes part, by comma (default: all that can be built here)")
	flag.StringVar(&o.payloads, "payloads", "json,raw,event,tokens,crayfish", "payloads of the points drain, limits")
	flag.StringVar(&o.points, "points", "drain,memory,limits,batching,growth,latency", "what is measured")
	flag.IntVar(&o.rounds, "rounds", 7, "rounds of each leg; fewer than 5 give no real interval")
	flag.IntVar(&o.records, "records", 300_000, "records of a json drain; the others have more or fewer, by their speed")
	flag.IntVar(&o.partitions, "partitions", lab.Partitions, "drain, memory: partitions of the topics")
	flag.StringVar(&o.rates, "rates", "50,80,95", "latency: percent of the best rival's capacity; empty for -floor alone, without any search")
	flag.Float64Var(&o.floor, "floor", 1000, "latency: messages a second that are held against the null worker")
	flag.StringVar(&o.latencyPayload, "latency-payload", "json", "latency: the payload")
	flag.DurationVar(&o.duration, "duration", 30*time.Second, "latency: measured time of a leg, after 10 s of warm-up")
	flag.StringVar(&o.out, "out", "deploy/bench/results", "folder of the results page and its plots")
	flag.Func("variant", "another build or other settings of sluice as a contender, such as 'sluice small=bin/sluice model.batch.max_rows=16'; may come several times", func(text string) error {
		v, err := lab.Variant(text)
		o.variants = append(o.variants, v)
		return err
	})
	flag.BoolVar(&o.resume, "resume", false, "go on where the last run ended: finished legs are not repeated")
	flag.BoolVar(&o.reportOnly, "report", false, "only write the results page of what is in the work folder")
	flag.StringVar(&l.Bin, "bin", "bin/sluice", "the service binary")
	flag.StringVar(&l.Zoo, "zoo", "pipeline/onnx/testdata/zoo", "folder of the model zoo")
	flag.StringVar(&l.Python, "python", "python3", "a Python with deploy/bench/requirements.txt")
	flag.StringVar(&l.Work, "work", "bin/bench", "work folder: models, builds, logs, one line a leg in legs.jsonl")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, l, o)
	interrupted := ctx.Err() != nil
	stop()
	switch {
	case interrupted:
		fmt.Fprintln(os.Stderr, "bench: interrupted; -resume goes on")
		os.Exit(130)
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench is one run.
type bench struct {
	*lab.Lab
	options
	contenders []*lab.Contender
	payloads   []*lab.Payload
	store      *store
	machine    string // in the plots
}

func run(ctx context.Context, l *lab.Lab, o options) error {
	l.Dir = filepath.Join(l.Work, "logs")
	if err := errors.Join(os.MkdirAll(l.Work, 0o755), o.check()); err != nil {
		return err
	}
	s, err := openStore(filepath.Join(l.Work, "legs.jsonl"), o.resume || o.reportOnly)
	if err != nil {
		return err
	}
	defer s.close()
	b := &bench{Lab: l, options: o, store: s}
	if o.reportOnly {
		return b.report(ctx)
	}
	if err := l.Open(); err != nil {
		return err
	}
	defer l.Close(ctx)
	if err := b.participants(ctx); err != nil {
		return err
	}
	if err := s.begin(lab.Arguments()); err != nil {
		return err
	}
	if err := b.walk(ctx, b.plan()); err != nil {
		return err
	}
	return b.report(ctx)
}

func (o *options) check() error {
	for _, p := range split(o.points) {
		if planners[p] == nil {
			return fmt.Errorf("-points %q: there are drain, memory, limits, batching, growth, latency", p)
		}
	}
	for _, r := range split(o.rates) {
		if percent, err := strconv.ParseFloat(r, 64); err != nil || !(percent > 0) {
			return fmt.Errorf("-rates %q: want percents of the best rival's capacity, such as 50,80,95", o.rates)
		}
	}
	if _, err := lab.PayloadNamed(o.latencyPayload); err != nil {
		return fmt.Errorf("-latency-payload: %w", err)
	}
	if o.rounds < 1 || o.records < 1000 {
		return errors.New("-rounds must be 1 or more, -records 1,000 or more")
	}
	return nil
}

// participants finds payloads and contenders and builds what must be built.
func (b *bench) participants(ctx context.Context) error {
	for _, name := range split(b.options.payloads) {
		p, err := lab.PayloadNamed(name)
		if err != nil {
			return err
		}
		b.payloads = append(b.payloads, p)
	}
	wanted := split(b.options.contenders)
	all := lab.Contenders
	if len(wanted) > 0 {
		var err error
		if all, err = lab.ContendersNamed(wanted); err != nil {
			return err
		}
	}
	for _, c := range slices.Concat(all, b.variants) {
		if c.Build != nil {
			fmt.Println("building", c.Name)
			if err := c.Build(ctx, b.Lab); err != nil {
				if len(wanted) > 0 || ctx.Err() != nil {
					return fmt.Errorf("build %s: %w", c.Name, err)
				}
				fmt.Printf("%s takes no part: %v\n", c.Name, err)
				continue
			}
		}
		b.contenders = append(b.contenders, c)
	}
	return nil
}

// contender is one of those who take part, nil when it does not.
func (b *bench) contender(name string) *lab.Contender {
	i := slices.IndexFunc(b.contenders, func(c *lab.Contender) bool { return c.Name == name })
	if i < 0 {
		return nil
	}
	return b.contenders[i]
}

func split(list string) []string {
	var out []string
	for _, s := range strings.Split(list, ",") {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}
