package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-ml/sluice/internal/kafkawire"
	"github.com/sluice-ml/sluice/pipeline"
)

// broker is the part of *kafkawire.Client that a producer needs; tests script it.
// Every method blocks for one request at most and is safe for concurrent use.
type broker interface {
	Metadata(ctx context.Context, topics ...string) (*kafkawire.Metadata, error)
	TopicConfig(ctx context.Context, topic string, keys ...string) (map[string]string, error)
	InitProducerID(ctx context.Context, transactionalID string, txnTimeout time.Duration, pid int64, epoch int16) (int64, int16, error)
	Produce(ctx context.Context, node int32, req *kafkawire.ProduceRequest) (*kafkawire.ProduceResponse, error)
}

var _ broker = (*kafkawire.Client)(nil)

// Producer writes records idempotently. Safe for concurrent use; records that
// one goroutine produces for one partition keep their order.
type Producer struct {
	cfg    ProducerConfig
	broker broker
	log    *slog.Logger
	meters producerMeters

	topics   sync.Map // name -> *topic
	buffered atomic.Int64
	ledger   *ledger
	shut     atomic.Bool

	mu       sync.Mutex
	arrivals []*partition // for the dispatcher's list

	wake   chan struct{} // size 1: a signal, not a queue
	events chan event    // size 0: the dispatcher reads until the last one
	cancel context.CancelFunc
	ended  chan struct{} // closed by the dispatcher

	// tasks are goroutines that finish batches for the dispatcher.
	tasks sync.WaitGroup
}

// NewProducer starts a producer; Close ends it. It uses no network before the
// first record.
func NewProducer(client *kafkawire.Client, cfg ProducerConfig, tel *pipeline.Telemetry) (*Producer, error) {
	if client == nil {
		return nil, errors.New("kafka producer: needs a client")
	}
	return newProducer(client, cfg, tel)
}

func newProducer(b broker, cfg ProducerConfig, tel *pipeline.Telemetry) (*Producer, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("kafka producer: %w", err)
	}

	//nolint:forbidigo // a producer lives longer than any call: Close ends it
	ctx, cancel := context.WithCancel(context.Background())
	p := &Producer{
		cfg: cfg.withDefaults(), broker: b, log: logger(tel), meters: newProducerMeters(tel),
		ledger: newLedger(), wake: make(chan struct{}, 1), events: make(chan event),
		cancel: cancel, ended: make(chan struct{}),
	}
	p.meters.watch(tel, p)
	// Ended by cancel, in Close.
	go newDispatcher(p).run(ctx)
	return p, nil
}

// Produce takes a record and tells done its fate; it never blocks. Key, value
// and headers may be reused when it returns.
func (p *Producer) Produce(rec *Record, done func(partition int32, offset int64, err error)) {
	p.ProduceTo(rec, completionFunc(done))
}

// ProduceTo is Produce without a closure for each record.
func (p *Producer) ProduceTo(rec *Record, c Completion) { p.produce(p.topic(rec.Topic), rec, c) }

// produce is the hot path: no allocation, one mutex.
func (p *Producer) produce(t *topic, rec *Record, c Completion) {
	ts := rec.Timestamp
	if ts <= 0 {
		ts = time.Now().UnixMilli()
	}
	parts := t.parts.Load()
	if parts == nil {
		if parts = p.wait(t, rec, ts, c); parts == nil {
			return
		}
	}
	if pt, err := p.enqueue(t, *parts, rec, ts, c, newGeneration); err != nil {
		c.Produced(pt, -1, err)
	}
}

// enqueue appends to the record's partition and returns its number; with an
// error the record was not taken.
func (p *Producer) enqueue(t *topic, parts []*partition, rec *Record, ts int64, c Completion, generation int64) (int32, error) {
	for {
		pt := t.pick(parts, rec)
		if pt == nil {
			return rec.Partition, unwritable(t.name, rec.Partition, kafkawire.ErrUnknownTopicOrPartition)
		}
		pt.mu.Lock()
		sig, refusal := pt.append(p, rec, ts, c, generation)
		pt.mu.Unlock()
		if refusal != nil {
			return pt.id, refusal
		}
		p.notify(pt, sig)
		if !sig.moved {
			return pt.id, nil
		}
	}
}

// disperse moves a batch of the lobby to the partitions of its records.
func (p *Producer) disperse(t *topic, parts []*partition, b *batch) {
	var refusals []func()
	b.each(func(i int, wire *kafkawire.WireRecord) {
		rec := Record{Topic: t.name, Partition: b.want[i], Key: wire.Key, Value: wire.Value, Headers: wire.Headers}
		c := b.waiting[i]
		if pt, err := p.enqueue(t, parts, &rec, wire.Timestamp, c, b.generation); err != nil {
			refusals = append(refusals, func() { c.Produced(pt, -1, err) })
		}
	})
	// Off this goroutine: the lobby's mutex is held.
	p.task(func() {
		for _, tell := range refusals {
			tell()
		}
		p.drop(b)
	})
}

// wait puts the record into the topic's lobby, or returns the partitions when
// they have become known meanwhile.
func (p *Producer) wait(t *topic, rec *Record, ts int64, c Completion) *[]*partition {
	sig, parts, refusal := t.enter(p, rec, ts, c)
	switch {
	case parts != nil:
		return parts
	case refusal != nil:
		c.Produced(rec.Partition, -1, refusal)
	default:
		p.notify(t.lobby, sig)
	}
	return nil
}

// notify passes an append's news to the dispatcher.
func (p *Producer) notify(pt *partition, sig signal) {
	if sig.list {
		p.mu.Lock()
		p.arrivals = append(p.arrivals, pt)
		p.mu.Unlock()
	}
	if sig.list || sig.wake {
		p.nudge()
	}
}

// nudge makes the dispatcher look again.
func (p *Producer) nudge() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// topic finds or makes the topic of that name.
func (p *Producer) topic(name string) *topic {
	if t, ok := p.topics.Load(name); ok {
		return t.(*topic)
	}
	t, _ := p.topics.LoadOrStore(name, newTopic(name, p.cfg.BatchBytes))
	return t.(*topic)
}

// BufferedBytes is the encoded size of the records that are not finished.
func (p *Producer) BufferedBytes() int64 { return p.buffered.Load() }

// Flush blocks until every record produced before it has its fate, or ctx is
// done. Lingering batches leave at once.
func (p *Producer) Flush(ctx context.Context) error {
	generation := p.ledger.advance()
	p.topics.Range(func(_, v any) bool {
		t := v.(*topic)
		t.lobby.sealOlder(generation + 1)
		if parts := t.parts.Load(); parts != nil {
			for _, pt := range *parts {
				pt.sealOlder(generation + 1)
			}
		}
		return true
	})
	p.nudge()
	if err := p.ledger.wait(ctx, generation); err != nil {
		return fmt.Errorf("flush: %d bytes are not written yet: %w", p.buffered.Load(), err)
	}
	return nil
}

// Close flushes until ctx is done, fails what is left with ErrClosed, and waits
// for the producer's goroutines. Records produced after it fail with ErrClosed.
func (p *Producer) Close(ctx context.Context) error {
	err := p.Flush(ctx)
	p.shut.Store(true)
	p.cancel()
	<-p.ended
	p.tasks.Wait()
	return err
}

// finish tells a batch's records their fate and forgets it.
func (p *Producer) finish(pt *partition, b *batch, base int64, err error) {
	if err == nil {
		b.settle()
	}
	for i, c := range b.waiting {
		if c == nil {
			continue // settled
		}
		offset := int64(-1)
		if base >= 0 {
			offset = base + int64(i)
		}
		c.Produced(pt.id, offset, err)
	}
	p.drop(b)
}

// drop forgets a batch whose records have their fate or moved on.
func (p *Producer) drop(b *batch) {
	p.buffered.Add(-b.bytes)
	generation := b.generation
	b.recycle()
	p.ledger.leave(generation)
}

// fail finishes batches with an error, off the dispatcher's goroutine: a
// completion may take its time.
func (p *Producer) fail(pt *partition, all []*batch, err error) {
	if len(all) == 0 {
		return
	}
	p.task(func() {
		for _, b := range all {
			p.finish(pt, b, -1, err)
		}
	})
}

// task runs f on a goroutine that Close waits for.
func (p *Producer) task(f func()) { p.tasks.Go(f) }
