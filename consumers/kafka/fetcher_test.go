package kafka

import (
	"bytes"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluice-ml/sluice/internal/kafkawire"
	"github.com/sluice-ml/sluice/pipeline"
)

func TestLeaderMovesAreFollowed(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(2)
		r := w.reader(w.config())
		for round := range 6 {
			for p := range int32(2) {
				if err := w.cluster.MoveTopicPartition("in", p, int32(round)%2); err != nil {
					w.Fatal(err)
				}
			}
			w.produce(2, 10)
			w.until(10*time.Second, "records", func() bool { return r.count() == 20*(round+1) })
		}
		w.until(5*time.Second, "commit", func() bool { return w.committed(0) == 60 })
	}, kfake.Ports(9092, 9093))
}

func TestPartitionWithoutLeaderWaitsAndOthersGoOn(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(2)
		w.produce(2, 5)
		h := w.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: "in", Partitions: []int32{1}, Err: kerr.NotLeaderForPartition, Count: -1})
		r := w.reader(w.config())
		w.until(5*time.Second, "the healthy one", func() bool { return r.values()["0/4"] == 1 })
		time.Sleep(time.Minute)
		if s := r.src.Status().Stopped; len(s) != 1 || s[0].Reason != reasonUnavailable {
			w.Errorf("stopped: %+v", s)
		}
		h.Remove()
		w.until(5*time.Second, "the other", func() bool { return r.count() == 10 })
	})
}

func TestLongPollOfAQuietPartitionHoldsNobodyBack(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(3)
		cfg := w.config()
		cfg.FetchWait = time.Minute
		r := w.reader(cfg)
		w.until(5*time.Second, "joined", func() bool { return r.assigned() == 3 })
		time.Sleep(5 * time.Second)
		for i := range 20 {
			began := time.Now()
			w.send(&kgo.Record{Topic: "in", Partition: int32(i % 2), Value: []byte("x")})
			w.until(5*time.Second, "the record", func() bool { return r.count() == i+1 })
			if took := time.Since(began); took > 150*time.Millisecond {
				w.Errorf("record %d took %v", i, took)
			}
		}
	})
}

// A record that comes to any of many quiet partitions is fetched as soon as to one
// of a few.
func TestManyQuietPartitionsAreWaitedForTogether(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		const partitions = 200
		w.topic(partitions)
		r := w.reader(w.config())
		w.until(5*time.Second, "joined", func() bool { return r.assigned() == partitions })
		time.Sleep(5 * time.Second)
		for i := range 20 {
			began := time.Now()
			w.send(&kgo.Record{Topic: "in", Partition: int32(i * 37 % partitions), Value: []byte("x")})
			w.until(5*time.Second, "the record", func() bool { return r.count() == i+1 })
			if took := time.Since(began); took > 150*time.Millisecond {
				w.Errorf("record %d took %v", i, took)
			}
			time.Sleep(33 * time.Millisecond)
		}
	})
}

func TestThrottleOfTheBrokerIsHonoured(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(1)
		w.produce(1, 1)
		var mu sync.Mutex
		var at []time.Time
		w.cluster.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
			w.cluster.KeepControl()
			mu.Lock()
			defer mu.Unlock()
			at = append(at, time.Now())
			if len(at) > 1 {
				return nil, nil, false
			}
			resp := req.ResponseKind().(*kmsg.FetchResponse)
			resp.ThrottleMillis = 7000
			return resp, nil, true
		})
		r := w.reader(w.config())
		w.until(time.Minute, "the record", func() bool { return r.count() == 1 })
		mu.Lock()
		defer mu.Unlock()
		if gap := at[1].Sub(at[0]); gap < 7*time.Second {
			w.Errorf("the next fetch came after %v", gap)
		}
	})
}

func TestNoPartitionHoldsMoreThanTwiceItsShare(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(4)
		w.produce(1, 500) // all in partition 0
		cfg := w.config()
		cfg.MaxInFlight = 40
		r := w.reader(cfg, func(r *reader) { r.hold = holdAll })
		w.until(5*time.Second, "its share", func() bool { return r.count() == 20 })
		time.Sleep(time.Minute)
		if r.count() != 20 {
			w.Errorf("%d items of one partition of four, want 2 x 40 / 4", r.count())
		}
		w.send(&kgo.Record{Topic: "in", Partition: 3, Value: []byte("other")})
		w.until(5*time.Second, "another partition's record", func() bool { return r.values()["other"] == 1 })
		r.letGo(nil)
		w.until(5*time.Second, "the rest", func() bool { return r.count() == 501 })
	})
}

func TestReceiveTakesTurnsAndNeverMoreThanAsked(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ limit, turn int }{{160, 40}, {40, leastTurn}, {5, leastTurn}, {1, leastTurn}} {
		inBubble(t, func(w *world) {
			w.topic(4)
			w.produce(4, 100)
			src, err := NewSource(w.client(), w.config(), nil)
			if err != nil {
				w.Fatal(err)
			}
			if err := src.Start(w.Context()); err != nil {
				w.Fatal(err)
			}
			defer func() { _ = src.Close(w.Context(), true) }()
			time.Sleep(2 * time.Second)
			var of []int32
			for len(of) < 160 {
				items, err := src.Receive(w.Context(), c.limit)
				if err != nil || len(items) == 0 || len(items) > c.limit {
					w.Fatalf("%d items of %d, %v", len(items), c.limit, err)
				}
				for _, it := range items {
					of = append(of, it.Partition)
					it.Settle(nil)
				}
			}
			for at := 0; at+c.turn <= 4*c.turn; at += c.turn {
				for _, p := range of[at : at+c.turn] {
					if p != of[at] {
						w.Fatalf("limit %d: the turn at %d is of partitions %v", c.limit, at, of[at:at+c.turn])
					}
				}
				if slices.Contains(of[:at], of[at]) {
					w.Errorf("limit %d: partition %d has its second turn before others had their first", c.limit, of[at])
				}
			}
		})
	}
}

// A slow reader of large records: the memory of fetched bytes stays within the
// budget plus one batch per request, and all of it comes back.
func TestBytesStayBoundedAndComeBack(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(4)
		var recs []*kgo.Record
		for i := range 400 {
			recs = append(recs, &kgo.Record{Topic: "in", Partition: int32(i % 4), Value: bytes.Repeat([]byte{byte(i)}, 20<<10)})
		}
		for part := range 20 { // many batches
			w.send(recs[part*20 : part*20+20]...)
		}
		cfg := w.config()
		cfg.MaxInFlightBytes, cfg.FetchBytes = 1<<20, 128<<10
		cfg.Budget = pipeline.NewBudget(cfg.MaxInFlightBytes)
		r := w.reader(cfg, func(r *reader) { r.hold, r.limit = holdAll, 10 })
		most := int64(0)
		for r.count() < 400 {
			time.Sleep(50 * time.Millisecond)
			most = max(most, cfg.Budget.Used())
			r.mu.Lock()
			n := min(len(r.held), 5)
			some := r.held[:n:n]
			r.held = r.held[n:]
			r.mu.Unlock()
			for _, it := range some {
				it.Settle(nil)
			}
		}
		if most > cfg.MaxInFlightBytes+256<<10 {
			w.Errorf("%d bytes held, the limit is %d", most, cfg.MaxInFlightBytes)
		}
		r.letGo(nil)
		w.until(5*time.Second, "commit", func() bool { return w.committed(3) == 100 })
		r.close(true)
		if used := cfg.Budget.Used(); used != 0 {
			w.Errorf("%d bytes never came back", used)
		}
	})
}

// Many small compressed batches under a small budget: decompression waits, but
// never for ever.
func TestDecompressionUnderASmallBudgetMakesProgress(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(4)
		value := bytes.Repeat([]byte("0123456789"), 3000)
		for range 10 {
			var recs []*kgo.Record
			for p := range int32(4) {
				recs = append(recs, &kgo.Record{Topic: "in", Partition: p, Value: value})
			}
			w.send(recs...)
		}
		cfg := w.config()
		cfg.MaxInFlightBytes, cfg.FetchBytes = 64<<10, 16<<10
		cfg.Budget = pipeline.NewBudget(cfg.MaxInFlightBytes)
		r := w.reader(cfg)
		w.until(time.Minute, "all", func() bool { return r.count() == 40 })
		for _, rec := range r.records() {
			if !bytes.Equal(rec.Value, value) {
				w.Fatalf("%d bytes, want %d", len(rec.Value), len(value))
			}
		}
		r.close(true)
		if used := cfg.Budget.Used(); used != 0 {
			w.Errorf("%d bytes never came back", used)
		}
	})
}

func TestAbortedTransactionsAreNeverSeenAndTheCommitReachesTheEnd(t *testing.T) {
	t.Parallel()
	for name, uncommitted := range map[string]bool{"read committed": false, "read uncommitted": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(w *world) {
				w.topic(1)
				tx, err := kgo.NewClient(kgo.SeedBrokers(w.cluster.ListenAddrs()...), kgo.Dialer(w.network.DialContext), kgo.TransactionalID("tx"))
				if err != nil {
					w.Fatal(err)
				}
				defer tx.Close()
				for i, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit, kgo.TryAbort} {
					if err := tx.BeginTransaction(); err != nil {
						w.Fatal(err)
					}
					if err := tx.ProduceSync(w.Context(), &kgo.Record{Topic: "in", Value: []byte{'t', byte('0' + i)}}).FirstErr(); err != nil {
						w.Fatal(err)
					}
					if err := tx.EndTransaction(w.Context(), end); err != nil {
						w.Fatal(err)
					}
				}
				cfg := w.config()
				cfg.ReadUncommitted = uncommitted
				r := w.reader(cfg)
				w.until(5*time.Second, "commit at the end, over the last marker", func() bool { return w.committed(0) == 8 })
				want := 2
				if uncommitted {
					want = 4
				}
				if v := r.values(); len(v) != want || v["t0"] != 1 || v["t2"] != 1 {
					w.Errorf("got %v", v)
				}
			})
		})
	}
}

// Every request is cut for a minute, as by a broker that restarts: nothing is
// lost, nobody has to act, and requests are paced meanwhile.
func TestOutageIsWaitedFor(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(2)
		w.produce(2, 10)
		r := w.reader(w.config())
		w.until(5*time.Second, "records", func() bool { return r.count() == 20 })

		var down atomic.Bool
		var cut atomic.Int32
		down.Store(true)
		w.cluster.Control(func(kmsg.Request) (kmsg.Response, error, bool) {
			w.cluster.KeepControl()
			if !down.Load() {
				return nil, nil, false
			}
			cut.Add(1)
			return nil, errors.New("cut"), true
		})
		time.Sleep(time.Minute)
		if n := cut.Load(); n == 0 || n > 2000 {
			w.Errorf("%d requests in a minute without a broker", n)
		}
		if s := r.src.Status().Stopped; len(s) != 2 || s[0].Reason != reasonUnavailable {
			w.Errorf("stopped: %+v", s)
		}
		down.Store(false)
		w.send(&kgo.Record{Topic: "in", Partition: 0, Value: []byte("after")}, &kgo.Record{Topic: "in", Partition: 1, Value: []byte("after")})
		w.until(time.Minute, "what came after", func() bool { return r.values()["after"] >= 2 })
		w.until(time.Minute, "commit and recovery", func() bool {
			return w.committed(0) == 11 && w.committed(1) == 11 && len(r.src.Status().Stopped) == 0
		})
	})
}

// A broker is down and led many partitions: looking for their leaders must not
// hold up those of the others.
func TestPartitionsWithoutLeaderHoldUpNoOther(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		const partitions = 60
		w.topic(partitions)
		w.produce(partitions, 5)
		leaderless := make([]int32, partitions-1)
		for i := range leaderless {
			leaderless[i] = int32(i)
		}
		down := w.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: "in", Partitions: leaderless, Err: kerr.LeaderNotAvailable, Count: -1})

		r := w.reader(w.config())
		w.until(2*time.Second, "the records of the one with a leader", func() bool { return r.count() == 5 })

		down.Remove()
		w.until(10*time.Second, "all", func() bool { return r.count() == 5*partitions })
	})
}

// While a fetch is under way its partition may have been fenced, sent elsewhere or
// given a new epoch: the answer then is of another time.
func TestAStaleAnswerIsLeftOut(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(p *partition){
		"fenced":           func(p *partition) { p.phase = closed },
		"looks for leader": func(p *partition) { p.phase = routing },
		"went back":        func(p *partition) { p.fetchPos = 4 },
		"went on":          func(p *partition) { p.fetchPos = 20 },
		"recreated":        func(p *partition) { p.orphan = true },
		"as asked":         func(*partition) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := NewSource(nil, Config{Topics: []string{"in"}, Group: "g"}, nil)
			if err != nil {
				t.Fatal(err)
			}
			p := newGeneration(s, 1, "m", []topicPartition{{"in", 0}}).parts[0]
			p.lane, p.phase, p.fetchPos, p.inFetch = p.newLane(10), fetching, 10, true
			change(p)
			before := p.fetchPos
			records := batchOf(t, 10, 5, 0)
			s.memory.budget.Add(int64(cap(records)))
			whole := s.memory.lease(records, nil)
			defer whole.Release()
			taken := p.settle(10, &kafkawire.FetchedPartition{Topic: "in", Records: records, LastStable: 15, HighWatermark: 15}, whole)
			if want := name == "as asked"; taken != want || (len(p.queue) > 0) != want || p.fetchPos != map[bool]int64{true: 15, false: before}[want] {
				t.Errorf("taken %v, %d chunks, next to fetch is %d", taken, len(p.queue), p.fetchPos)
			}
			if p.inFetch {
				t.Error("the partition counts as being fetched for ever")
			}
		})
	}
}
