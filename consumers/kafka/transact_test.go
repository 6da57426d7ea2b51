package kafka

import (
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/pipeline/pipelinetest"
	producer "github.com/sluice-ml/sluice/producers/kafka"
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

// While outcomes wait for their transaction the memory of their inputs is free for others.
func TestOutcomesThatWaitForTheirTransactionHoldNoInputs(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.exactTopics(1)
		w.feed(1, 0, 200, everyTenth)
		p, err := w.launch(settings{id: "a", commit: time.Minute, log: slog.New(slog.DiscardHandler)}, &pipelinetest.Model{})
		if err != nil {
			w.Fatal(err)
		}
		w.until(5*time.Second, "all is received", func() bool { return p.line.Counts().Received == 200 })
		time.Sleep(time.Second)
		held := int64(0)
		for _, part := range p.src.gen.Load().parts {
			held += part.held.Load()
		}
		if c := p.line.Counts(); held > 0 || c.Predicted+c.DeadLettered > 0 {
			w.Errorf("%d bytes of inputs are held while their outcomes wait for a commit, %+v", held, c)
		}
		p.sink.(*producer.TransactionalSink).Mend() // asks for a transaction
		w.caughtUp(1)
		if err := p.stop(); err != nil {
			w.Error(err)
		}
		w.wantOnce(1, 200, everyTenth)
	})
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

// A broker that was away may have left markers of an answered transaction out: they are
// written again, by the fate that the coordinator tells, before the next one begins.
func TestMarkersAreMadeSureOfAfterATroubledTransaction(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.exactTopics(2)
		p := w.exact("a", &pipelinetest.Model{})
		w.feed(2, 0, 20, nil)
		w.caughtUp(2)
		// As a broker does; kfake forgets the fate.
		w.cluster.ControlKey(int16(kmsg.DescribeTransactions), func(req kmsg.Request) (kmsg.Response, error, bool) {
			w.cluster.KeepControl()
			res := req.ResponseKind().(*kmsg.DescribeTransactionsResponse)
			state := kmsg.NewDescribeTransactionsResponseTransactionState()
			state.State = "CompleteCommit"
			res.TransactionStates = append(res.TransactionStates, state)
			return res, nil, true
		})
		// The second protocol has no other use for this request.
		marks := w.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.AddPartitionsToTxn}, Observe: true, Count: -1})
		w.feed(2, 20, 40, nil)
		w.caughtUp(2)
		if n := marks.Hits(); n != 0 {
			w.Errorf("%d times made sure of markers without trouble", n)
		}
		for i, trouble := range []kfake.Fault{
			{Keys: []kmsg.Key{kmsg.Produce}, Topic: "out", Err: kerr.NotLeaderForPartition, Count: 1},
			{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.NotCoordinator, Count: 1},
			{Keys: []kmsg.Key{kmsg.EndTxn}, Err: kerr.NotCoordinator, TopLevel: true, Count: 1},
		} {
			before := marks.Hits()
			w.cluster.Fault(trouble)
			w.feed(2, 40+20*i, 60+20*i, nil)
			w.caughtUp(2)
			w.until(5*time.Second, "markers are written again", func() bool { return marks.Hits() > before })
		}
		if err := p.stop(); err != nil {
			w.Error(err)
		}
		w.wantOnce(2, 100, nil)
	}, kfake.NumBrokers(1))
}

// A request whose answer did not come was repeated, and arrives after all, in a later
// transaction: it must not end that one, which has no positions yet. In the first
// protocol all transactions have the same epoch.
func TestLateEndOfATransactionEndsNoOther(t *testing.T) {
	t.Parallel()
	for name, opts := range protocols() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(w *world) {
				w.exactTopics(1)
				p := w.exact("a", &pipelinetest.Model{}, 3*time.Second)
				w.feed(1, 0, 10, nil)
				w.caughtUp(1)

				p.wire.with(func(n *wire) { n.holdNext[kmsg.EndTxn] = 5*time.Second + 50*time.Millisecond })
				w.feed(1, 10, 20, nil)
				w.caughtUp(1) // by the second request
				time.Sleep(3 * time.Second)
				for i := 20; i < 60; i++ { // some transaction has written and not committed its offsets when the first arrives
					p.wire.with(func(n *wire) { n.holdNext[kmsg.TxnOffsetCommit] = 90 * time.Millisecond })
					w.feed(1, i, i+1, nil)
					time.Sleep(100 * time.Millisecond)
				}

				w.caughtUp(1)
				if err := p.stop(); err != nil {
					w.Error(err)
				}
				w.wantOnce(1, 60, nil)
			}, opts...)
		})
	}
}

// A stop whose time is over while a commit is under way closes the epochs before they
// hear that it succeeded. What is said of the partition after it must not take the
// position back: the next process would make the same outcomes again.
func TestDrainTimeoutInsideACommitTakesNoPositionBack(t *testing.T) {
	t.Parallel()
	for name, opts := range protocols() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(w *world) {
				w.exactTopics(2)
				// The drain takes 5 s: outcomes come right before its end, their commit
				// succeeds right after it.
				p := w.exact("a", &pipelinetest.Model{Delay: 4900 * time.Millisecond})
				ends := w.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, Observe: true, Count: -1})
				w.until(time.Second, "both opened", func() bool { return ends.Hits() > 0 })
				w.feed(2, 0, 4, nil)
				time.Sleep(50 * time.Millisecond) // the model has them
				p.wire.with(func(n *wire) { n.holdNext[kmsg.EndTxn] = 500 * time.Millisecond })
				before := ends.Hits()
				if err := p.stop(); !errors.Is(err, pipeline.ErrDrainTimeout) {
					w.Errorf("stop: %v, want a drain timeout", err)
				}
				if n := ends.Hits() - before; n != 2 {
					w.Errorf("%d transactions ended, want the late one and the one that gives the partitions back", n)
				}
				for part := range int32(2) {
					if at := w.committed(part); at != 4 {
						w.Errorf("partition %d is committed up to %d, want 4", part, at)
					}
				}
				w.feed(2, 4, 8, nil)
				p = w.exact("a", &pipelinetest.Model{})
				w.caughtUp(2)
				if err := p.stop(); err != nil {
					w.Error(err)
				}
				w.wantOnce(2, 8, nil)
			}, opts...)
		})
	}
}

// A process that stops while its last transaction is in doubt ends it: open, it would hide
// what others write behind it until it times out.
func TestStopLeavesNoTransactionOpen(t *testing.T) {
	t.Parallel()
	for name, opts := range protocols() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(w *world) {
				w.exactTopics(1)
				p := w.exact("a", &pipelinetest.Model{})
				w.feed(1, 0, 10, nil)
				w.caughtUp(1)
				// Its transaction fails, as it is no member any more, and while it joins again it is
				// told to stop.
				p.wire.with(func(n *wire) { n.holdNext[kmsg.TxnOffsetCommit] = 200 * time.Millisecond })
				w.feed(1, 10, 20, nil)
				open := func() bool {
					info := w.cluster.PartitionInfo("out", 0)
					return info.LastStableOffset < info.HighWatermark
				}
				w.until(5*time.Second, "a transaction is open", open)
				p.wire.with(func(n *wire) { n.holdNext[kmsg.JoinGroup] = time.Minute })
				if _, err := w.admin.LeaveGroup(w.Context(), kadm.LeaveGroup("g").InstanceIDs("a")); err != nil {
					w.Fatal(err)
				}
				w.until(5*time.Second, "it joins again", func() bool {
					held := false
					p.wire.with(func(n *wire) { _, waits := n.holdNext[kmsg.JoinGroup]; held = !waits })
					return held
				})
				_ = p.stop() // its outcomes are not committed
				if open() {
					w.Error("a transaction is open after the stop")
				}
			}, opts...)
		})
	}
}
