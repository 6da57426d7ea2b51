package pipeline_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/pipeline/pipelinetest"
	"github.com/sluice-ml/sluice/schemas"
)

// What waits for max_delay outlives the piece it was decoded in: the worker's next
// piece must not be decoded over it.
func TestRowsThatWaitAreNotDecodedOver(t *testing.T) {
	t.Parallel()
	for _, workers := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			r := stagedRigOf(pipelinetest.SourceConfig{PerPartition: 500, Ordered: true, Most: 10, Delay: time.Millisecond, Value: offsetAndHalf})
			r.cfg.Workers, r.cfg.Decoders, r.cfg.MaxDelay = workers, workers, 5*time.Millisecond

			counts := r.run(t)

			if counts.Predicted != 500 {
				t.Errorf("Counts() = %+v, want all 500", counts)
			}
			r.answers(t)
		})
	}
}

// manyRows has nine rows in one record of each ten.
type manyRows struct{ pipelinetest.Codec }

func (c manyRows) Decode(rec *schemas.Record, req *schemas.Request) error {
	err := c.Codec.Decode(rec, req)
	if rec.Offset%10 == 2 {
		req.Rows = 9
	}
	return err
}

// One record of many rows among others of one: the piece becomes several batches,
// and another worker runs one of them while this one decodes its next piece.
func TestRowsThatOthersRunAreNotDecodedOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := stagedRigOf(pipelinetest.SourceConfig{PerPartition: 500, Ordered: true, Most: 10, Delay: time.Millisecond, Value: offsetAndHalf})
		r.cfg.MaxRows, r.model.RowDelay = 10, time.Millisecond
		pipe, err := pipeline.New(r.cfg, r.src, manyRows{}, r.model, r.sink, nil)
		if err != nil {
			t.Fatal(err)
		}

		err = pipe.Run(t.Context())

		if c := pipe.Counts(); err != nil || c.Predicted != 500 {
			t.Errorf("Run() = %v, %+v, want 500 predicted", err, c)
		}
		r.answers(t)
	})
}
