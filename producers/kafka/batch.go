package kafka

import (
	"sync"
	"time"

	"github.com/sluice-ml/sluice/internal/kafkawire"
	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/schemas"
)

// batch is one record batch on its way: being filled under its partition's
// mutex, then owned by the dispatcher, then for the time of a request by the
// request, then finished.
type batch struct {
	writer *kafkawire.BatchWriter
	// waiting[i] is told about the i-th record.
	waiting []Completion
	// want[i] is the partition asked for; only in a topic's lobby.
	want       []int32
	generation int64 // of the ledger
	opened     time.Time
	linger     time.Duration // from when it was opened on
	bytes      int64         // counted in BufferedBytes

	// wire is the encoded batch, the same bytes for every attempt; nil until the
	// first. It carries the numbers of the partition at that time.
	wire []byte
	// doubt is set when an attempt ended without a definite answer.
	doubt bool
	// retimed: its timestamps have been replaced once.
	retimed bool
	// attempts that were sent. A batch that was sent more than once may still be
	// read by an abandoned request: its memory is not reused.
	attempts int
}

// headroom is what a record takes beyond key, value and headers, at most:
// length, attributes, two deltas, two lengths and the header count as varints.
const headroom = 36

// recordSize is the most bytes a record takes in a batch.
func recordSize(rec *Record) int {
	n := headroom + len(rec.Key) + len(rec.Value)
	for i := range rec.Headers {
		n += 10 + len(rec.Headers[i].Key) + len(rec.Headers[i].Value)
	}
	return n
}

// batches is the pool of batches with their memory.
var batches = sync.Pool{New: func() any { return &batch{writer: new(kafkawire.BatchWriter)} }}

// newBatch takes an empty batch from the pool.
func newBatch(generation int64, now time.Time, linger time.Duration) *batch {
	b := batches.Get().(*batch)
	b.writer.Reset()
	b.generation, b.opened, b.linger = generation, now, linger
	return b
}

// add appends one record and returns its encoded size.
func (b *batch) add(ts int64, key, value []byte, headers []schemas.Header, c Completion) int {
	n := b.writer.Append(ts, key, value, headers)
	b.bytes += int64(n)
	b.waiting = append(b.waiting, c)
	return n
}

// settle settles the items of a batch that is written, all at once, and leaves those
// that wait for something else.
func (b *batch) settle() {
	at := time.Now().UnixNano()
	all := itemLists.Get().(*[]*pipeline.Item)
	items := (*all)[:0]
	for i, c := range b.waiting {
		if d, ok := c.(*delivery); ok {
			items = append(items, d.settled(at))
			b.waiting[i] = nil
		}
	}
	pipeline.SettleAll(items)
	clear(items)
	*all = items
	itemLists.Put(all)
}

var itemLists = sync.Pool{New: func() any { return new([]*pipeline.Item) }}

// stamp encodes the batch with the partition's numbers, once.
func (b *batch) stamp(codec kafkawire.Codec, id producerID, sequence int32) error {
	if b.wire != nil {
		return nil
	}
	wire, err := b.writer.Finish(codec, id.pid, id.epoch, sequence)
	b.wire = wire
	return err
}

// recycle returns the memory to the pool, unless an abandoned request may
// still read it.
func (b *batch) recycle() {
	if b.attempts > 1 || b.doubt {
		return
	}
	clear(b.waiting)
	*b = batch{writer: b.writer, waiting: b.waiting[:0], want: b.want[:0]}
	batches.Put(b)
}

// each decodes the batch's records one by one; the record is valid during the
// call. The bytes are our own, so an error is a bug.
func (b *batch) each(visit func(i int, rec *kafkawire.WireRecord)) {
	wire, err := b.wire, error(nil)
	if wire == nil {
		wire, err = b.writer.Finish(kafkawire.CodecNone, -1, -1, -1)
	}
	var raw kafkawire.RawBatch
	if err == nil {
		raw, _, err = kafkawire.NextBatch(wire)
	}
	var payload []byte
	if err == nil {
		payload, err = raw.Decompress(nil, maxPayload)
	}
	records := raw.Records(payload)
	var rec kafkawire.WireRecord
	for i := 0; err == nil && i < len(b.waiting); i++ {
		if _, err = records.Next(&rec); err == nil {
			visit(i, &rec)
		}
	}
	if err != nil {
		panic("BUG: a batch of ours does not decode: " + err.Error())
	}
}

// maxPayload bounds the decompression of our own batches: a batch is as large
// as an int32 says, at most.
const maxPayload = 1<<31 - 1

// rebuild copies records into new batches: choose returns which of the parts
// takes a record and its timestamp. Order is kept within each part; the part of
// no record is nil.
func (b *batch) rebuild(parts int, choose func(i int, rec *kafkawire.WireRecord) (part int, ts int64)) []*batch {
	out := make([]*batch, parts)
	b.each(func(i int, rec *kafkawire.WireRecord) {
		part, ts := choose(i, rec)
		if out[part] == nil {
			out[part] = newBatch(b.generation, b.opened, b.linger)
		}
		out[part].add(ts, rec.Key, rec.Value, rec.Headers, b.waiting[i])
	})
	return out
}
