package onnx

import (
	"github.com/sluice-ml/sluice/pipeline"
)

// maxStageBytes bounds the address space of one stage; only what rows touch of it
// becomes memory. A model with larger rows has smaller batches, whose fixed time
// is nothing beside such rows.
const maxStageBytes = 32 << 20

// stage is memory for the inputs of one batch, into which rows are decoded. Pinned
// memory is the first device's, and pinned for all: CUDA has one address space.
type stage struct {
	model  *Model
	inputs []tensorBuffer
	width  []int // bytes of a row, by input
	rows   int
}

var (
	_ pipeline.Stager = (*Model)(nil)
	_ pipeline.Stage  = (*stage)(nil)
)

// NewStage implements pipeline.Stager. Rows are run in place where every input
// counts rows on its first axis, has fixed dimensions below it and holds numbers,
// and where the model insists on no number of rows.
func (m *Model) NewStage(rows int) pipeline.Stage {
	p := m.plan
	if p.alone || p.varying || p.whole() || p.fixedRows > 0 {
		return nil
	}
	s := &stage{model: m, rows: min(rows, m.maxRows), width: make([]int, len(p.inputs)), inputs: make([]tensorBuffer, len(p.inputs))}
	total := 0
	for i := range p.inputs {
		in := &p.inputs[i]
		if !numeric(in.typ) || p.axes[i] != 0 || !fixedBelow(in.dims) {
			return nil
		}
		s.width[i] = in.typ.Size()
		for _, d := range in.dims[1:] {
			s.width[i] *= int(d)
		}
		total += s.width[i]
		s.inputs[i] = tensorBuffer{typ: in.typ, byRows: true, host: m.sessions[0].host}
	}
	if total == 0 || total > maxStageBytes {
		return nil
	}
	s.rows = min(s.rows, maxStageBytes/total)
	for i := range s.inputs {
		if err := s.inputs[i].reserve(int64(s.rows * s.width[i])); err != nil {
			s.Close()
			return nil
		}
	}
	return s
}

// Rows implements pipeline.Stage.
func (s *stage) Rows() int { return s.rows }

// Row implements pipeline.Stage.
func (s *stage) Row(input, row int) []byte {
	width := s.width[input]
	at := row * width
	return s.inputs[input].mem[at : at : at+width]
}

// Close implements pipeline.Stage.
func (s *stage) Close() {
	for i := range s.inputs {
		s.inputs[i].free()
	}
}
