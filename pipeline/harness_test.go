package pipeline_test

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/pipeline/pipelinetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a pipeline between scripted ends.
type rig struct {
	cfg   pipeline.Config
	src   *pipelinetest.Source
	model *pipelinetest.Model
	sink  *pipelinetest.Sink
	tel   *pipeline.Telemetry
	pipe  *pipeline.Pipeline
}

func newRig(src pipelinetest.SourceConfig) *rig {
	return &rig{
		cfg: pipeline.Config{
			MaxInFlight: 1024, Workers: 2, Decoders: 2, MaxRows: 256,
			RunTimeout: 30 * time.Second, DrainTimeout: 20 * time.Second, ModelName: "m", Group: "g",
		},
		src: pipelinetest.NewSource(src), model: &pipelinetest.Model{}, sink: &pipelinetest.Sink{},
	}
}

// start begins a run; stop ends its context; the channel has its error.
func (r *rig) start(t *testing.T) (stop context.CancelFunc, done <-chan error) {
	t.Helper()
	pipe, err := pipeline.New(r.cfg, r.src, pipelinetest.Codec{}, r.model, r.sink, r.tel)
	if err != nil {
		t.Fatal(err)
	}
	r.pipe = pipe
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- pipe.Run(ctx) }() // ends with its source or stop
	return cancel, ended
}

// run carries everything the source has.
func (r *rig) run(t *testing.T) pipeline.Counts {
	t.Helper()
	stop, done := r.start(t)
	defer stop()
	if err := <-done; err != nil {
		t.Fatalf("Run() = %v, want nil", err)
	}
	r.consistent(t)
	return r.pipe.Counts()
}

// consistent checks what holds after any clean run.
func (r *rig) consistent(t *testing.T) {
	t.Helper()
	c := r.pipe.Counts()
	if c.InFlight != 0 || c.Received != c.Predicted+c.DeadLettered+c.Expired+c.Skipped+c.Abandoned {
		t.Errorf("Counts() = %+v, want a sum that holds and nothing in flight", c)
	}
	if int64(r.src.Releases()) != c.Received {
		t.Errorf("%d buffers released, want one for each of %d items", r.src.Releases(), c.Received)
	}
	if n := r.sink.Overlaps(); n != 0 {
		t.Errorf("Send overlapped itself %d times for one partition", n)
	}
}

// deadLetters is the class of each dead letter by offset.
func (r *rig) deadLetters() map[int64]string {
	out := map[int64]string{}
	for _, o := range r.sink.Outcomes() {
		if o.Err != nil {
			out[o.Offset] = string(o.Err.Class)
		}
	}
	return out
}
