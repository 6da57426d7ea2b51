package kafka

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluice-ml/sluice/pipeline/pipelinetest"
)

func TestExactlyOnceCommitsOutcomesAndPositionsTogether(t *testing.T) {
	t.Parallel()
	for name, opts := range protocols() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(w *world) {
				w.exactTopics(3)
				w.feed(3, 0, 400, everyTenth)
				p := w.exact("a", &pipelinetest.Model{Delay: time.Millisecond})
				w.caughtUp(3)
				if err := p.stop(); err != nil {
					w.Error(err)
				}
				w.wantOnce(3, 400, everyTenth)
				c := p.line.Counts()
				if c.Predicted != 3*360 || c.DeadLettered != 3*40 || c.Abandoned != 0 {
					w.Errorf("counts %+v", c)
				}
			}, opts...)
		})
	}
}

// An output partition that may not be written takes its input partition out of the
// transactions, not the others, and nothing is done twice when it is mended.
func TestUnwritableOutputHoldsNoOtherTransactions(t *testing.T) {
	t.Parallel()
	for name, opts := range protocols() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(w *world) {
				w.exactTopics(3)
				p := w.exact("a", &pipelinetest.Model{})
				w.feed(3, 0, 50, nil)
				w.caughtUp(3)
				refused := w.cluster.Fault(kfake.Fault{
					Keys: []kmsg.Key{kmsg.Produce}, Topic: "out", Partitions: []int32{1}, Err: kerr.TopicAuthorizationFailed, Count: -1,
				})
				w.feed(3, 50, 100, nil)
				w.until(5*time.Second, "the others go on", func() bool { return w.committed(0) == 100 && w.committed(2) == 100 })
				w.until(5*time.Second, "the partition stops", func() bool {
					st := p.src.Status()
					return len(st.Stopped) == 1 && st.Stopped[0].Partition == 1 && st.Stopped[0].Reason == reasonOutput
				})
				w.feed(3, 100, 150, nil)
				time.Sleep(10 * time.Second)
				if at := w.committed(1); at != 50 {
					w.Errorf("offset %d of the partition that cannot be written, want 50", at)
				}
				if n := p.reg.Counter("sluice_transactions", "Transactions by how they ended.", "outcome").With("aborted").Count(); n > 2 {
					w.Errorf("%d aborted transactions: the partition disturbs the others", n)
				}
				refused.Remove()
				w.caughtUp(3)
				if err := p.stop(); err != nil {
					w.Error(err)
				}
				w.wantOnce(3, 150, nil)
			}, opts...)
		})
	}
}

// Outputs that the broker refuses for their size are dead letters, each once.
func TestTooLargeOutputsAreDeadLettersInTheTransaction(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(1)
		for topic, limit := range map[string]string{"out": "600", "in.dlq": "1048576"} {
			if err := w.cluster.CreateTopic(topic, 1, map[string]string{"max.message.bytes": limit}); err != nil {
				w.Fatal(err)
			}
		}
		var recs []*kgo.Record
		for i := range 60 {
			value := strconv.Itoa(i)
			if i%20 == 5 {
				value = strings.Repeat("1000 ", 200)
			}
			recs = append(recs, &kgo.Record{Topic: "in", Value: []byte(value)})
		}
		w.send(recs...)
		p := w.exact("a", &pipelinetest.Model{})
		w.caughtUp(1)
		if err := p.stop(); err != nil {
			w.Error(err)
		}
		out, letters := w.readCommitted("out", 1), w.readCommitted("in.dlq", 1)
		if len(out[0]) != 57 || len(letters[0]) != 3 {
			w.Errorf("%d outputs and %d dead letters, want 57 and 3", len(out[0]), len(letters[0]))
		}
		if c := p.line.Counts(); c.DeadLettered != 3 || c.Predicted != 57 {
			w.Errorf("counts %+v", c)
		}
	}, kfake.NumBrokers(1))
}

// What expired is a dead letter in the same transaction as its position, whether its
// time was over when it was read or ran out before a worker had time for it.
func TestExpiredItemsAreInTheTransaction(t *testing.T) {
	t.Parallel()
	for name, opts := range protocols() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(w *world) {
				w.exactTopics(1)
				deadline := func(at time.Time) []kgo.RecordHeader {
					return []kgo.RecordHeader{{Key: "x-deadline", Value: strconv.AppendInt(nil, at.UnixMilli(), 10)}}
				}
				var recs []*kgo.Record
				for i := range 100 {
					rec := &kgo.Record{Topic: "in", Value: []byte(strconv.Itoa(i))}
					switch i % 10 {
					case 3:
						rec.Headers = deadline(time.Now().Add(-time.Second))
					case 4: // two workers, eight rows and a second a batch: the last ones wait too long
						rec.Headers = deadline(time.Now().Add(3 * time.Second))
					}
					recs = append(recs, rec)
				}
				w.send(recs...)
				p := w.exact("a", &pipelinetest.Model{Delay: time.Second})
				w.caughtUp(1)
				if err := p.stop(); err != nil {
					w.Error(err)
				}
				c := p.line.Counts()
				out, letters := w.readCommitted("out", 1), w.readCommitted("in.dlq", 1)
				if c.Expired <= 10 || c.Expired >= 20 || c.Predicted+c.Expired != 100 {
					w.Errorf("counts %+v, want more than the 10 that had expired before, and not all of the 10 in a hurry", c)
				}
				if int64(len(out[0])) != c.Predicted || int64(len(letters[0])) != c.Expired {
					w.Errorf("%d outputs and %d dead letters in committed transactions, want %d and %d", len(out[0]), len(letters[0]), c.Predicted, c.Expired)
				}
			}, opts...)
		})
	}
}

// An instance dies between the commit of its offsets and the end of the transaction,
// and does not come back: its heir does not wait for the transaction's timeout.
func TestHeirEndsTheTransactionOfADeadOwner(t *testing.T) {
	t.Parallel()
	for name, opts := range protocols() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(w *world) {
				w.exactTopics(2)
				const never = 10 * time.Minute
				dead := w.exact("a", &pipelinetest.Model{}, never)
				w.feed(2, 0, 50, nil)
				w.caughtUp(2)
				ends := w.cluster.Fault(kfake.Fault{
					Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true, Err: kerr.ConcurrentTransactions, Count: -1,
				})
				w.feed(2, 50, 100, nil)
				w.until(5*time.Second, "a transaction is about to end", func() bool { return ends.Hits() > 0 })
				dead.kill()
				ends.Remove()
				died := time.Now()

				heir := w.exact("b", &pipelinetest.Model{}, never)
				w.until(w.config().SessionTimeout+1500*time.Millisecond, "the heir goes on", func() bool {
					return w.committed(0) == 100 && w.committed(1) == 100
				})
				w.Logf("%v after the death", time.Since(died))
				if err := heir.stop(); err != nil {
					w.Error(err)
				}
				w.wantOnce(2, 100, nil)
			}, opts...)
		})
	}
}

// harm is one fault of the plan.
type harm struct {
	name string
	do   func(w *world, r *rand.Rand, ps []*exact)
}

// answer makes the next requests of a kind fail. The selectors keep it off the
// clients of the test itself.
func answer(name string, fault kfake.Fault, errs ...*kerr.Error) harm {
	return harm{name, func(w *world, r *rand.Rand, _ []*exact) {
		f := fault
		f.Err, f.Count = errs[r.IntN(len(errs))], 1+r.IntN(3)
		w.cluster.Fault(f)
	}}
}

func onTxn(key kmsg.Key) kfake.Fault {
	return kfake.Fault{Keys: []kmsg.Key{key}, TopLevel: true, When: func(req kmsg.Request) bool {
		init, ok := req.(*kmsg.InitProducerIDRequest)
		return !ok || init.TransactionalID != nil && init.ProducerID >= 0
	}}
}

var harms = []harm{
	answer("produce", kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "out"}, kerr.NotLeaderForPartition, kerr.RequestTimedOut, kerr.NotEnoughReplicasAfterAppend, kerr.NotEnoughReplicas,
		kerr.UnknownServerError, kerr.OutOfOrderSequenceNumber, kerr.InvalidProducerEpoch, kerr.ConcurrentTransactions, kerr.TransactionAbortable, kerr.InvalidTxnState),
	answer("commit offsets", kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Topic: "in"}, kerr.NotCoordinator, kerr.CoordinatorNotAvailable, kerr.CoordinatorLoadInProgress,
		kerr.UnknownServerError, kerr.IllegalGeneration, kerr.UnknownMemberID, kerr.RebalanceInProgress, kerr.ConcurrentTransactions, kerr.RequestTimedOut, kerr.InvalidProducerEpoch),
	answer("end", onTxn(kmsg.EndTxn), kerr.NotCoordinator, kerr.CoordinatorNotAvailable, kerr.ConcurrentTransactions,
		kerr.UnknownServerError, kerr.InvalidTxnState, kerr.ProducerFenced),
	answer("init", onTxn(kmsg.InitProducerID), kerr.NotCoordinator, kerr.ConcurrentTransactions, kerr.CoordinatorLoadInProgress, kerr.InvalidProducerIDMapping),
	answer("heartbeat", kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Group: "g", TopLevel: true},
		kerr.RebalanceInProgress, kerr.UnknownMemberID, kerr.IllegalGeneration, kerr.NotCoordinator),
	answer("unstable", kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, Topic: "in"}, kerr.UnstableOffsetCommit),
	{"leaders move", func(w *world, _ *rand.Rand, _ []*exact) { w.cluster.ShufflePartitionLeaders() }},
	{"coordinators move", func(w *world, _ *rand.Rand, _ []*exact) { w.cluster.RehashCoordinators() }},
	{"lost answers", func(_ *world, r *rand.Rand, ps []*exact) {
		n := ps[r.IntN(len(ps))].wire
		n.mu.Lock()
		defer n.mu.Unlock()
		n.lose += 1 + r.IntN(4)
	}},
}

// Two processes with names under faults and kills, in virtual time: every input has
// one outcome in read_committed, in order. kfake completes transactions at once;
// what that hides is covered on a real broker.
func TestExactlyOnceUnderFaults(t *testing.T) {
	t.Parallel()
	first, seeds := 0, 2
	if n, err := strconv.Atoi(os.Getenv("SLUICE_TEST_SEEDS")); err == nil {
		seeds = n // SLUICE_TEST_SEEDS=500 go test -run ExactlyOnceUnderFaults ./consumers/kafka
	}
	if n, err := strconv.Atoi(os.Getenv("SLUICE_TEST_FIRST_SEED")); err == nil {
		first = n
	}
	for name := range protocols() {
		for seed := first; seed < first+seeds; seed++ {
			t.Run(fmt.Sprintf("%s/seed=%d", name, seed), func(t *testing.T) {
				t.Parallel()
				underFaults(t, name, uint64(seed))
			})
		}
	}
}

func underFaults(t *testing.T, protocol string, seed uint64) {
	t.Helper()
	opts := protocols()[protocol]
	opts = append(opts, kfake.NumBrokers(3), kfake.Ports(9092, 9093, 9094))
	inBubble(t, func(w *world) {
		const partitions, count = 4, 600
		r := rand.New(rand.NewPCG(seed, 1))
		w.exactTopics(partitions)
		model := func() *pipelinetest.Model { return &pipelinetest.Model{Delay: time.Millisecond} }
		ps := []*exact{w.exact("a", model()), w.exact("b", model())}
		for i := 0; i < count; i += 20 {
			w.feed(partitions, i, i+20, everyTenth)
			if r.IntN(12) == 0 {
				victim := r.IntN(2)
				w.Logf("%v: kill %d", time.Now().Format("15:04:05.000"), victim)
				ps[victim].kill()
				w.Cleanup(func(p *exact) func() { return func() { _ = p.stop() } }(ps[victim]))
				ps[victim] = w.exact([]string{"a", "b"}[victim], model())
			} else if r.IntN(2) == 0 {
				h := harms[r.IntN(len(harms))]
				w.Logf("%v: %s", time.Now().Format("15:04:05.000"), h.name)
				h.do(w, r, ps)
			}
			time.Sleep(time.Duration(r.IntN(200)) * time.Millisecond)
		}
		w.caughtUp(partitions)
		for _, p := range ps {
			if err := p.stop(); err != nil {
				w.Logf("stop: %v", err)
			}
		}
		w.wantOnce(partitions, count, everyTenth)
	}, opts...)
}
