package demo

import (
	"context"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// tick is how often the generator looks at what is due.
	tick = 5 * time.Millisecond
	// chunk is how much it publishes at once when it goes as fast as possible.
	chunk = 512
)

// generator publishes the held-out images, one after the other and again from the
// start, each with a trace context of its own.
type generator struct {
	client *kgo.Client
	ledger *ledger
	rate   float64
	count  int64
}

func newGenerator(brokers []string, l *ledger, cfg *Config) (*generator, error) {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(brokers...),
		kgo.DefaultProduceTopic(inputTopic),
		kgo.ProducerLinger(time.Millisecond),
		kgo.MaxBufferedRecords(2*maxOutstanding),
	)
	if err != nil {
		return nil, fmt.Errorf("start the generator: %w", err)
	}
	return &generator{client: client, ledger: l, rate: cfg.Rate, count: cfg.Count}, nil
}

// run publishes until ctx ends or the count is reached, and returns when the
// broker has everything.
func (g *generator) run(ctx context.Context) error {
	failed := make(chan error, 1)
	promise := func(_ *kgo.Record, err error) {
		if err != nil {
			select {
			case failed <- err:
			default: // the first tells enough
			}
		}
	}
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	began := time.Now()
	var sent int64
	for !g.reached(sent) {
		now := time.Now()
		first, given, wait := g.ledger.reserve(g.due(now.Sub(began), sent), now)
		for i := range given {
			// Not ctx: what has been counted as published is to be published.
			g.client.Produce(context.WithoutCancel(ctx), g.record(first+i, now), promise)
		}
		sent += given
		var next <-chan time.Time
		if g.rate > 0 {
			next, wait = ticker.C, nil
		} else if given > 0 {
			wait = closedChannel
		}
		select {
		case <-ctx.Done():
			return g.flush(ctx, failed)
		case err := <-failed:
			return fmt.Errorf("publish to the embedded broker: %w", err)
		case <-next:
		case <-wait:
		}
	}
	return g.flush(ctx, failed)
}

var closedChannel = func() <-chan struct{} { c := make(chan struct{}); close(c); return c }()

func (g *generator) reached(sent int64) bool { return g.count > 0 && sent >= g.count }

// due is how many images are to be published now.
func (g *generator) due(elapsed time.Duration, sent int64) int64 {
	n := int64(chunk)
	if g.rate > 0 {
		n = int64(elapsed.Seconds()*g.rate) - sent
	}
	if g.count > 0 {
		n = min(n, g.count-sent)
	}
	return n
}

func (g *generator) record(sequence int64, now time.Time) *kgo.Record {
	img := &g.ledger.images[sequence%int64(len(g.ledger.images))]
	return &kgo.Record{
		Key:       img.key,
		Value:     img.payload(sequence),
		Timestamp: now,
		Headers: []kgo.RecordHeader{
			{Key: "content-type", Value: []byte("application/json")},
			{Key: "traceparent", Value: traceparent()},
		},
	}
}

func (g *generator) flush(ctx context.Context, failed <-chan error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	err := g.client.Flush(ctx)
	select {
	case err = <-failed:
	default:
	}
	if err != nil {
		return fmt.Errorf("publish to the embedded broker: %w", err)
	}
	return nil
}

func (g *generator) close() { g.client.Close() }

// traceparent is a sampled W3C trace context with random ids: each image begins a
// trace of its own.
func traceparent() []byte {
	var ids [24]byte
	for i := 0; i < len(ids); i += 8 {
		random := rand.Uint64() | 1 // an id of zeros is not valid
		for j := range 8 {
			ids[i+j] = byte(random >> (8 * j))
		}
	}
	out := append(make([]byte, 0, 55), "00-"...)
	out = hex.AppendEncode(out, ids[:16])
	out = append(out, '-')
	out = hex.AppendEncode(out, ids[16:])
	return append(out, "-01"...)
}
