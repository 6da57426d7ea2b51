package kafka

import (
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestMissingTopicAtStartIsAnErrorAfterTheWait(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		src, err := NewSource(w.client(), w.config(), nil)
		if err != nil {
			w.Fatal(err)
		}
		began := time.Now()
		err = src.Start(w.Context())
		if !errors.Is(err, ErrTopicMissing) {
			w.Errorf("Start: %v, want ErrTopicMissing", err)
		}
		if waited := time.Since(began); waited < 4*time.Second || waited > 6*time.Second {
			w.Errorf("waited %v, want the 5s of StartupWait", waited)
		}
	})
}

func TestTopicCreatedWhileWaitingIsRead(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		time.AfterFunc(2*time.Second, func() { _ = w.cluster.CreateTopic("in", 1, nil) })
		r := w.reader(w.config())
		w.produce(1, 3)
		w.until(5*time.Second, "records", func() bool { return r.count() == 3 })
	})
}

func TestStartLatestSkipsOldRecordsAndKeepsItsPlace(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(1)
		w.produce(1, 5)
		cfg := w.config()
		cfg.Start = StartLatest
		first := w.reader(cfg)
		w.until(5*time.Second, "the start position is committed", func() bool { return w.committed(0) == 5 })
		first.cancel() // as a crash: nothing more is committed
		<-first.ended

		w.produce(1, 3)
		first.src.cancel()
		second := w.reader(cfg)

		w.until(20*time.Second, "what came after the start", func() bool { return second.count() == 3 })
	})
}

func TestNewPartitionsAreReadFromTheirFirstRecord(t *testing.T) {
	t.Parallel()
	for _, start := range []Start{StartEarliest, StartLatest} {
		t.Run(string(start), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(w *world) {
				w.topic(2)
				cfg := w.config()
				cfg.Start = start
				r := w.reader(cfg)
				w.until(5*time.Second, "joined", func() bool { return r.assigned() == 2 })
				time.Sleep(time.Second)

				if _, err := w.admin.UpdatePartitions(w.Context(), 4, "in"); err != nil {
					w.Fatal(err)
				}
				time.Sleep(time.Second)
				w.produce(4, 5)

				w.until(20*time.Second, "all of four partitions", func() bool { return r.count() == 20 })
				w.wantAll(4, 5, 1, r)
			})
		})
	}
}

func TestGoneRecordsFollowThePolicy(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		policy  OutOfRange
		got     int
		lost    uint64
		stopped int
	}{
		{OutOfRangeStop, 0, 6, 1},
		{OutOfRangeEarliest, 4, 6, 0},
		{OutOfRangeLatest, 0, 10, 0},
	} {
		t.Run(string(c.policy), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(w *world) {
				w.topic(1)
				w.produce(1, 10)
				w.commit(0, 0)
				if err := w.cluster.DeleteRecords("in", 0, 6); err != nil {
					w.Fatal(err)
				}
				cfg := w.config()
				cfg.OutOfRange = c.policy

				r := w.reader(cfg)

				lost := r.src.metrics.lostOf(topicPartition{"in", 0})
				w.until(10*time.Second, "the loss is counted", func() bool { return lost.Count() > 0 })
				time.Sleep(5 * time.Minute) // the stop is tried again and again
				if lost.Count() != c.lost {
					w.Errorf("%d lost, want %d", lost.Count(), c.lost)
				}
				if r.count() != c.got {
					w.Errorf("%d records, want %d", r.count(), c.got)
				}
				stopped := r.src.Status().Stopped
				if len(stopped) != c.stopped {
					w.Fatalf("stopped: %+v", stopped)
				}
				if c.stopped > 0 && (stopped[0].Reason != reasonOutOfRange || stopped[0].Cure == "") {
					w.Errorf("stopped: %+v", stopped[0])
				}
			})
		})
	}
}

func TestUnstableOffsetIsWaitedFor(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(1)
		w.produce(1, 3)
		h := w.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, Err: errUnstable, Count: 4, Topic: "in"})
		r := w.reader(w.config())
		w.until(5*time.Second, "records", func() bool { return r.count() == 3 })
		if h.Hits() != 4 {
			w.Errorf("asked %d times", h.Hits())
		}
	})
}

// While the group's offsets are not known, nothing may be committed over them.
func TestSlowOffsetsAreNotCommittedOver(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(1)
		w.produce(1, 10)
		w.commit(0, 5)
		h := w.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, Err: errUnstable, Count: 50, Topic: "in"})
		r := w.reader(w.config())
		w.until(5*time.Second, "the offsets are asked for often", func() bool { return h.Hits() >= 50 })
		w.until(5*time.Second, "records", func() bool { return r.values()["0/9"] > 0 })

		if n := r.count(); n != 5 {
			w.Errorf("%d records, want the 5 from the committed offset on", n)
		}
	})
}

func TestDeletedTopicCausesNoRebalanceStorm(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(2)
		w.produce(2, 5)
		r := w.reader(w.config())
		w.until(5*time.Second, "records", func() bool { return r.count() == 10 })
		time.Sleep(time.Second)
		generation := r.generation()
		fetches := w.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Observe: true, Count: -1})
		joins := w.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.JoinGroup}, Observe: true, Count: -1})

		if err := w.cluster.DeleteTopic("in"); err != nil {
			w.Fatal(err)
		}
		w.until(30*time.Second, "a stop", func() bool { return len(r.src.Status().Stopped) == 2 })
		time.Sleep(5 * time.Minute)
		if joins.Hits() > 0 || r.generation() != generation {
			w.Errorf("%d joins, generation %d became %d", joins.Hits(), generation, r.generation())
		}
		if fetches.Hits() > 100 {
			w.Errorf("%d fetches of a missing topic in 5 minutes", fetches.Hits())
		}

		// It comes back; everything of the old one had been read.
		w.topic(2)
		time.Sleep(time.Second)
		w.produce(2, 3)
		w.until(2*time.Minute, "records of the new topic", func() bool { return r.count() == 16 })
		w.until(time.Minute, "recovered", func() bool { return len(r.src.Status().Stopped) == 0 })
		w.until(time.Minute, "its own offsets", func() bool { return w.committed(0) == 3 })
	})
}

func TestRecreatedTopicWithUnreadRecordsFollowsThePolicy(t *testing.T) {
	t.Parallel()
	for _, policy := range []OutOfRange{OutOfRangeStop, OutOfRangeEarliest} {
		t.Run(string(policy), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(w *world) {
				w.topic(1)
				cfg := w.config()
				cfg.OutOfRange, cfg.MaxInFlight, cfg.FetchBytes = policy, 2, 200
				r := w.reader(cfg, func(r *reader) { r.hold = holdAll })
				w.until(5*time.Second, "joined", func() bool { return r.assigned() == 1 })
				for range 10 {
					w.produce(1, 10) // small batches: not all are fetched
				}
				w.until(5*time.Second, "a full hand", func() bool { return r.count() == 2 })
				time.Sleep(20 * time.Second) // the end is asked for while nothing is fetched

				if err := w.cluster.DeleteTopic("in"); err != nil {
					w.Fatal(err)
				}
				w.topic(1)
				r.letGo(nil)
				time.Sleep(time.Second)
				w.produce(1, 4)

				lost := r.src.metrics.lostOf(topicPartition{"in", 0})
				w.until(time.Minute, "the loss is counted", func() bool { return lost.Count() > 0 })
				before := r.count()
				time.Sleep(time.Minute)
				stopped := r.src.Status().Stopped
				switch policy {
				case OutOfRangeStop:
					if len(stopped) != 1 || stopped[0].Reason != reasonRecreated || r.count() != before {
						w.Errorf("stopped %+v, %d records more", stopped, r.count()-before)
					}
				default:
					if len(stopped) != 0 || r.values()["0/3"] < 2 || w.committed(0) != 4 {
						w.Errorf("stopped %+v, committed %d", stopped, w.committed(0))
					}
				}
				if int(lost.Count())+before != 100 && policy == OutOfRangeStop {
					w.Errorf("%d lost and %d read of 100", lost.Count(), before)
				}
			})
		})
	}
}

func TestTopicRecreatedWithOtherPartitionsIsReadFromItsStart(t *testing.T) {
	t.Parallel()
	for name, gone := range map[string]time.Duration{"at once": 0, "after a while": time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(w *world) {
				w.topic(1)
				w.produce(1, 10)
				cfg := w.config()
				cfg.OutOfRange = OutOfRangeEarliest
				r := w.reader(cfg, func(r *reader) { r.hold = holdAll })
				w.until(5*time.Second, "records", func() bool { return r.count() == 10 })

				if _, err := w.admin.DeleteTopics(w.Context(), "in"); err != nil {
					w.Fatal(err)
				}
				if gone > 0 {
					r.letGo(nil) // its position is refused while the topic is gone
					time.Sleep(gone)
				}
				w.topic(2)
				w.produce(2, 30)
				r.letGo(nil)
				time.Sleep(500 * time.Millisecond)

				if at := w.committed(0); gone > 0 && at > 0 {
					w.Errorf("the old topic's position %d was committed to the new one", at)
				}
				w.until(time.Minute, "all of the new topic", func() bool { return r.count() == 10+60 })
			})
		})
	}
}

func TestRecordHeadersKeysAndNullsArriveAsWritten(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(1)
		recs := []*kgo.Record{
			{Topic: "in", Key: []byte("k"), Value: nil, Timestamp: time.UnixMilli(1234)},
			{Topic: "in", Key: nil, Value: []byte{}, Headers: []kgo.RecordHeader{{Key: "a", Value: []byte("1")}, {Key: "a", Value: nil}, {Key: "", Value: []byte{}}}},
		}
		w.send(recs...)
		r := w.reader(w.config())
		w.until(5*time.Second, "records", func() bool { return r.count() == 2 })
		got := r.records()
		if got[0].Value != nil || string(got[0].Key) != "k" || got[0].Timestamp != 1234 {
			w.Errorf("tombstone: %+v", got[0])
		}
		h := got[1].Headers
		if got[1].Key != nil || got[1].Value == nil || len(h) != 3 || string(h[0].Value) != "1" || h[1].Value != nil || h[2].Value == nil {
			w.Errorf("empty value with headers: %+v", got[1])
		}
	})
}
