package kafka

import (
	"bytes"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluice-ml/sluice/internal/kafkawire"
	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/schemas"
)

func TestFailedDeliveryStopsOnePartitionWhichResumesByItself(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(2)
		w.produce(2, 20)
		r := w.reader(w.config(), func(r *reader) {
			r.hold = func(it *pipeline.Item) bool { return it.Partition == 1 }
		})
		w.until(5*time.Second, "all in hand", func() bool { return r.count() == 40 })
		w.until(5*time.Second, "the healthy one is committed", func() bool { return w.committed(0) == 20 })

		r.letGo(errors.New("output topic is gone"))
		w.until(5*time.Second, "a stop", func() bool { return len(r.src.Status().Stopped) == 1 })
		if s := r.src.Status().Stopped[0]; s.Partition != 1 || s.Reason != reasonOutput || s.Error != "output topic is gone" || s.Cure == "" {
			w.Errorf("stopped: %+v", s)
		}
		if at := w.committed(1); at > 0 {
			w.Errorf("the stopped partition was committed: %d", at)
		}

		w.until(10*time.Second, "everything again", func() bool { return r.count() == 60 })
		w.until(5*time.Second, "commit", func() bool { return w.committed(1) == 20 })
		w.until(5*time.Second, "recovery", func() bool { return len(r.src.Status().Stopped) == 0 })
	})
}

func TestStoppedPartitionIsTriedLessAndLessOften(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(1)
		w.produce(1, 1)
		tries := 0
		r := w.reader(w.config(), func(r *reader) { r.hold = holdAll })
		for end := time.Now().Add(10 * time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			r.mu.Lock()
			held := r.held
			r.held = nil
			r.mu.Unlock()
			for _, it := range held {
				tries++
				it.Settle(errors.New("no"))
			}
		}
		if tries < 10 || tries > 60 {
			w.Errorf("%d tries in 10 minutes, want backoff up to 30 s", tries)
		}
	})
}

func TestOversizedBatchBecomesOneDeadLetterAndMatesAreUnaffected(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(1)
		w.produce(1, 2)
		w.raw(0, bomb(w, 0))
		w.produce(1, 2)
		cfg := w.config()
		cfg.MaxBatchBytes = 1 << 20
		r := w.reader(cfg)
		w.until(5*time.Second, "five items", func() bool { return r.count() == 5 })

		got := r.records()[2]
		if got.err == nil || got.err.Class != schemas.TooLarge || got.err.Stage != schemas.StageDecode || got.Offset != 2 || got.Value != nil {
			w.Errorf("stub: %+v %v", got, got.err)
		}
		for i, rec := range r.records() {
			if i != 2 && rec.err != nil {
				w.Errorf("batch mate %v: %v", rec, rec.err)
			}
		}
		w.until(5*time.Second, "commit", func() bool { return w.committed(0) == 5 })
	})
}

func TestTooManyHeadersBecomeADeadLetterWithAllOfThem(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(1)
		rec := &kgo.Record{Topic: "in", Value: []byte("v")}
		for range 20 {
			rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: "h", Value: []byte("x")})
		}
		w.send(rec)
		cfg := w.config()
		cfg.Headers = kafkawire.HeaderLimit{Count: 10, Bytes: 1 << 20}
		r := w.reader(cfg)
		w.until(5*time.Second, "the item", func() bool { return r.count() == 1 })
		got := r.records()[0]
		if got.err == nil || got.err.Class != schemas.TooLarge || string(got.Value) != "v" || len(got.Headers) != 20 {
			w.Errorf("%+v %v", got, got.err)
		}
	})
}

// raw appends an encoded batch.
func (w *world) raw(partition int32, batch []byte) {
	w.Helper()
	c := w.client()
	node, _, err := c.Leader(w.Context(), "in", partition)
	if err != nil {
		w.Fatal(err)
	}
	resp, err := c.Produce(w.Context(), node, &kafkawire.ProduceRequest{
		Timeout:    time.Second,
		Partitions: []kafkawire.ProducePartition{{Topic: "in", Partition: partition, Records: [][]byte{batch}}},
	})
	if err != nil || resp.Partitions[0].Err != kafkawire.ErrNone {
		w.Fatalf("produce: %v, %+v", err, resp)
	}
}

// answerFetch makes the broker answer fetches of partition 0 with these bytes
// for as long as bad says so.
func (w *world) answerFetch(records []byte, bad func(offset int64) bool) {
	w.cluster.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		fetch := req.(*kmsg.FetchRequest)
		if len(fetch.Topics) == 0 || !bad(fetch.Topics[0].Partitions[0].FetchOffset) {
			return nil, nil, false
		}
		resp := fetch.ResponseKind().(*kmsg.FetchResponse)
		topic := kmsg.NewFetchResponseTopic()
		topic.Topic, topic.TopicID = fetch.Topics[0].Topic, fetch.Topics[0].TopicID
		part := kmsg.NewFetchResponseTopicPartition()
		part.HighWatermark, part.LastStableOffset, part.LogStartOffset = 100, 100, 0
		part.RecordBatches = bytes.Clone(records)
		topic.Partitions = append(topic.Partitions, part)
		resp.Topics = append(resp.Topics, topic)
		return resp, nil, true
	})
}

func TestCorruptBatchIsFetchedAgainThenStopsThenResumes(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(1)
		w.produce(1, 3)
		var fetches atomic.Int32
		var mended atomic.Bool
		broken := append(batchOf(w, 0, 1, 0), batchOf(w, 1, 2, 0, flip)...)
		w.answerFetch(broken, func(offset int64) bool {
			fetches.Add(1)
			return !mended.Load() && offset < 3
		})
		r := w.reader(w.config())
		w.until(10*time.Second, "a stop", func() bool { return len(r.src.Status().Stopped) == 1 })
		if s := r.src.Status().Stopped[0]; s.Reason != reasonCorrupt {
			w.Errorf("stopped: %+v", s)
		}
		if r.count() != 1 || fetches.Load() < 1+corruptTries {
			w.Errorf("%d records, %d fetches", r.count(), fetches.Load())
		}
		w.until(5*time.Second, "the good part is committed", func() bool { return w.committed(0) == 1 })

		mended.Store(true)
		w.until(time.Minute, "the rest", func() bool { return r.count() == 3 })
		w.until(5*time.Second, "recovery", func() bool { return len(r.src.Status().Stopped) == 0 })
	})
}

func TestOneFaultOnTheWayIsNoStop(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(1)
		w.produce(1, 3)
		var times atomic.Int32
		w.answerFetch(batchOf(w, 0, 3, 0, flip), func(int64) bool { return times.Add(1) <= 2 })
		r := w.reader(w.config())
		w.until(5*time.Second, "records", func() bool { return r.count() == 3 })
		if n := len(r.src.Status().Stopped); n != 0 {
			w.Errorf("%d stopped", n)
		}
	})
}

func TestLostReadRightStopsAndComesBack(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(1)
		r := w.reader(w.config())
		w.until(5*time.Second, "joined", func() bool { return r.assigned() == 1 })
		h := w.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.TopicAuthorizationFailed, Count: -1})
		w.until(10*time.Second, "a stop", func() bool { return len(r.src.Status().Stopped) == 1 })
		time.Sleep(5 * time.Minute)
		if h.Hits() > 40 {
			w.Errorf("%d fetches while unauthorised", h.Hits())
		}
		if s := r.src.Status().Stopped[0]; s.Reason != reasonUnauthorized || time.Since(s.Since) < 4*time.Minute {
			w.Errorf("stopped: %+v", s)
		}
		h.Remove()
		w.produce(1, 3)
		w.until(time.Minute, "records", func() bool { return r.count() == 3 && len(r.src.Status().Stopped) == 0 })
	})
}
