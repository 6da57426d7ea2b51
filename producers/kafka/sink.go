package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sluice-ml/sluice/internal/kafkawire"
	"github.com/sluice-ml/sluice/internal/metrics"
	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/schemas"
)

// Sink writes predictions to the output topic and failed items to their
// dead-letter topic. Safe for concurrent use.
type Sink struct {
	cfg     SinkConfig
	p       *Producer
	out     *topic
	headers headerPlan
	routes  sync.Map // input topic -> *route
	flooded metrics.Vec
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
		cfg: cfg, p: p, out: p.topic(cfg.Topic), headers: newHeaderPlan(cfg),
		flooded: registry(tel).Gauge("sluice_dead_letter_flood", "1 when the input topic stopped for too many dead letters.", "topic"),
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
	for _, it := range items {
		partition := it.Partition
		err := refused[partition]
		switch {
		case err != nil:
			it.Settle(err)
		case it.Err == nil:
			s.predict(w, it)
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
		deadLetters: s.p.topic(strings.ReplaceAll(s.cfg.DeadLetterTopic, "{input}", input)),
		flood:       newFlood(s.cfg.DeadLetter),
	})
	return r.(*route)
}

// predict writes an item's output: the input's key, the output or null, and the
// lineage.
func (s *Sink) predict(w *writer, it *pipeline.Item) {
	rec := &w.rec
	*rec = Record{Partition: ByKey, Timestamp: it.Timestamp, Key: it.Key, Value: it.Output}
	if s.cfg.Partition == PartitionSame {
		rec.Partition = sameBase - it.Partition
	}
	if s.cfg.Timestamp == TimestampNow {
		rec.Timestamp = 0
	}
	if it.Tombstone {
		rec.Value = nil
	}
	rec.Headers = s.headers.prediction(w, it)
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
	} else if err := s.mayFail(r, it); err != nil {
		it.Settle(err)
		return err
	}
	rec := &w.rec
	*rec = Record{Partition: ByKey, Key: it.Key, Value: it.Value}
	w.headers = schemas.DeadLetterHeaders(w.headers[:0], &it.Record, s.info(it))
	rec.Headers = w.headers
	s.p.produce(r.deadLetters, rec, newDelivery(s, it, deadLetter))
	return nil
}

// mayFail says why an item's dead letter must not be written.
func (s *Sink) mayFail(r *route, it *pipeline.Item) error {
	if s.cfg.DeadLetter.OnError == OnErrorStop {
		return fmt.Errorf("%s/%d@%d: %w: %w", it.Topic, it.Partition, it.Offset, ErrItemStop, it.Err)
	}
	stop, first := r.flood.letter(time.Now())
	if first {
		s.flooded.With(it.Topic).Set(1)
		s.p.log.Error("dead letter flood: the partitions of this topic stop at their next failed item; nothing is lost, it is not committed. Mend the model or the messages and restart, or raise dead_letter.max_share",
			"topic", it.Topic, "max_share", s.cfg.DeadLetter.MaxShare, "window", s.cfg.DeadLetter.Window,
			"class", string(it.Err.Class), "stage", string(it.Err.Stage), "error", it.Err.Message)
	}
	if stop {
		return fmt.Errorf("%s/%d@%d: %w: %w", it.Topic, it.Partition, it.Offset, ErrDeadLetterFlood, it.Err)
	}
	return nil
}

// stub writes where a record is instead of the record, when its dead letter is
// too large for the topic.
func (s *Sink) stub(w *writer, it *pipeline.Item) {
	rec := &w.rec
	*rec = Record{Partition: ByKey, Value: schemas.StubValue(nil, &it.Record)}
	if len(it.Key) <= maxStubKey {
		rec.Key = it.Key
	}
	bare := it.Record
	bare.Headers = nil
	w.headers = schemas.DeadLetterHeaders(w.headers[:0], &bare, s.info(it))
	rec.Headers = w.headers
	s.p.produce(s.route(it.Topic).deadLetters, rec, newDelivery(s, it, stub))
}

// maxStubKey keeps a stub small: a longer key is left out.
const maxStubKey = 1024

// info is what a dead letter tells beyond the record. Model runs before a
// replay count too.
func (s *Sink) info(it *pipeline.Item) schemas.DeadLetterInfo {
	attempts := it.Attempts
	if before, ok := it.Header(schemas.HeaderAttempts); ok {
		if n, err := strconv.Atoi(string(before)); err == nil && n > 0 {
			attempts += n
		}
	}
	return schemas.DeadLetterInfo{
		Group: s.cfg.Group, Error: *it.Err, Attempts: attempts,
		ModelName: s.cfg.ModelName, ModelVersion: s.cfg.ModelVersion, TraceParent: it.TraceParent,
	}
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
