//go:build integration

package kafkawire

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sluice-ml/sluice/internal/kafkatest"
)

// txnWorld is a transaction's producer with one output partition.
type txnWorld struct {
	t        *testing.T
	c        *Client
	p        TxnProducer
	topic    string
	group    string
	sequence int32
}

const txnTimeout = 10 * time.Second

// untilDone repeats while an earlier transaction is being completed.
func (w *txnWorld) untilDone(what string, f func(ctx context.Context) error) {
	w.t.Helper()
	kafkatest.Eventually(w.t, 30*time.Second, what, func(ctx context.Context) bool {
		err := f(ctx)
		if err == nil {
			return true
		}
		for _, passing := range []error{
			ErrConcurrentTransactions, ErrNotLeader, ErrUnknownTopicOrPartition, ErrNotCoordinator, ErrCoordinatorNotAvailable, ErrCoordinatorLoading,
		} {
			if errors.Is(err, passing) {
				w.c.Forget(w.topic)
				w.c.ForgetCoordinator(w.group)
				return false
			}
		}
		w.t.Fatalf("%s: %v", what, err)
		return false
	})
}

// write puts one record into the transaction.
func (w *txnWorld) write(value string) {
	w.t.Helper()
	if !w.p.V2 {
		w.untilDone("add the partition", func(ctx context.Context) error {
			return w.c.AddPartitionsToTxn(ctx, &w.p, map[string][]int32{w.topic: {0}})
		})
	}
	var b BatchWriter
	b.Transactional = true
	b.Append(time.Now().UnixMilli(), nil, []byte(value), nil)
	batch, err := b.Finish(CodecNone, w.p.ProducerID, w.p.Epoch, w.sequence)
	if err != nil {
		w.t.Fatal(err)
	}
	w.untilDone("produce", func(ctx context.Context) error { return w.produce(ctx, batch) })
	w.sequence++
}

func (w *txnWorld) produce(ctx context.Context, batch []byte) error {
	node, _, err := w.c.Leader(ctx, w.topic, 0)
	if err != nil {
		return err
	}
	res, err := w.c.Produce(ctx, node, &ProduceRequest{
		TransactionalID: w.p.TransactionalID, TransactionV2: w.p.V2,
		Partitions: []ProducePartition{{w.topic, 0, [][]byte{batch}}},
	})
	if err != nil {
		return err
	}
	return res.Partitions[0].Err.err()
}

func (w *txnWorld) offset(at int64) {
	w.t.Helper()
	if !w.p.V2 {
		w.untilDone("add the group", func(ctx context.Context) error { return w.c.AddOffsetsToTxn(ctx, &w.p, w.group) })
	}
	w.untilDone("commit the offset", func(ctx context.Context) error {
		node, err := w.c.FindCoordinator(ctx, w.group)
		if err != nil {
			return err
		}
		return w.c.TxnOffsetCommit(ctx, node, &w.p, &TxnOffsets{Group: w.group, Generation: -1, Offsets: []GroupOffset{
			{Topic: w.topic, Partition: 0, Offset: at, LeaderEpoch: -1, Metadata: w.p.TransactionalID},
		}})
	})
}

func (w *txnWorld) end(commit bool) {
	w.t.Helper()
	before := w.p
	w.untilDone("end", func(ctx context.Context) error {
		next, err := w.c.EndTxn(ctx, &before, commit)
		w.p = next
		return err
	})
	if w.p.V2 && w.p.Epoch != before.Epoch+1 {
		w.t.Errorf("epoch %d after %d: the broker did not bump it", w.p.Epoch, before.Epoch)
	}
	if w.p.V2 {
		w.sequence = 0
	}
}

// committed is the group's offset; stable refuses while a transaction holds it.
func (w *txnWorld) committed(ctx context.Context, stable bool) (at int64, err error) {
	w.t.Helper()
	got, err := w.c.OffsetFetch(ctx, w.group, map[string][]int32{w.topic: {0}}, stable)
	if err != nil {
		w.t.Fatal(err)
	}
	return got[0].Offset, got[0].Err.err()
}

func (w *txnWorld) wantOffset(want int64) {
	w.t.Helper()
	kafkatest.Eventually(w.t, 10*time.Second, fmt.Sprint("offset ", want), func(ctx context.Context) bool {
		at, err := w.committed(ctx, true)
		if err == nil && at != want {
			w.t.Fatalf("offset %d, want %d", at, want)
		}
		return err == nil
	})
}

func (w *txnWorld) start() {
	w.t.Helper()
	pid, epoch, err := w.c.InitProducerID(w.t.Context(), w.p.TransactionalID, txnTimeout, NoProducerID, NoProducerEpoch)
	if err != nil {
		w.t.Fatal(err)
	}
	w.p.ProducerID, w.p.Epoch, w.sequence = pid, epoch, 0
}

func TestTransactionsOnARealBroker(t *testing.T) {
	t.Parallel()
	for _, v2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("V2=%v", v2), func(t *testing.T) {
			t.Parallel()
			brokers := kafkatest.Brokers(t)
			w := &txnWorld{t: t, c: realClient(t), topic: kafkatest.Topic(t, brokers, 1), group: kafkatest.Group(t, brokers)}
			w.p = TxnProducer{TransactionalID: w.group + "-txn"}
			offered, err := w.c.TransactionV2(t.Context(), w.p.TransactionalID)
			if err != nil {
				t.Fatal(err)
			}
			if v2 && !offered {
				t.Skip("the broker does not offer the second transaction protocol")
			}
			w.p.V2 = v2
			w.start()

			w.write("kept-1")
			w.offset(1)
			if _, err := w.committed(t.Context(), true); !errors.Is(err, ErrUnstableOffsetCommit) {
				t.Errorf("a stable offset inside a transaction: %v", err)
			}
			w.end(true)
			w.wantOffset(1)

			w.write("dropped")
			w.offset(2)
			w.end(false)
			w.wantOffset(1)

			// A successor of the same name ends what is open and fences this one.
			w.write("fenced")
			zombie, sequence := w.p, w.sequence
			w.start()
			var late BatchWriter
			late.Transactional = true
			late.Append(time.Now().UnixMilli(), nil, []byte("late"), nil)
			batch, err := late.Finish(CodecNone, zombie.ProducerID, zombie.Epoch, sequence)
			if err != nil {
				t.Fatal(err)
			}
			if err := w.produce(t.Context(), batch); !errors.Is(err, ErrInvalidProducerEpoch) {
				t.Errorf("a zombie's produce: %v", err)
			}
			if _, _, err := w.c.InitProducerID(t.Context(), zombie.TransactionalID, txnTimeout, zombie.ProducerID, zombie.Epoch); !errors.Is(err, ErrProducerFenced) {
				t.Errorf("a zombie's InitProducerID with its own id: %v", err)
			}
			w.write("kept-2")
			w.offset(3)
			w.end(true)
			w.wantOffset(3)

			if err := w.c.TxnAuthorized(t.Context(), w.p.TransactionalID); err != nil {
				t.Errorf("allowed, but: %v", err)
			}
			got := kafkatest.FranzRead(t, brokers, w.topic, true)
			if len(got) != 2 || string(got[0].Value) != "kept-1" || string(got[1].Value) != "kept-2" {
				t.Errorf("read_committed shows %d records: %+v", len(got), got)
			}
		})
	}
}

// hang leaves a record and an offset open in a transaction that its coordinator does
// not know, as Kafka 4.1 to 4.3 do with one that was ending when the last broker died
// (KAFKA-20734).
func (w *txnWorld) hang(at int64) {
	w.t.Helper()
	w.start()
	var b BatchWriter
	b.Transactional = true
	b.Append(time.Now().UnixMilli(), nil, []byte("hangs"), nil)
	batch, err := b.Finish(CodecNone, w.p.ProducerID, w.p.Epoch, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	known := w.p.V2
	w.p.V2 = false
	kafkatest.WithoutVerification(w.t, func(ctx context.Context) error {
		if err := w.produce(ctx, batch); err != nil && !errors.Is(err, ErrDuplicateSequence) {
			return err
		}
		node, err := w.c.FindCoordinator(ctx, w.group)
		if err != nil {
			return err
		}
		return w.c.TxnOffsetCommit(ctx, node, &w.p, &TxnOffsets{Group: w.group, Generation: -1, Offsets: []GroupOffset{
			{Topic: w.topic, Partition: 0, Offset: at, LeaderEpoch: -1},
		}})
	})
	w.p.V2 = known
}

func TestMarkersThatABrokerLeftOutAreWrittenAgain(t *testing.T) {
	t.Parallel()
	for _, fate := range []TxnFate{FateCommitted, FateAborted} {
		t.Run(fate.String(), func(t *testing.T) {
			t.Parallel()
			brokers := kafkatest.Brokers(t)
			w := &txnWorld{t: t, c: realClient(t), topic: kafkatest.Topic(t, brokers, 1), group: kafkatest.Group(t, brokers)}
			w.p = TxnProducer{TransactionalID: w.group + "-txn"}
			var err error
			if w.p.V2, err = w.c.TransactionV2(t.Context(), w.p.TransactionalID); err != nil {
				t.Fatal(err)
			}
			wantState := func(want TxnState) {
				t.Helper()
				kafkatest.Eventually(t, 10*time.Second, fmt.Sprint("state ", want), func(ctx context.Context) bool {
					got, err := w.c.DescribeTransaction(ctx, w.p.TransactionalID)
					return err == nil && got.Fate == want.Fate && got.Complete == want.Complete
				})
			}
			wantState(TxnState{Fate: FateUnknown, Complete: true})
			w.start()
			w.write("kept")
			wantState(TxnState{Fate: FateAborted, Complete: false})
			w.offset(1)
			w.end(true)
			wantState(TxnState{Fate: FateCommitted, Complete: true})
			w.wantOffset(1)

			w.hang(2)
			w.start() // does not help: nothing is open, as far as the coordinator knows
			if _, err := w.committed(t.Context(), true); !errors.Is(err, ErrUnstableOffsetCommit) {
				t.Fatalf("stable offset of a group with a hanging transaction: %v", err)
			}
			ids, err := w.c.TransactionalIDs(t.Context(), w.group)
			if err != nil || len(ids) != 1 || ids[0] != w.p.TransactionalID {
				t.Errorf("ids %q, %v", ids, err)
			}
			scope := TxnScope{Partitions: map[string][]int32{w.topic: {0}}, Group: w.group}
			if err := w.c.MarkAgain(t.Context(), w.p, scope, fate); err != nil {
				t.Fatal(err)
			}
			// And the next transactions are as ever.
			pid, epoch, err := w.c.InitProducerID(t.Context(), w.p.TransactionalID, txnTimeout, w.p.ProducerID, w.p.Epoch)
			if err != nil {
				t.Fatal(err)
			}
			w.p.ProducerID, w.p.Epoch, w.sequence = pid, epoch, 0
			hung := map[TxnFate]int64{FateCommitted: 2, FateAborted: 1}[fate]
			w.wantOffset(hung)
			w.write("after")
			w.offset(3)
			w.end(true)
			w.wantOffset(3)
			want := []string{"kept", "after"}
			if fate == FateCommitted {
				want = []string{"kept", "hangs", "after"}
			}
			var values []string
			for _, r := range kafkatest.FranzRead(t, brokers, w.topic, true) {
				values = append(values, string(r.Value))
			}
			if !slices.Equal(values, want) {
				t.Errorf("in read_committed: %q, want %q", values, want)
			}
		})
	}
}
