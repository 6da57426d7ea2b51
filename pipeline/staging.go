package pipeline

import (
	"bytes"
	"unsafe"

	"github.com/sluice-ml/sluice/schemas"
)

// staging fills a stage's rows with what is decoded, one after the other. A record
// that cannot be decoded takes no row. Owned by one worker.
type staging struct {
	stage  Stage
	inputs int
	rows   int  // filled
	exact  bool // each item so far has its one row where it belongs
}

// begin empties the stage. A nil stage lends nothing.
func (s *staging) begin() { s.rows, s.exact = 0, s.stage != nil }

// lend makes the request's tensors write into the next row.
func (s *staging) lend(it *Item) {
	if !s.exact || s.rows == s.stage.Rows() {
		s.exact = false
		return
	}
	if len(it.Req.Inputs) != s.inputs {
		it.Req.Inputs = make([]schemas.Tensor, s.inputs) // a new item's first use
	}
	for i := range it.Req.Inputs {
		it.Req.Inputs[i].Data = s.stage.Row(i, s.rows)
	}
	it.state.staged = true
}

// keep takes the row that was lent: the codec filled it, or put its tensors
// elsewhere, then the batch is gathered as any other.
func (s *staging) keep(it *Item) {
	if !it.state.staged {
		return
	}
	s.exact = it.Req.Rows == 1 && len(it.Req.Inputs) == s.inputs
	for i := 0; s.exact && i < s.inputs; i++ {
		row, data := s.stage.Row(i, s.rows), it.Req.Inputs[i].Data
		s.exact = len(data) == cap(row) && unsafe.SliceData(data) == unsafe.SliceData(row)
	}
	s.rows++
}

// refuse gives the row back: its item does not run.
func (s *staging) refuse(it *Item) {
	if it.state.staged {
		unstage(&it.Req)
		it.state.staged = false
	}
}

// unstage lets go of a stage's memory.
func unstage(req *schemas.Request) {
	inputs := req.Inputs[:cap(req.Inputs)]
	for i := range inputs {
		inputs[i].Data = nil
	}
}

// own copies what lies in a stage: the items outlive their worker's piece.
func own(items []*Item) {
	for _, it := range items {
		if !it.state.staged {
			continue
		}
		it.state.staged = false
		for i := range it.Req.Inputs {
			if t := &it.Req.Inputs[i]; !it.Req.Lent {
				t.Data = bytes.Clone(t.Data)
			}
		}
	}
}

// batchStage is the stage when rows 0..n-1 are those items, in their order.
func (s *staging) batchStage(n int) Stage {
	if s.exact && s.rows == n && n > 0 {
		return s.stage
	}
	return nil
}
