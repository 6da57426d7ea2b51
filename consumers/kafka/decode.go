package kafka

import (
	"encoding/binary"
	"errors"
	"io"

	"github.com/sluice-ml/sluice/internal/kafkawire"
)

// Fields of a record batch that the fetch loop reads ahead of decoding (KIP-98).
const (
	batchPrefix     = 12 // base offset (8), length of what follows (4)
	batchMagicAt    = 16
	batchLastDelta  = 23 // last offset delta (4)
	batchHeaderSize = 61
)

// walk returns where the complete batches in records end: how many bytes, and
// the offset after them. A cut last batch is left out; next is from when there
// is no whole batch. Nothing is verified here: decoding checks the CRC, and a
// wrong one sends the fetch back.
func walk(records []byte, from int64) (size int, next int64) {
	next = from
	for {
		rest := records[size:]
		if len(rest) < batchHeaderSize {
			if len(rest) > batchMagicAt && rest[batchMagicAt] < 2 {
				return len(records), next // old format: decoding says what is wrong
			}
			return size, next
		}
		length := int64(int32(binary.BigEndian.Uint32(rest[8:])))
		if rest[batchMagicAt] < 2 || length < batchHeaderSize-batchPrefix {
			return len(records), next
		}
		if length+batchPrefix > int64(len(rest)) {
			return size, next
		}
		size += int(length) + batchPrefix
		base := int64(binary.BigEndian.Uint64(rest))
		if n := base + int64(int32(binary.BigEndian.Uint32(rest[batchLastDelta:]))) + 1; n > next {
			next = n
		}
	}
}

// event is what a cursor came to.
type event uint8

const (
	// more: nothing to tell yet; never leaves the cursor.
	more event = iota
	// gotRecord: the record was filled in; next is where the position moves with
	// it: the batch's end for the last record of a batch (compaction gaps).
	gotRecord
	// gotSkip: everything below next needs no processing (control batch, aborted
	// transaction, records before the position, empty batch).
	gotSkip
	// gotStub: the batch up to next cannot be read, and never will be: err says
	// why, the record holds only its position.
	gotStub
	// gotBlocked: the next batch needs memory to be decompressed into.
	gotBlocked
	// gotEnd: nothing is left.
	gotEnd
	// gotCorrupt: the bytes are not what the broker's CRC says, or no batch at
	// all: fetch again. err says why.
	gotCorrupt
)

// step is an event and where the position is after it.
type step struct {
	event event
	next  int64
	err   error
}

// unpacker gives memory for decompressed batches and bounds them.
type unpacker interface {
	// unpack returns a lease that holds b's records, nil when memory is short now.
	unpack(b *kafkawire.RawBatch) (l *lease, payload []byte, err error)
}

// cursor walks the records of one partition's part of a fetch answer, from
// position on, batch by batch; a compressed batch is decompressed when its turn
// comes. Not safe for concurrent use.
type cursor struct {
	rest []byte
	// verified is how many bytes of rest are batches whose CRC is known to be right.
	verified int
	filter   *kafkawire.AbortedFilter
	limit    kafkawire.HeaderLimit
	position int64 // first offset that is still wanted

	batch   kafkawire.RawBatch
	reader  kafkawire.RecordReader
	pending bool   // batch was read, not yet opened
	open    bool   // reader is inside batch
	seen    int32  // records of batch read so far
	lease   *lease // of a decompressed batch, nil otherwise
}

// load starts on the complete batches of an answer, of which the first verified
// bytes need no CRC.
func (c *cursor) load(records []byte, verified int, aborted []kafkawire.AbortedTxn) {
	c.rest, c.verified, c.filter = records, verified, kafkawire.NewAbortedFilter(aborted)
}

// reset drops what is left.
func (c *cursor) reset() {
	c.closeBatch()
	c.pending = false
	c.rest, c.verified, c.filter = nil, 0, nil
}

// next reads one record into rec. Its bytes lie in c.lease, or, when that is
// nil, in the loaded answer.
func (c *cursor) next(rec *kafkawire.WireRecord, u unpacker) step {
	for {
		var s step
		switch {
		case c.open:
			s = c.record(rec)
		case c.pending:
			s = c.openBatch(rec, u)
		default:
			s = c.readBatch()
		}
		if s.event != more {
			return s
		}
	}
}

func (c *cursor) readBatch() step {
	if len(c.rest) == 0 {
		return step{event: gotEnd, next: c.position}
	}
	next := kafkawire.NextBatch
	if c.verified > 0 {
		next = kafkawire.NextVerified
	}
	b, rest, err := next(c.rest)
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		c.rest = nil
		return step{event: gotEnd, next: c.position}
	case err != nil:
		return step{gotCorrupt, c.position, err}
	}
	c.verified -= len(c.rest) - len(rest)
	c.batch, c.rest, c.pending = b, rest, true
	return step{}
}

// openBatch goes into the pending batch, or over it.
func (c *cursor) openBatch(rec *kafkawire.WireRecord, u unpacker) step {
	b := &c.batch
	// The filter sees every batch, also below the position: an abort marker ends
	// its transaction there. Seeing a data batch twice changes nothing.
	drop := c.filter.Drop(b, b.Payload)
	if drop || b.LastOffset() < c.position || b.Count == 0 {
		return c.skip()
	}
	payload := b.Payload
	if b.Codec() != kafkawire.CodecNone {
		l, unpacked, err := u.unpack(b)
		switch {
		case err != nil:
			return c.stub(rec, err)
		case l == nil:
			return step{event: gotBlocked, next: c.position}
		}
		c.lease, payload = l, unpacked
	}
	c.reader = b.Records(payload)
	c.reader.Limit = c.limit
	c.pending, c.open, c.seen = false, true, 0
	return step{}
}

// skip steps over the batch: its records need no processing.
func (c *cursor) skip() step {
	c.closeBatch()
	c.pending = false
	c.position = max(c.batch.LastOffset()+1, c.position)
	return step{event: gotSkip, next: c.position}
}

// stub steps over what is left of the batch because err makes it unreadable.
func (c *cursor) stub(rec *kafkawire.WireRecord, err error) step {
	*rec = kafkawire.WireRecord{Offset: max(c.position, c.batch.BaseOffset), Timestamp: c.batch.MaxTimestamp, Headers: rec.Headers[:0]}
	c.closeBatch()
	c.pending = false
	c.position = max(c.batch.LastOffset()+1, c.position+1)
	return step{gotStub, c.position, err}
}

func (c *cursor) record(rec *kafkawire.WireRecord) step {
	end := c.batch.LastOffset() + 1
	if c.seen == c.batch.Count {
		if c.position < end { // every record lay below the position
			return c.skip()
		}
		c.closeBatch()
		return step{}
	}
	ok, err := c.reader.Next(rec)
	if err == nil && !ok {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return c.stub(rec, err)
	}
	c.seen++
	if rec.Offset < c.position {
		return step{}
	}
	c.position = rec.Offset + 1
	if c.seen == c.batch.Count {
		c.position = max(end, c.position)
	}
	return step{event: gotRecord, next: c.position}
}

func (c *cursor) closeBatch() {
	if c.lease != nil {
		c.lease.Release()
		c.lease = nil
	}
	c.open = false
}
