package bench

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-ml/sluice/internal/kafkawire"
	"github.com/sluice-ml/sluice/internal/load"
	"github.com/sluice-ml/sluice/pipeline"
	producer "github.com/sluice-ml/sluice/producers/kafka"
)

// sendBuffer is how many bytes may wait for the broker; beyond it sending blocks,
// which the latency contains.
const sendBuffer = 64 << 20

// interruptedWait is how long what is under way may still come back after
// Ctrl-C.
const interruptedWait = 2 * time.Second

// Config says what is loaded, with what, and how long.
type Config struct {
	Client *kafkawire.Client
	// Input is published to, Output followed; DeadLetter too unless it is "".
	Input, Output, DeadLetter string
	Records                   *Records
	Spread                    Spread
	// BySource matches outcomes by sluice's headers and keeps the records' own
	// keys; otherwise each record gets a key of its own, which the outcome must
	// carry.
	BySource bool
	Arrival  load.Arrival
	Seed     uint64
	// Warmup comes before Duration and is not measured.
	Warmup, Duration time.Duration
	// Wait is how long what is outstanding at the end may take to come back.
	Wait time.Duration
	// Producer is how records are sent.
	Producer producer.ProducerConfig
	// Progress is told twice a second how it goes; nil for nobody.
	Progress func(Progress)
	// Complain is told, a few times, why records were refused or dead-lettered;
	// nil for nobody. It is called from any goroutine.
	Complain func(text string)
}

// Progress is how a trial goes.
type Progress struct {
	Rate float64
	// Since the start, of Total; the warm-up is part of both.
	Since, Warmup, Total time.Duration
	// Waiting says that everything is sent.
	Waiting bool
	Counts  load.Counts
	// Backlog is what is due and not settled, in records.
	Backlog int64
	// P50 and P99 of what came back since the last progress; 0 when nothing did.
	P50, P99 time.Duration
}

// Bench is a connection to the system under test. Its methods are for one
// goroutine.
type Bench struct {
	cfg        Config
	partitions int32
	producer   *producer.Producer
	budget     *pipeline.Budget
	id         string
	trials     int

	current atomic.Pointer[trial]
	readers sync.WaitGroup
	reading context.Context //nolint:containedctx // the readers' life, from New to Close
	stop    context.CancelFunc

	mu     sync.Mutex // guards what follows
	failed error
	cancel context.CancelCauseFunc // ends the trial under way; nil between two
}

// New finds where the topics end and follows them from there. The client stays
// the caller's.
func New(ctx context.Context, cfg Config) (*Bench, error) {
	meta, err := cfg.Client.Metadata(ctx, cfg.Input)
	if err != nil {
		return nil, fmt.Errorf("ask for topic %s: %w", cfg.Input, err)
	}
	t := meta.Topic(cfg.Input)
	if t == nil || len(t.Partitions) == 0 {
		return nil, fmt.Errorf("topic %s: %w", cfg.Input, kafkawire.ErrUnknownTopicOrPartition)
	}
	out, err := producer.NewProducer(cfg.Client, cfg.Producer, nil) //nolint:contextcheck // it lives until Close
	if err != nil {
		return nil, err
	}
	var id [4]byte
	_, _ = rand.Read(id[:]) // never fails
	b := &Bench{
		cfg: cfg, partitions: int32(len(t.Partitions)), producer: out, budget: pipeline.NewBudget(sendBuffer),
		id: hex.EncodeToString(id[:]),
	}
	b.reading, b.stop = context.WithCancel(context.WithoutCancel(ctx))
	err = b.follow(ctx, cfg.Output, false)
	if err == nil && cfg.DeadLetter != "" {
		err = b.follow(ctx, cfg.DeadLetter, true)
	}
	if err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

// Close ends the following and the producer; what is still buffered is given up.
func (b *Bench) Close() {
	b.stop()
	b.readers.Wait()
	_ = b.producer.Close(b.reading) // ended: nothing is waited for
}

// fail ends the trial under way.
func (b *Bench) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failed == nil {
		b.failed = err
	}
	if b.cancel != nil {
		b.cancel(b.failed)
	}
}

func (b *Bench) failure() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failed
}

func (b *Bench) complain(text string) {
	if b.cfg.Complain != nil {
		b.cfg.Complain(text)
	}
}

// ErrNoAnswer says that a single record did not come back.
var ErrNoAnswer = errors.New("nothing came back")

// ErrDeadLettered says that a single record came back as a dead letter.
var ErrDeadLettered = errors.New("dead-lettered")

// Probe sends one record and waits for its prediction: connections are warm
// afterwards, and a deployment that does not answer is noticed before the load.
func (b *Bench) Probe(ctx context.Context) error {
	t := b.newTrial(1, time.Now())
	ctx, done := b.begin(ctx, t)
	defer done()
	if err := t.send(ctx, 0, t.start); err != nil {
		return err
	}
	t.await(ctx, b.cfg.Wait)
	counts := t.recorder.Counts()
	switch {
	case b.failure() != nil:
		return b.failure()
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case counts.DeadLettered+counts.Refused > 0:
		return fmt.Errorf("%w: %s", ErrDeadLettered, t.reason())
	case counts.Received == 0:
		return fmt.Errorf("%w on %s within %v of a record sent to %s", ErrNoAnswer, b.cfg.Output, b.cfg.Wait, b.cfg.Input)
	}
	return nil
}
