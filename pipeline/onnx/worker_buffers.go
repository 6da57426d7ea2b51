package onnx

import (
	"context"
	"fmt"
	"sync"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/schemas"
)

// workerBuffers is all that one run needs: memory for its inputs and outputs
// with the runtime's headers over it, and its own run options. A free list
// lends it to one run at a time.
type workerBuffers struct {
	session *session
	plan    *plan
	inputs  []tensorBuffer
	outputs []tensorBuffer // unused where the plan does not know the shape

	// scratch of one run
	items   []*pipeline.Item
	rows    int // of the group that shares a batch
	shapes  [][]int64
	in, out []ort.Value
	shape   []int64

	stop stopper
}

func newWorkerBuffers(s *session, p *plan) (*workerBuffers, error) {
	opts, err := ort.NewRunOptions()
	if err != nil {
		return nil, fmt.Errorf("make run options: %w", err)
	}
	w := &workerBuffers{
		session: s, plan: p,
		inputs: make([]tensorBuffer, len(p.inputs)), outputs: make([]tensorBuffer, len(p.outputs)),
		shapes: make([][]int64, len(p.inputs)),
		in:     make([]ort.Value, len(p.inputs)), out: make([]ort.Value, len(p.outputs)),
		stop: stopper{opts: opts},
	}
	for i := range p.inputs {
		w.inputs[i] = tensorBuffer{typ: p.inputs[i].typ, host: s.host, byRows: !p.whole() && p.axes[i] == 0 && fixedBelow(p.inputs[i].dims)}
	}
	for i := range p.outputs {
		o := &p.outputs[i]
		w.outputs[i] = tensorBuffer{typ: o.typ, host: s.host, byRows: !p.whole() && o.axis == 0 && !o.sequence && fixedBelow(o.port.dims)}
	}
	return w, nil
}

// fixedBelow says that every dimension but the first is fixed.
func fixedBelow(dims []int64) bool {
	for a, d := range dims {
		if a > 0 && d < 0 {
			return false
		}
	}
	return len(dims) > 0
}

func (w *workerBuffers) free() {
	for i := range w.inputs {
		w.inputs[i].free()
	}
	for i := range w.outputs {
		w.outputs[i].free()
	}
	w.stop.free()
}

// execute runs the model on w.in, whose shapes are in w.shapes, into w.out.
// What the runtime allocated there must be given back with release.
func (w *workerBuffers) execute(ctx context.Context) error {
	for o := range w.plan.outputs {
		op := &w.plan.outputs[o]
		if op.dims == nil {
			w.out[o] = nil // the runtime allocates it
			continue
		}
		w.shape = op.shape(w.shape, w.shapes)
		v, err := w.outputs[o].value(w.shape)
		if err != nil {
			return err
		}
		w.out[o] = v
	}
	if ctx.Err() != nil {
		return fmt.Errorf("not run: %w", context.Cause(ctx))
	}
	stopped, err := w.stop.during(ctx, func(opts *ort.RunOptions) error {
		return w.session.ort.RunWithOptions(w.in, w.out, opts)
	})
	if err == nil {
		return nil
	}
	w.release()
	if stopped {
		return fmt.Errorf("run ended early: %w", context.Cause(ctx))
	}
	return err
}

// release destroys the outputs that the runtime allocated.
func (w *workerBuffers) release() {
	for o := range w.plan.outputs {
		if w.plan.outputs[o].dims == nil {
			destroy(w.out[o])
		}
		w.out[o] = nil
	}
}

// numeric says that a port's rows are plain bytes.
func numeric(t schemas.DataType) bool { return t != schemas.Bytes }

// stopper ends a run when its context ends. The runtime looks at the flag
// between the nodes of the model.
type stopper struct {
	mu      sync.Mutex
	opts    *ort.RunOptions
	run     uint64 // counts runs, so that a late callback cannot stop the next one
	running bool
	stopped bool
}

// during calls run, and tells whether ctx stopped it.
func (s *stopper) during(ctx context.Context, run func(*ort.RunOptions) error) (stopped bool, err error) {
	s.mu.Lock()
	s.run++
	s.running, s.stopped = true, false
	this := s.run
	s.mu.Unlock()
	if ctx.Done() != nil {
		defer context.AfterFunc(ctx, func() { s.terminate(this) })()
	}
	err = run(s.opts)

	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = false
	if s.stopped {
		if e := s.opts.UnsetTerminate(); e != nil {
			return true, fmt.Errorf("make the run options usable again: %w", e)
		}
	}
	return s.stopped, err
}

func (s *stopper) terminate(run uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running && s.run == run {
		s.stopped = s.opts.Terminate() == nil
	}
}

func (s *stopper) free() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.opts.Destroy() // it exists; a late terminate finds running false
}
