//go:build integration

package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sluice-ml/sluice/internal/kafkatest"
	"github.com/sluice-ml/sluice/internal/kafkawire"
)

// A broker that leaves markers out (KAFKA-20734) leaves outcomes and positions of a
// dead process waiting for a transaction that nobody has open. Whose it was, the group
// does not say when the process died before its first commit. It is aborted, and its
// inputs have one outcome each.
func TestTransactionsThatHangAreEnded(t *testing.T) {
	t.Parallel()
	for name, life := range map[string]string{"of another process": "gone", "of a former life": "a"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 2)
			w.put(w.ordered(0, 500)...)
			sets := exactlyOnce("input.instance=a", "input.session_timeout=6s")
			first := start(t, w.with(sets...)...)
			first.await("ready")
			w.settled()
			first.end(exitOK)

			w.hang(strings.TrimSpace(first.line("transactions")["transactional_id"].(string)), life)
			w.put(w.ordered(500, 500)...)
			second := start(t, w.with(sets...)...)
			w.settled()
			second.end(exitOK)
			wantOnce(t, w.outputs(), 1000)
			if kept := kafkatest.FranzRead(t, w.brokers, w.out, false); len(kept) != 1001 {
				t.Errorf("%d records in read_uncommitted, want 1,000 and the one that hung", len(kept))
			}
		})
	}
}

// hang leaves an outcome and positions open under the name of a life of this group.
func (w *world) hang(id, life string) {
	w.t.Helper()
	client, err := kafkawire.NewClient(kafkawire.Config{Brokers: w.brokers})
	if err != nil {
		w.t.Fatal(err)
	}
	defer client.Close()
	p := kafkawire.TxnProducer{TransactionalID: strings.TrimSuffix(id, "a") + life}
	p.ProducerID, p.Epoch, err = client.InitProducerID(w.t.Context(), p.TransactionalID, 10*time.Second, kafkawire.NoProducerID, kafkawire.NoProducerEpoch)
	if err != nil {
		w.t.Fatal(err)
	}
	var b kafkawire.BatchWriter
	b.Transactional = true
	b.Append(time.Now().UnixMilli(), nil, []byte(`{"id":0,"outputs":{}}`), nil)
	batch, err := b.Finish(kafkawire.CodecNone, p.ProducerID, p.Epoch, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	offsets := kafkawire.TxnOffsets{Group: w.group, Generation: -1}
	for i := range w.partitions {
		offsets.Offsets = append(offsets.Offsets, kafkawire.GroupOffset{Topic: w.in, Partition: i, Offset: 1, LeaderEpoch: -1})
	}
	kafkatest.WithoutVerification(w.t, func(ctx context.Context) error {
		node, _, err := client.Leader(ctx, w.out, 0)
		if err != nil {
			return err
		}
		res, err := client.Produce(ctx, node, &kafkawire.ProduceRequest{
			TransactionalID: p.TransactionalID, Partitions: []kafkawire.ProducePartition{{Topic: w.out, Partition: 0, Records: [][]byte{batch}}},
		})
		if err != nil {
			return err
		}
		if code := res.Partitions[0].Err; code != kafkawire.ErrNone && code != kafkawire.ErrDuplicateSequence {
			return code
		}
		if node, err = client.FindCoordinator(ctx, w.group); err != nil {
			return err
		}
		return client.TxnOffsetCommit(ctx, node, &p, &offsets)
	})
	_, err = client.OffsetFetch(w.t.Context(), w.group, map[string][]int32{w.in: {0}}, true)
	if err != nil && !errors.Is(err, kafkawire.ErrUnstableOffsetCommit) {
		w.t.Fatal(err)
	}
}
