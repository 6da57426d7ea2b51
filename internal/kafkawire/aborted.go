package kafkawire

import (
	"encoding/binary"
	"slices"
)

// AbortedFilter drops control batches and the records of aborted transactions
// (KIP-98). It belongs to one partition of one fetch answer, whose batches it
// must see in order.
type AbortedFilter struct {
	pending []AbortedTxn // by first offset
	active  []int64      // producer ids; a handful at most
}

// NewAbortedFilter returns a filter for the aborted transactions of an answer;
// none for read_uncommitted, where only control batches are dropped.
func NewAbortedFilter(aborted []AbortedTxn) *AbortedFilter {
	f := &AbortedFilter{}
	if len(aborted) > 0 {
		f.pending = slices.Clone(aborted)
		slices.SortFunc(f.pending, func(a, b AbortedTxn) int {
			switch {
			case a.FirstOffset < b.FirstOffset:
				return -1
			case a.FirstOffset > b.FirstOffset:
				return 1
			}
			return 0
		})
	}
	return f
}

// Drop says whether the batch holds nothing for the application: a marker, or
// data of an aborted transaction. payload is needed for control batches, which
// are never compressed.
func (f *AbortedFilter) Drop(b *RawBatch, payload []byte) bool {
	for len(f.pending) > 0 && f.pending[0].FirstOffset <= b.LastOffset() {
		if !slices.Contains(f.active, f.pending[0].ProducerID) {
			f.active = append(f.active, f.pending[0].ProducerID)
		}
		f.pending = f.pending[1:]
	}
	if b.Control() {
		if isAbortMarker(b, payload) {
			f.active = slices.DeleteFunc(f.active, func(id int64) bool { return id == b.ProducerID })
		}
		return true
	}
	return b.Transactional() && slices.Contains(f.active, b.ProducerID)
}

// isAbortMarker reads the key of a control record: version, type (0 is abort).
func isAbortMarker(b *RawBatch, payload []byte) bool {
	r := b.Records(payload)
	var rec WireRecord
	ok, err := r.Next(&rec)
	return ok && err == nil && len(rec.Key) >= 4 && binary.BigEndian.Uint16(rec.Key[2:]) == 0
}
