package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sluice-ml/sluice/internal/kafkawire"
	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/schemas"
)

// Sink writes predictions to the output topic and failed items to their
// dead-letter topic. Safe for concurrent use.
type Sink struct {
	composer
	p        *Producer
	out      *topic
	routes   sync.Map // input topic -> *route
	failures failurePolicy
}

var _ pipeline.Sink = (*Sink)(nil)

// route is what the sink knows of one input topic.
type route struct {
	deadLetters *topic
	flood       *flood
}

// NewSink starts a sink with a producer of its own; Close ends both.
func NewSink(client *kafkawire.Client, cfg SinkConfig, tel *pipeline.Telemetry) (*Sink, error) {
	if client == nil {
		return nil, errors.New("kafka sink: needs a client")
	}
	return newSink(client, cfg, tel)
}

func newSink(b broker, cfg SinkConfig, tel *pipeline.Telemetry) (*Sink, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("kafka sink: %w", err)
	}
	cfg = cfg.withDefaults()
	p, err := newProducer(b, cfg.Producer, tel)
	if err != nil {
		return nil, err
	}
	return &Sink{
		composer: newComposer(cfg), p: p, out: p.topic(cfg.Topic), failures: newFailurePolicy(cfg.DeadLetter, tel),
	}, nil
}

// Send implements pipeline.Sink. Each record is encoded once, into its batch,
// before Send returns.
func (s *Sink) Send(_ context.Context, items []*pipeline.Item) {
	now := time.Now()
	w := writers.Get().(*writer)
	for len(items) > 0 {
		n := 1
		for n < len(items) && items[n].Topic == items[0].Topic {
			n++
		}
		s.sendRun(w, now, items[:n])
		items = items[n:]
	}
	w.clear()
	writers.Put(w)
}

// sendRun sends items of one input topic.
func (s *Sink) sendRun(w *writer, now time.Time, items []*pipeline.Item) {
	failed := 0
	for _, it := range items {
		if it.Err != nil {
			failed++
		}
	}
	r := s.route(items[0].Topic)
	r.flood.passed(now, len(items)-failed)
	var refused map[int32]error // partitions that stop: what follows comes again
	at := now.UnixNano()
	for _, it := range items {
		partition := it.Partition
		err := refused[partition]
		switch {
		case err != nil:
			it.Settle(err)
		case it.Err == nil:
			s.predict(w, it, at)
		default:
			if err = s.deadLetter(w, it); err != nil {
				if refused == nil {
					refused = map[int32]error{}
				}
				refused[partition] = err
			}
		}
	}
}

// route finds or makes an input topic's route.
func (s *Sink) route(input string) *route {
	if r, ok := s.routes.Load(input); ok {
		return r.(*route)
	}
	r, _ := s.routes.LoadOrStore(input, &route{
		deadLetters: s.p.topic(s.cfg.deadLetterTopic(input)),
		flood:       newFlood(s.cfg.DeadLetter),
	})
	return r.(*route)
}

// predict writes an item's output; at is now.
func (s *Sink) predict(w *writer, it *pipeline.Item, at int64) {
	rec := s.prediction(w, it)
	if it.FetchedAt > 0 {
		rec.Waited = time.Duration(at - it.FetchedAt)
	}
	s.p.produce(s.out, rec, newDelivery(s, it, prediction))
}

// deadLetter writes a failed item's original bytes, unless the configuration or
// a flood says to stop: then the item is settled with the reason, which it returns.
func (s *Sink) deadLetter(w *writer, it *pipeline.Item) error {
	r := s.route(it.Topic)
	if it.Err.Class == schemas.Expired {
		if s.cfg.DeadLetter.Expired == ExpiredDrop {
			it.Settle(nil)
			return nil
		}
	} else if err := s.failures.mayFail(r.flood, it); err != nil {
		it.Settle(err)
		return err
	}
	s.p.produce(r.deadLetters, s.letter(w, it), newDelivery(s, it, deadLetter))
	return nil
}

// stub writes where a record is instead of the record, when its dead letter is
// too large for the topic.
func (s *Sink) stub(w *writer, it *pipeline.Item) {
	s.p.produce(s.route(it.Topic).deadLetters, s.letterStub(w, it), newDelivery(s, it, stub))
}

// Flush implements pipeline.Sink. A prediction may turn into a dead letter, and
// that into a stub: three rounds, of which the empty ones cost nothing.
func (s *Sink) Flush(ctx context.Context) error {
	for range 3 {
		if err := s.p.Flush(ctx); err != nil {
			return err
		}
	}
	return nil
}

// BufferedBytes is the encoded size of what the broker has not confirmed.
func (s *Sink) BufferedBytes() int64 { return s.p.BufferedBytes() }

// Close flushes until ctx is done; what is left is settled with ErrClosed.
func (s *Sink) Close(ctx context.Context) error {
	err := s.Flush(ctx)
	return errors.Join(err, s.p.Close(ctx))
}
