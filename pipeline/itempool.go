package pipeline

import (
	"sync"

	"github.com/sluice-ml/sluice/schemas"
)

// keepBytes bounds what an item keeps for its next use, so that one giant
// record does not stay in the pool; a guess: 20 times a digits record.
const keepBytes = 1 << 18

var itemPool = sync.Pool{New: func() any { return new(Item) }}

// NewItem takes an item from the pool: zero, but for the memory that decoding
// and encoding fill again. Settle gives it back.
func NewItem() *Item { return itemPool.Get().(*Item) }

// Unload gives the buffer of the input back ahead of the outcome: for a sink that has
// copied the outcome's record and settles the item much later, by a transaction. What
// the item says of its input's bytes is gone then (Key, Value, Headers, trace context).
func (it *Item) Unload() {
	it.Req.GiveBack()
	clear(it.Headers)
	it.Headers, it.Key, it.Value = it.Headers[:0], nil, nil
	it.TraceParent, it.TraceState = "", ""
	if b := it.Buffer; b != nil {
		it.Buffer = nil
		b.Release()
	}
}

// recycle gives an item's buffer to its source and the item to the pool.
func (it *Item) recycle() {
	it.Req.GiveBack()
	if it.Buffer != nil {
		it.Buffer.Release()
	}
	headers, output, req, res := it.Headers[:0], it.Output[:0], it.Req, it.Res.Outputs[:0]
	if cap(output) > keepBytes {
		output = nil
	}
	if it.state.staged {
		unstage(&req)
	}
	clear(it.Headers) // they alias the source's buffer
	*it = Item{}
	it.Headers, it.Output, it.Req = headers, output, emptied(req)
	it.Res.Outputs = kept(res)
	itemPool.Put(it)
}

// shed drops large inputs that have had their run: the sink may take its time.
func (it *Item) shed() {
	for i := range it.Req.Inputs {
		if x := &it.Req.Inputs[i]; cap(x.Data) > keepBytes && !it.state.staged {
			x.Data = nil
		}
	}
}

// emptied is a request without content that keeps its tensors' memory.
func emptied(req schemas.Request) schemas.Request {
	kept := schemas.Request{ID: req.ID[:0], Include: nil, Outputs: req.Outputs[:0], Inputs: req.Inputs}
	for i := range kept.Inputs {
		if cap(kept.Inputs[i].Data) > keepBytes || cap(kept.Inputs[i].Strings) > keepBytes/16 {
			kept.Inputs = nil
			return kept
		}
	}
	return kept
}

// kept is an empty result's memory unless it is large.
func kept(outputs []schemas.Output) []schemas.Output {
	all := outputs[:cap(outputs)]
	for i := range all {
		if cap(all[i].Data) > keepBytes || cap(all[i].Strings) > keepBytes/16 || all[i].Maps != nil {
			return nil
		}
	}
	return outputs
}
