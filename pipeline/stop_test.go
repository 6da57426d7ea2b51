package pipeline_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/pipeline/pipelinetest"
)

// redone is how many outcomes were written past the position a next owner begins at.
func redone(r *rig) (n int) {
	for _, o := range r.sink.Outcomes() {
		if o.Offset >= r.src.Lane(o.Partition).Position() {
			n++
		}
	}
	return n
}

func TestStopUnderLoadLeavesNothingToRedo(t *testing.T) {
	t.Parallel()
	for name, ordered := range map[string]bool{"ordered": true, "order none": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for after := range 12 {
				synctest.Test(t, func(t *testing.T) {
					r := newRig(pipelinetest.SourceConfig{Partitions: 3, PerPartition: 1e6, Ordered: ordered})
					r.cfg.Workers, r.cfg.MaxRows = 3, 8
					r.model.Delay, r.sink.Delay, r.sink.Shuffle = 3*time.Millisecond, 5*time.Millisecond, true
					stop, done := r.start(t)
					time.Sleep(50*time.Millisecond + time.Duration(after)*1043*time.Microsecond)

					stop()
					if err := <-done; err != nil {
						t.Fatalf("Run() = %v, want nil", err)
					}

					r.consistent(t)
					if n := redone(r); n != 0 {
						t.Fatalf("%d outcomes would be written twice after a clean stop", n)
					}
					if c := r.pipe.Counts(); c.Predicted == 0 || c.Abandoned == 0 {
						t.Fatalf("Counts() = %+v, want some of both", c)
					}
				})
			}
		})
	}
}

func TestDrainTimeoutCutsTheWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(pipelinetest.SourceConfig{PerPartition: 10, Ordered: true, Follow: true})
		r.cfg.RunTimeout = 0
		r.model.HangOn = at(5)
		r.cfg.Decoders, r.cfg.MaxRows, r.cfg.Workers = 1, 1, 1
		stop, done := r.start(t)
		time.Sleep(time.Second)
		began := time.Now()

		stop()
		err := <-done

		if waited := time.Since(began); !errors.Is(err, pipeline.ErrDrainTimeout) || waited != r.cfg.DrainTimeout {
			t.Errorf("Run() = %v after %s, want ErrDrainTimeout after %s", err, waited, r.cfg.DrainTimeout)
		}
		if got := r.src.Lane(0).Position(); got != 5 {
			t.Errorf("position = %d, want 5: the cut item comes again", got)
		}
		synctest.Wait()
		if c := r.pipe.Counts(); c.InFlight != 0 || c.Abandoned != 5 {
			t.Errorf("Counts() = %+v, want 5 abandoned", c)
		}
	})
}

func TestRunEndsThoughAModelNeverReturns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(pipelinetest.SourceConfig{PerPartition: 1, Follow: true})
		stuck := make(chan struct{})
		r.model.PanicOn = func(*pipeline.Item) bool { <-stuck; return false }
		stop, done := r.start(t)
		time.Sleep(time.Second)

		stop()
		err := <-done

		if !errors.Is(err, pipeline.ErrDrainTimeout) {
			t.Errorf("Run() = %v, want ErrDrainTimeout (I7)", err)
		}
		close(stuck)
		synctest.Wait()
	})
}

func TestRevokeInMidBatchHandsNothingOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(pipelinetest.SourceConfig{Partitions: 2, PerPartition: 100, Ordered: true, Follow: true})
		r.cfg.MaxRows, r.cfg.Workers = 10, 1
		r.model.Delay = 10 * time.Millisecond
		stop, done := r.start(t)
		time.Sleep(35 * time.Millisecond)
		lane := r.src.Lane(1)

		lane.Drain()
		<-lane.Drained()
		lane.Close()
		sent, position := len(outcomesOf(r, 1)), lane.Position()
		time.Sleep(time.Second)

		if got := len(outcomesOf(r, 1)); got != sent || lane.Position() != position {
			t.Errorf("after Close %d outcomes and position %d, want %d and %d (I3)", got, lane.Position(), sent, position)
		}
		if int64(sent) != position {
			t.Errorf("%d outcomes but position %d, want equal after a drain", sent, position)
		}
		if got := len(outcomesOf(r, 0)); got != 100 {
			t.Errorf("the partition that stays has %d outcomes, want 100", got)
		}
		stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		r.consistent(t)
	})
}

// slowSender is a sink whose Send takes its time.
type slowSender struct {
	*pipelinetest.Sink
	takes    time.Duration
	returned chan time.Time // of the first Send
}

func (s *slowSender) Send(ctx context.Context, items []*pipeline.Item) {
	time.Sleep(s.takes)
	s.Sink.Send(ctx, items)
	select {
	case s.returned <- time.Now():
	default:
	}
}

func TestCloseWaitsForASendUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(pipelinetest.SourceConfig{PerPartition: 5, Ordered: true, Follow: true})
		sink := &slowSender{Sink: r.sink, takes: 10 * time.Second, returned: make(chan time.Time, 1)}
		pipe, err := pipeline.New(r.cfg, r.src, pipelinetest.Codec{}, r.model, sink, nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- pipe.Run(ctx) }() // ends with stop
		time.Sleep(time.Second)

		r.src.Lane(0).Close()
		closed := time.Now()

		if sent := <-sink.returned; closed.Before(sent) {
			t.Errorf("Close returned %s before the Send under way (I3)", sent.Sub(closed))
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestCloseWithoutDrainDropsWhatRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(pipelinetest.SourceConfig{PerPartition: 50, Ordered: true, Follow: true})
		r.model.Delay = time.Second
		stop, done := r.start(t)
		time.Sleep(500 * time.Millisecond)

		r.src.Lane(0).Close()
		time.Sleep(time.Minute)

		if n := len(r.sink.Outcomes()); n != 0 {
			t.Errorf("%d outcomes after Close, want none (I3)", n)
		}
		if c := r.pipe.Counts(); c.InFlight != 0 || c.Abandoned != 50 {
			t.Errorf("Counts() = %+v, want 50 abandoned and their slots free", c)
		}
		stop()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	})
}

func TestSourceErrorEndsTheRunAfterADrain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("fenced")
		r := newRig(pipelinetest.SourceConfig{PerPartition: 100, Ordered: true, Err: broken})
		r.model.Delay = time.Millisecond
		_, done := r.start(t)

		err := <-done

		if !errors.Is(err, broken) || redone(r) != 0 {
			t.Errorf("Run() = %v with %d to redo, want %v with none", err, redone(r), broken)
		}
		r.consistent(t)
	})
}

func TestContextCanceledByTheSourceItselfIsAnError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(pipelinetest.SourceConfig{Err: context.Canceled})
		_, done := r.start(t)
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run() = %v, want the source's error: nobody stopped the pipeline", err)
		}
	})
}

func outcomesOf(r *rig, partition int32) (out []pipelinetest.Outcome) {
	for _, o := range r.sink.Outcomes() {
		if o.Partition == partition {
			out = append(out, o)
		}
	}
	return out
}
