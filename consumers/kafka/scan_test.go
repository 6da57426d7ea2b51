package kafka

import (
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/sluice-ml/sluice/internal/kafkawire"
	"github.com/sluice-ml/sluice/schemas"
)

func TestScanReadsTheRangeAndNoMore(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(3)
		w.produce(3, 20)
		got := map[int32][]int64{}
		err := Scan(w.Context(), w.client(), ScanConfig{
			Topic: "in", From: map[int32]int64{0: 5, 2: 0}, Until: map[int32]int64{0: 8, 2: 20}, ReadCommitted: true,
		}, func(r *schemas.Record, next int64) error {
			if next != r.Offset+1 {
				w.Errorf("next %d after %d", next, r.Offset)
			}
			got[r.Partition] = append(got[r.Partition], r.Offset)
			return nil
		})
		if err != nil {
			w.Fatal(err)
		}
		if len(got[0]) != 3 || got[0][0] != 5 || len(got[1]) != 0 || len(got[2]) != 20 {
			w.Errorf("got %v", got)
		}
		if state := w.cluster.GroupInfo("g"); state != nil {
			w.Error("a group appeared")
		}
	}, kfake.Ports(9092, 9093))
}

func TestScanFollowsUntilToldToStop(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(2)
		enough := errors.New("enough")
		written := make(chan struct{})
		time.AfterFunc(3*time.Second, func() { defer close(written); w.produce(2, 2) })
		n := 0
		err := Scan(w.Context(), w.client(), ScanConfig{Topic: "in", From: map[int32]int64{0: 0, 1: 0}}, func(*schemas.Record, int64) error {
			if n++; n == 4 {
				return enough
			}
			return nil
		})
		<-written
		if !errors.Is(err, enough) || n != 4 {
			w.Errorf("%v after %d records", err, n)
		}
	})
}

func TestScanSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(1)
		w.produce(1, 10)
		nothing := func(*schemas.Record, int64) error { return nil }
		if err := w.cluster.DeleteRecords("in", 0, 6); err != nil {
			w.Fatal(err)
		}
		err := Scan(w.Context(), w.client(), ScanConfig{Topic: "in", From: map[int32]int64{0: 2}, Until: map[int32]int64{0: 10}}, nothing)
		if !errors.Is(err, kafkawire.ErrOffsetOutOfRange) {
			w.Errorf("gone offset: %v", err)
		}
		began := time.Now()
		err = Scan(w.Context(), w.client(), ScanConfig{Topic: "none", From: map[int32]int64{0: 0}}, nothing)
		if !errors.Is(err, kafkawire.ErrUnknownTopicOrPartition) || time.Since(began) > time.Minute {
			w.Errorf("missing topic: %v after %v", err, time.Since(began))
		}
	})
}
