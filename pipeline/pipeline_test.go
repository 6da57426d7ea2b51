package pipeline_test

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/pipeline/pipelinetest"
)

func TestEveryItemIsPredictedInInputOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(pipelinetest.SourceConfig{Partitions: 4, PerPartition: 5000, Ordered: true, Most: 100})
		r.cfg.Workers, r.cfg.MaxRows = 4, 7
		r.model.Delay, r.sink.Delay, r.sink.Shuffle = 3*time.Millisecond, 10*time.Millisecond, true

		counts := r.run(t)

		if counts.Predicted != 20000 {
			t.Fatalf("Counts() = %+v, want 20000 predicted", counts)
		}
		next := map[int32]int64{}
		for _, o := range r.sink.Outcomes() {
			if o.Offset != next[o.Partition] {
				t.Fatalf("partition %d delivered %d, want %d", o.Partition, o.Offset, next[o.Partition])
			}
			if want := strconv.FormatInt(2*o.Offset+1, 10); o.Value != want {
				t.Fatalf("offset %d has output %q, want %q", o.Offset, o.Value, want)
			}
			next[o.Partition]++
		}
		for id := range int32(4) {
			if got := r.src.Lane(id).Position(); got != 5000 {
				t.Errorf("partition %d stands at %d, want 5000", id, got)
			}
		}
	})
}

func TestUnorderedItemsLeaveWhenDone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(pipelinetest.SourceConfig{PerPartition: 4, Most: 1})
		r.cfg.MaxRows, r.cfg.Decoders = 1, 1
		r.model.Delay = time.Millisecond
		r.model.HangOn = func(it *pipeline.Item) bool { return it.Offset == 0 }
		r.cfg.RunTimeout = time.Second

		r.run(t)

		if first := r.sink.Outcomes()[0].Offset; first != 1 {
			t.Errorf("first outcome is of offset %d, want 1: the hanging one must not hold others", first)
		}
		if got := r.src.Lane(0).Position(); got != 4 {
			t.Errorf("position = %d, want 4", got)
		}
	})
}
