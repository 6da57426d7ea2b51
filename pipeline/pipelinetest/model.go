package pipelinetest

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/schemas"
)

var (
	_ pipeline.Model      = (*Model)(nil)
	_ pipeline.SelfTester = (*Model)(nil)
	_ pipeline.Stager     = (*Model)(nil)
	_ pipeline.Stage      = (*stage)(nil)
)

// Model computes y = 2x + 1 for the codec's input. Its fields are set before use
// and script what goes wrong; nil does not. Safe for concurrent use.
type Model struct {
	// Sig defaults to one FP32 input x [-1,-1] and output y [-1,-1].
	Sig *schemas.Signature
	// Delay is how long a run takes, RowDelay what each row adds to it.
	Delay, RowDelay time.Duration
	// FailOn makes the whole run fail when it holds such an item.
	FailOn func(it *pipeline.Item) bool
	// RefuseOn gives such an item its own error; the run succeeds.
	RefuseOn func(it *pipeline.Item) *schemas.Error
	// HangOn makes the run wait for its ctx.
	HangOn func(it *pipeline.Item) bool
	// PanicOn makes the run panic.
	PanicOn func(it *pipeline.Item) bool
	// StageWidth, when set, lets rows of so many values be decoded in place.
	StageWidth int
	// Started, when set, is sent to as each run begins.
	Started chan struct{}

	broken, deviceErr atomic.Bool

	mu      sync.Mutex
	runs    [][]int64 // offsets of each run
	reasons []pipeline.DispatchReason
	tests   int
	staged  int // rows that were run in place
	stages  int // open
}

// Break makes every run and the self-test fail, until Repair. With named, runs
// say that it is the device (pipeline.ErrDevice).
func (m *Model) Break(named bool) {
	m.deviceErr.Store(named)
	m.broken.Store(true)
}

// Repair undoes Break.
func (m *Model) Repair() { m.broken.Store(false) }

// Runs is the offsets of every run so far.
func (m *Model) Runs() [][]int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([][]int64(nil), m.runs...)
}

// Reasons is why each run's batch left.
func (m *Model) Reasons() []pipeline.DispatchReason {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]pipeline.DispatchReason(nil), m.reasons...)
}

// SelfTests is how many self-tests there were.
func (m *Model) SelfTests() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tests
}

// Signature implements pipeline.Model.
func (m *Model) Signature() *schemas.Signature {
	if m.Sig != nil {
		return m.Sig
	}
	spec := func(name string) []schemas.TensorSpec {
		return []schemas.TensorSpec{{Name: name, Type: schemas.FP32, Shape: []int64{-1, -1}, BatchAxis: 0}}
	}
	return &schemas.Signature{Inputs: spec("x"), Outputs: spec("y"), Varying: true}
}

// Run implements pipeline.Model.
func (m *Model) Run(ctx context.Context, batch *pipeline.Batch) error {
	m.note(batch)
	if m.Started != nil {
		m.Started <- struct{}{}
	}
	if err := pause(ctx, m.Delay+time.Duration(batch.Rows)*m.RowDelay); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if m.broken.Load() {
		if m.deviceErr.Load() {
			return errors.Join(pipeline.ErrDevice, errors.New("scripted"))
		}
		return errors.New("run: something failed (it does not say what)")
	}
	for _, it := range batch.Items {
		if err := m.mishap(ctx, it); err != nil {
			return err
		}
	}
	for i, it := range batch.Items {
		if m.RefuseOn != nil {
			if it.Err = m.RefuseOn(it); it.Err != nil {
				continue
			}
		}
		x := it.Req.Inputs[0]
		if batch.Stage != nil { // what the items say does not count: the stage does
			row := batch.Stage.Row(0, i)
			x.Data = row[:cap(row)]
		}
		it.Res = affine(x)
		it.Device = "test"
	}
	return nil
}

func (m *Model) note(batch *pipeline.Batch) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var offsets []int64
	for _, it := range batch.Items {
		offsets = append(offsets, it.Offset)
	}
	m.runs = append(m.runs, offsets)
	m.reasons = append(m.reasons, batch.Reason)
	if batch.Stage != nil {
		m.staged += len(batch.Items)
	}
}

// Staged is how many rows were run where they were decoded.
func (m *Model) Staged() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.staged
}

// Stages is how many stages are open.
func (m *Model) Stages() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stages
}

// NewStage implements pipeline.Stager.
func (m *Model) NewStage(rows int) pipeline.Stage {
	if m.StageWidth == 0 {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stages++
	return &stage{m: m, width: 4 * m.StageWidth, data: make([]byte, 4*m.StageWidth*rows)}
}

// stage is memory for rows of one input.
type stage struct {
	m     *Model
	width int // bytes of a row
	data  []byte
}

// Rows implements pipeline.Stage.
func (s *stage) Rows() int { return len(s.data) / s.width }

// Row implements pipeline.Stage.
func (s *stage) Row(_, row int) []byte {
	return s.data[row*s.width : row*s.width : (row+1)*s.width]
}

// Close implements pipeline.Stage. What is still used afterwards shows itself.
func (s *stage) Close() {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	s.m.stages--
	s.data = nil
}

func (m *Model) mishap(ctx context.Context, it *pipeline.Item) error {
	if m.HangOn != nil && m.HangOn(it) {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	if m.PanicOn != nil && m.PanicOn(it) {
		panic("model: told to")
	}
	if m.FailOn != nil && m.FailOn(it) {
		return errors.New("run: a row of this batch failed\nwith two lines\x00")
	}
	return nil
}

// affine is y = 2x + 1 in memory of its own.
func affine(x schemas.Tensor) schemas.Result {
	data := make([]byte, 0, len(x.Data))
	for _, v := range Floats(x.Data) {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(2*v+1))
	}
	y := schemas.Tensor{Name: "y", Type: schemas.FP32, Shape: append([]int64(nil), x.Shape...), Data: data}
	return schemas.Result{Outputs: []schemas.Output{{Tensor: y, HasRows: true}}}
}

// SelfTest implements pipeline.SelfTester.
func (m *Model) SelfTest(context.Context) error {
	m.mu.Lock()
	m.tests++
	m.mu.Unlock()
	if m.broken.Load() {
		return errors.New("the warm-up row fails too")
	}
	return nil
}

// Close implements pipeline.Model.
func (m *Model) Close() error { return nil }
