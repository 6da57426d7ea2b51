package main

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-ml/sluice/internal/bench"
	"github.com/sluice-ml/sluice/internal/config"
	"github.com/sluice-ml/sluice/internal/kafkawire"
	"github.com/sluice-ml/sluice/internal/load"
	producer "github.com/sluice-ml/sluice/producers/kafka"
)

// benchFlags are the flags of `sluice bench`.
type benchFlags struct {
	source  sourceFlags
	records recordFlags
	files   reportFiles

	input, output, dlq string
	rate               float64
	rates              string
	steps              int
	arrival            string
	duration, warmup   time.Duration
	wait               time.Duration
	seed               uint64
	partition, match   string
	linger             time.Duration
	compression        string
	noProbe            bool
}

func (a *app) benchCommand() *cobra.Command {
	var flags benchFlags
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Load a deployment and measure publish to prediction",
		Long: `Publish records on a schedule to the input topic of a running deployment, and
measure until each one's prediction is read from the output topic. Any deployment
will do, sluice or not, as long as it keeps the key or writes sluice's headers.

The schedule is open-loop: when the deployment is slow, the load does not wait
for it, and latency counts from the instant a record was due, not from when it
could be sent (no coordinated omission). What never comes back counts with its age
at the end. A rate is not sustained when the backlog grows by more than 1 s of
load. With several rates the knee is the sustained one with the most throughput
per p99.

Records come from a file (--records) or are made up, seeded, from the signature of
the model that -c or --model names. Each gets a key of its own, by which its
prediction is known; with --match source they keep the file's keys, and sluice's
x-source header tells. The load is real: use a topic whose predictions nobody acts
on. Exit codes: 1 the lowest rate was not sustained, or interrupted; 3 records
were lost, doubled, refused or dead-lettered; 5 nothing answers.`,
		Example: `  sluice bench -c sluice.yaml --rate 1000
  sluice bench -c sluice.yaml --rates 500..8000 --steps 6 --curve curve.html --json >bench.json
  sluice bench -b localhost:9092 --input payments --output payments.predictions --records requests.jsonl
  sluice bench -b localhost:9092 --input in --output out --model mlp.onnx --codec raw --arrival constant --histogram mlp.hgrm`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.bench(cmd, &flags) },
	}
	flags.source.register(cmd)
	f := cmd.Flags()
	f.StringVar(&flags.input, "input", "", "topic to publish to (with -c: the first of input.topics)")
	f.StringVar(&flags.output, "output", "", "topic of the predictions (with -c: output.topic)")
	f.StringVar(&flags.dlq, "dlq", "", "dead-letter topic, or none (default: the configuration's, else INPUT.dlq where it exists)")
	f.Float64Var(&flags.rate, "rate", 1000, "records per second")
	f.StringVar(&flags.rates, "rates", "", "several rates instead: LOW..HIGH, or a list such as 500,1000,4000")
	f.IntVar(&flags.steps, "steps", 6, "how many rates LOW..HIGH is")
	f.StringVar(&flags.arrival, "arrival", string(load.Poisson), "gaps between records: poisson or constant")
	f.DurationVar(&flags.duration, "duration", 30*time.Second, "measured time of each rate")
	f.DurationVar(&flags.warmup, "warmup", 5*time.Second, "time before it that is not measured")
	f.DurationVar(&flags.wait, "wait", 30*time.Second, "how long what is outstanding at the end may take")
	f.Uint64Var(&flags.seed, "seed", 1, "seed of the schedule and of made-up values")
	f.StringVar(&flags.partition, "partition", "key", "partitions: key (the record's own, else the key's hash), round-robin, or a number")
	f.StringVar(&flags.match, "match", "key", "how predictions are known: key (each record gets its own) or source (x-source header)")
	f.DurationVar(&flags.linger, "linger", time.Millisecond, "how long records wait for company before they are sent")
	f.StringVar(&flags.compression, "compression", "none", "none, gzip, snappy, lz4 or zstd")
	f.BoolVar(&flags.noProbe, "no-probe", false, "do not send a single record first to see whether anything answers")
	flags.records.register(cmd)
	flags.files.register(cmd)
	return cmd
}

func (a *app) bench(cmd *cobra.Command, flags *benchFlags) error {
	began := time.Now()
	rates, cfg, err := flags.parse(cmd.Flags().Changed("rate"))
	if err != nil {
		return err
	}
	settings, err := a.load(cmd, &flags.source, true)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	if cfg.Client, err = connect(settings, nil); err != nil {
		return err
	}
	defer cfg.Client.Close()
	partitions, err := flags.topics(ctx, cfg, settings)
	if err != nil {
		return err
	}
	if cfg.Spread, err = flags.spread(partitions); err != nil {
		return err
	}
	if cfg.Records, err = a.benchRecords(ctx, flags, settings); err != nil {
		return err
	}
	// What the set-up left is given back now: the load should find this process
	// small, and not pay for its collection.
	debug.FreeOSMemory()
	screen := newBenchScreen(a.err)
	cfg.Progress, cfg.Complain = screen.progress, screen.say
	b, err := bench.New(ctx, *cfg)
	if err != nil {
		return unreachable(settings.Kafka.Brokers, err)
	}
	defer b.Close()
	report := flags.report(cfg, settings, began)
	report.Partitions = partitions
	a.say("%s to %s: %s arrivals, %v each after %v of warm-up; records %s, %d of %.0f bytes", cfg.Input, cfg.Output, cfg.Arrival,
		cfg.Duration, cfg.Warmup, cfg.Records.Origin, cfg.Records.Count(), cfg.Records.MeanBytes())
	if !flags.noProbe {
		if err := probeError(ctx, b.Probe(ctx), flags.match); err != nil {
			return err
		}
	}
	points, note, err := b.Sweep(ctx, rates, func(*bench.Point) { screen.clear() })
	screen.clear()
	report.SetPoints(points, note)
	if len(points) == 0 {
		return err
	}
	return errors.Join(a.printBench(report, flags.files.json), flags.files.write(report), benchError(points, err))
}

// parse checks the flags that need nobody else.
func (f *benchFlags) parse(rateGiven bool) ([]float64, *bench.Config, error) {
	if f.rates != "" && rateGiven {
		return nil, nil, usageErrorf("--rate and --rates are both given; keep one")
	}
	rates, err := parseRates(f.rates, f.rate, f.steps)
	if err != nil {
		return nil, nil, err
	}
	cfg := &bench.Config{
		Seed: f.seed, Warmup: f.warmup, Duration: f.duration, Wait: f.wait, BySource: f.match == "source",
	}
	if cfg.Arrival, err = load.ParseArrival(f.arrival); err != nil {
		return nil, nil, usageErrorf("--arrival: %w", err)
	}
	codec, err := kafkawire.ParseCodec(f.compression)
	if err != nil {
		return nil, nil, usageErrorf("--compression: %w", err)
	}
	cfg.Producer = producer.ProducerConfig{Linger: f.linger, Compression: codec}
	switch {
	case f.match != "key" && f.match != "source":
		return nil, nil, usageErrorf("--match: unknown way %q; allowed: key, source", f.match)
	case f.duration < time.Second:
		return nil, nil, usageErrorf("--duration %v: at least 1s", f.duration)
	case f.warmup < 0, f.wait <= 0, f.linger < 0:
		return nil, nil, usageErrorf("--warmup, --wait and --linger must not be negative, and --wait not 0")
	}
	if err := f.files.check(); err != nil {
		return nil, nil, err
	}
	return rates, cfg, nil
}

// topics names the topics, makes sure that they are there, and returns how many
// partitions the input has.
func (f *benchFlags) topics(ctx context.Context, cfg *bench.Config, settings *config.Config) (int32, error) {
	cfg.Input, cfg.Output, cfg.DeadLetter = f.input, f.output, f.dlq
	optional := false
	if f.source.file != "" {
		if cfg.Input == "" {
			cfg.Input = settings.Input.Topics[0]
		}
		if cfg.Output == "" {
			cfg.Output = settings.Output.Topic
		}
		if cfg.DeadLetter == "" && writesDeadLetters(settings) {
			cfg.DeadLetter = settings.DeadLetterTopic(cfg.Input)
		}
	}
	switch {
	case cfg.Input == "":
		return 0, usageErrorf("no input topic; name it with --input, or a configuration with -c")
	case cfg.Output == "":
		return 0, usageErrorf("no output topic; name it with --output, or a configuration with -c")
	case cfg.Output == cfg.Input:
		return 0, usageErrorf("--input and --output are the same topic")
	case cfg.DeadLetter == "":
		cfg.DeadLetter, optional = cfg.Input+".dlq", true
	case cfg.DeadLetter == "none":
		cfg.DeadLetter = ""
	}
	uses := []topicUse{{cfg.Input, "input", "--input"}, {cfg.Output, "output", "--output"}}
	if cfg.DeadLetter != "" {
		uses = append(uses, topicUse{cfg.DeadLetter, "dead-letter", "--dlq"})
	}
	meta, err := cfg.Client.Metadata(ctx, namesOf(uses)...)
	if err != nil {
		return 0, unreachable(settings.Kafka.Brokers, err)
	}
	for _, u := range uses {
		err := topicError(u, meta, settings)
		if err != nil && optional && u.key == "--dlq" {
			cfg.DeadLetter = ""
			continue
		}
		if err != nil {
			return 0, dependencyErrorf("%w", err)
		}
	}
	return int32(len(meta.Topic(cfg.Input).Partitions)), nil
}

// report is the report's head.
func (f *benchFlags) report(cfg *bench.Config, settings *config.Config, began time.Time) *bench.Report {
	r := &bench.Report{
		Version: version, Started: began.UTC(), Brokers: settings.Kafka.Brokers, Input: cfg.Input, Output: cfg.Output,
		DeadLetter: cfg.DeadLetter, Arrival: string(cfg.Arrival), Seed: cfg.Seed,
		Warmup: cfg.Warmup.Seconds(), Duration: cfg.Duration.Seconds(), Match: f.match,
	}
	r.Records.Origin, r.Records.Different, r.Records.MeanBytes = cfg.Records.Origin, cfg.Records.Count(), cfg.Records.MeanBytes()
	return r
}

// probeError says what to look at when a single record did not come back.
func probeError(ctx context.Context, err error, match string) error {
	switch {
	case err == nil:
		return nil
	case interrupted(ctx):
		return &exitError{exitFailure, errors.New("interrupted before the load began")}
	case errors.Is(err, bench.ErrDeadLettered):
		return partialErrorf("a single record, sent to see whether anything answers, was %w\nthe records do not fit the deployment: see --records, --codec, --dim and --range", err)
	case errors.Is(err, bench.ErrNoAnswer):
		cure := "does the deployment keep the key? sluice's header is another way: --match source"
		if match == "source" {
			cure = "does the deployment write the x-source header (output.lineage: short)?"
		}
		return dependencyErrorf("%w\nis a deployment running that reads the one and writes the other (sluice run)? %s", err, cure)
	}
	return err
}

// benchError is the command's result.
func benchError(points []*bench.Point, err error) error {
	var lost, twice, refused int64
	for _, p := range points {
		lost, twice, refused = lost+p.Lost, twice+p.Duplicates, refused+p.Refused+p.DeadLettered
	}
	first, last := points[0], points[len(points)-1]
	switch {
	case err != nil:
		return err
	case last.Interrupted:
		return &exitError{exitFailure, errors.New("interrupted; the report holds what was measured until then")}
	case !first.Sustained:
		return &exitError{exitFailure, fmt.Errorf("%s per second were not sustained: the backlog grew by %.1f s of load in %.0f s; try less",
			readableRate(first.Rate), first.BacklogGrowth, first.End.Sub(first.Started).Seconds())}
	case lost+twice+refused > 0:
		return partialErrorf("%d records were lost, %d came twice, %d were refused or dead-lettered", lost, twice, refused)
	}
	return nil
}
