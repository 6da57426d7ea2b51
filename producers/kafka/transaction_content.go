package kafka

import (
	"sync"
	"time"

	"github.com/sluice-ml/sluice/internal/kafkawire"
	"github.com/sluice-ml/sluice/pipeline"
)

// content is what one transaction writes: outcomes in the order in which they were
// sent, encoded, and the items they are of. Only its owner touches it: the sink
// under its mutex while it is filled, then the transaction.
type content struct {
	queues map[*target]*queue
	order  []*queue
	items  []*pipeline.Item
	// last is the last item of each epoch.
	last  map[*pipeline.Partition]*pipeline.Item
	bytes int // encoded, before compression
}

func newContent() *content {
	return &content{queues: map[*target]*queue{}, last: map[*pipeline.Partition]*pipeline.Item{}}
}

func (c *content) empty() bool { return len(c.items) == 0 }

// add appends an item's record, which is copied.
func (c *content) add(to *target, it *pipeline.Item, rec *Record, now time.Time) {
	q := c.queues[to]
	if q == nil {
		q = &queue{to: to}
		c.queues[to] = q
		c.order = append(c.order, q)
	}
	b := q.filling()
	if b == nil || b.writer.Bytes()+recordSize(rec) > to.topic.batchBytes {
		if b != nil {
			to.topic.turn(to)
		}
		b = newTxnBatch()
		q.batches = append(q.batches, b)
	}
	ts := rec.Timestamp
	if ts <= 0 {
		ts = now.UnixMilli()
	}
	c.bytes += b.writer.Append(ts, rec.Key, rec.Value, rec.Headers)
	b.items = append(b.items, it)
	c.items = append(c.items, it)
	c.last[it.Owner()] = it
}

// positions are where the input's epochs move when the content is committed;
// ok is false when one of them has ended.
func (c *content) positions() (moved map[*pipeline.Partition]int64, ok bool) {
	moved = make(map[*pipeline.Partition]int64, len(c.last))
	for lane, it := range c.last {
		if moved[lane], ok = lane.PositionAfter(it); !ok {
			return nil, false
		}
	}
	return moved, true
}

// settle ends every item and gives the memory back.
func (c *content) settle(err error) {
	if err == nil {
		at := time.Now().UnixNano()
		for _, it := range c.items {
			it.ProducedAt = at
		}
		pipeline.SettleAll(c.items)
	} else {
		for _, it := range c.items {
			it.Settle(err)
		}
	}
	for _, q := range c.order {
		for _, b := range q.batches {
			b.recycle()
		}
	}
}

// queue is one output partition's batches, in order.
type queue struct {
	to      *target
	batches []*txnBatch
	next    int // the first one that is not in the log
	// What the transaction knows of it: the latest refusal, and since when it
	// was refused without a success.
	err     error
	refused time.Time
}

// filling is the batch that records are added to, nil for none.
func (q *queue) filling() *txnBatch {
	if len(q.batches) == 0 {
		return nil
	}
	return q.batches[len(q.batches)-1]
}

// head is the next batch to write, nil when all are written.
func (q *queue) head() *txnBatch {
	if q.next == len(q.batches) {
		return nil
	}
	return q.batches[q.next]
}

// replace puts other batches in the head's place; nil ones are left out.
func (q *queue) replace(parts ...*txnBatch) {
	old := q.batches[q.next]
	rest := append([]*txnBatch{}, q.batches[:q.next]...)
	for _, b := range parts {
		if b != nil {
			rest = append(rest, b)
		}
	}
	q.batches = append(rest, q.batches[q.next+1:]...)
	old.recycle()
}

// txnBatch is one record batch with the items of its records.
type txnBatch struct {
	writer  *kafkawire.BatchWriter
	items   []*pipeline.Item
	wire    []byte // the same bytes for every attempt; nil until the first
	retimed bool   // its timestamps have been replaced once
}

var txnBatches = sync.Pool{New: func() any { return &txnBatch{writer: new(kafkawire.BatchWriter)} }}

func newTxnBatch() *txnBatch {
	b := txnBatches.Get().(*txnBatch)
	b.writer.Reset()
	b.writer.Transactional = true
	return b
}

// recycle returns the memory: no request uses it any more when its call has
// returned.
func (b *txnBatch) recycle() {
	clear(b.items)
	*b = txnBatch{writer: b.writer, items: b.items[:0]}
	txnBatches.Put(b)
}

// stamp encodes the batch with its numbers, once.
func (b *txnBatch) stamp(codec kafkawire.Codec, p *kafkawire.TxnProducer, sequence int32) {
	if b.wire != nil {
		return
	}
	wire, err := b.writer.Finish(codec, p.ProducerID, p.Epoch, sequence)
	if err != nil {
		panic("BUG: a batch does not encode: " + err.Error())
	}
	b.wire = wire
}

// rebuild copies the records into new batches: choose returns which of the parts
// takes a record, and its timestamp. Order is kept; the part of no record is nil.
func (b *txnBatch) rebuild(parts int, choose func(i int, ts int64) (part int, newTS int64)) []*txnBatch {
	out := make([]*txnBatch, parts)
	raw, _, err := kafkawire.NextBatch(b.wire)
	if err != nil {
		panic("BUG: a batch of ours does not decode: " + err.Error())
	}
	payload, err := raw.Decompress(nil, maxPayload)
	records := raw.Records(payload)
	var rec kafkawire.WireRecord
	for i := 0; err == nil && i < len(b.items); i++ {
		if _, err = records.Next(&rec); err != nil {
			break
		}
		part, ts := choose(i, rec.Timestamp)
		if out[part] == nil {
			out[part] = newTxnBatch()
			out[part].retimed = b.retimed
		}
		out[part].writer.Append(ts, rec.Key, rec.Value, rec.Headers)
		out[part].items = append(out[part].items, b.items[i])
	}
	if err != nil {
		panic("BUG: a batch of ours does not decode: " + err.Error())
	}
	return out
}
