package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-ml/sluice/internal/config"
	"github.com/sluice-ml/sluice/internal/kafkawire"
	"github.com/sluice-ml/sluice/pipeline"
	producer "github.com/sluice-ml/sluice/producers/kafka"
	"github.com/sluice-ml/sluice/schemas"
)

const (
	// longestLine bounds memory; a record above it would be refused anyway.
	longestLine = 64 << 20
	// publishBuffer is how much may wait for the broker.
	publishBuffer = 64 << 20
	// complaints is how many rejected lines are told one by one.
	complaints = 10
)

// publishFlags are the flags of `sluice publish`.
type publishFlags struct {
	source      sourceFlags
	topic       string
	envelopes   bool
	noTrace     bool
	compression string
}

func (a *app) publishCommand() *cobra.Command {
	var flags publishFlags
	cmd := &cobra.Command{
		Use:   "publish [FILE]",
		Short: "Publish lines of a file, or of standard input",
		Long: `Publish each line as one record: the line is the value, or with --json an
envelope {"key", "value" or "value_base64", "headers", "partition", "timestamp"}
as tap prints it. Each record gets a traceparent header unless it has one. Lines
that cannot be published are named on standard error, the rest goes on, and the
exit code is 3.`,
		Example: `  sluice publish -b localhost:9092 -t payments requests.jsonl
  echo '{"input": [1, 2, 3]}' | sluice publish -b localhost:9092 -t payments
  sluice tap -b a:9092 -t payments -e | sluice publish -b b:9092 -t payments --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.publish(cmd, &flags, args) },
	}
	flags.source.register(cmd)
	cmd.Flags().StringVarP(&flags.topic, "topic", "t", "", "topic to publish to")
	cmd.Flags().BoolVar(&flags.envelopes, "json", false, "lines are JSON envelopes with key, headers, ...")
	cmd.Flags().BoolVar(&flags.noTrace, "no-trace", false, "add no traceparent header")
	cmd.Flags().StringVar(&flags.compression, "compression", "none", "none, gzip, snappy, lz4 or zstd")
	return cmd
}

func (a *app) publish(cmd *cobra.Command, flags *publishFlags, args []string) error {
	codec, err := kafkawire.ParseCodec(flags.compression)
	if err != nil {
		return usageErrorf("--compression: %w", err)
	}
	in, name, err := a.openInput(args)
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // only read
	cfg, client, meta, err := a.openTopic(cmd, &flags.source, flags.topic)
	if err != nil {
		return err
	}
	defer client.Close()
	out, err := producer.NewProducer(client, producer.ProducerConfig{Linger: 5 * time.Millisecond, Compression: codec, BatchBytes: cfg.Kafka.Tuning.BatchBytes}, nil)
	if err != nil {
		return err
	}
	p := &publisher{flags: flags, out: out, partitions: int32(len(meta.Partitions)), budget: pipeline.NewBudget(publishBuffer), name: name, app: a}
	return p.run(cmd.Context(), in)
}

// openInput is the file that is named, or standard input.
func (a *app) openInput(args []string) (in io.ReadCloser, name string, err error) {
	if len(args) == 0 || args[0] == "-" {
		return io.NopCloser(a.in), "standard input", nil
	}
	f, err := os.Open(args[0])
	if err != nil {
		return nil, "", usageErrorf("open the input: %w", err)
	}
	return f, args[0], nil
}

// openTopic connects and makes sure that the topic is there.
func (a *app) openTopic(cmd *cobra.Command, flags *sourceFlags, topic string) (*config.Config, *kafkawire.Client, *kafkawire.TopicMeta, error) {
	if topic == "" {
		return nil, nil, nil, usageErrorf("no topic; name one with -t")
	}
	cfg, err := a.load(cmd, flags, true)
	if err != nil {
		return nil, nil, nil, err
	}
	client, err := connect(cfg, nil)
	if err != nil {
		return nil, nil, nil, err
	}
	meta, err := client.Metadata(cmd.Context(), topic)
	if err != nil {
		client.Close()
		return nil, nil, nil, unreachable(cfg.Kafka.Brokers, err)
	}
	t := meta.Topic(topic)
	switch {
	case t == nil || t.Err == kafkawire.ErrUnknownTopicOrPartition:
		err = dependencyErrorf("topic %q does not exist; create it: %s", topic, createCommand(topic, cfg.Kafka.Brokers, 1))
	case t.Err != kafkawire.ErrNone:
		err = dependencyErrorf("topic %q: %w", topic, t.Err)
	}
	if err != nil {
		client.Close()
		return nil, nil, nil, err
	}
	return cfg, client, t, nil
}

// publisher publishes lines. Only its counts are shared with the producer.
type publisher struct {
	flags      *publishFlags
	out        *producer.Producer
	partitions int32
	budget     *pipeline.Budget
	name       string
	app        *app

	mu        sync.Mutex // guards what follows
	published int64
	rejected  int64
	fatal     error
}

func (p *publisher) run(ctx context.Context, in io.Reader) error {
	began, lines := time.Now(), bufio.NewScanner(in)
	lines.Buffer(make([]byte, 256<<10), longestLine)
	shown := time.Now()
	var line int64
	for ctx.Err() == nil && p.failure() == nil && lines.Scan() {
		line++
		p.line(ctx, line, lines.Bytes())
		if line%1024 == 0 && time.Since(shown) > 2*time.Second {
			shown = time.Now()
			p.progress(began)
		}
	}
	readErr := lines.Err()
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	flushErr := p.out.Flush(closing)
	closeErr := p.out.Close(closing)
	p.progress(began)
	switch {
	case p.failure() != nil:
		return dependencyErrorf("publish to %s: %w", p.flags.topic, p.failure())
	case readErr != nil:
		return fmt.Errorf("read %s, line %d: %w", p.name, line+1, readErr)
	case flushErr != nil:
		return dependencyErrorf("publish to %s: not everything was confirmed: %w", p.flags.topic, flushErr)
	case closeErr != nil:
		return closeErr
	case ctx.Err() != nil:
		return fmt.Errorf("interrupted after line %d", line)
	case p.rejected > 0:
		return partialErrorf("%d of %d lines were rejected", p.rejected, line)
	}
	return nil
}

// line publishes one line, or rejects it. text is valid until it returns.
func (p *publisher) line(ctx context.Context, number int64, text []byte) {
	rec := schemas.Record{Partition: producer.ByKey, Value: text}
	if p.flags.envelopes {
		if len(bytes.TrimSpace(text)) == 0 {
			return
		}
		var err error
		if rec, err = readEnvelope(text); err == nil && rec.Partition >= p.partitions {
			err = fmt.Errorf("partition %d: the topic has %d, counted from 0", rec.Partition, p.partitions)
		}
		if err != nil {
			p.reject(number, err)
			return
		}
	}
	if _, has := rec.Header(schemas.HeaderTraceParent); !has && !p.flags.noTrace {
		rec.Headers = append(rec.Headers, schemas.Header{Key: schemas.HeaderTraceParent, Value: newTraceParent()})
	}
	size := int64(len(rec.Value) + len(rec.Key) + 256)
	if p.budget.Reserve(ctx, size) != nil {
		return // interrupted: the loop ends
	}
	p.out.Produce(&producer.Record{
		Topic: p.flags.topic, Partition: rec.Partition, Timestamp: rec.Timestamp, Key: rec.Key, Value: rec.Value, Headers: rec.Headers,
	}, func(_ int32, _ int64, err error) {
		p.budget.Release(size)
		p.settle(number, err)
	})
}

func (p *publisher) settle(number int64, err error) {
	switch {
	case err == nil:
		p.mu.Lock()
		p.published++
		p.mu.Unlock()
	case errors.Is(err, producer.ErrTooLarge), errors.Is(err, producer.ErrRefused):
		p.reject(number, err)
	default:
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.fatal == nil {
			p.fatal = err
		}
	}
}

func (p *publisher) reject(number int64, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch p.rejected++; {
	case p.rejected <= complaints:
		p.app.say("%s, line %d: %v", p.name, number, err)
	case p.rejected == complaints+1:
		p.app.say("further rejected lines are only counted")
	}
}

func (p *publisher) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fatal
}

func (p *publisher) progress(began time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	rate := float64(p.published) / max(time.Since(began).Seconds(), 1e-3)
	p.app.say("published %s, rejected %s, %s per second", groupDigits(p.published), groupDigits(p.rejected), readableRate(rate))
}
