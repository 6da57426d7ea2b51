package kafkawire

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/bits"

	"github.com/sluice-ml/sluice/schemas"
)

// Layout of a record batch, magic 2 (protocol guide, "Record Batch"). All
// integers are big-endian.
const (
	atBaseOffset  = 0
	atLength      = 8
	atLeaderEpoch = 12
	atMagic       = 16
	atCRC         = 17
	atAttributes  = 21 // the CRC covers everything from here on
	atLastDelta   = 23
	atFirstTime   = 27
	atMaxTime     = 35
	atProducerID  = 43
	atEpoch       = 51
	atSequence    = 53
	atCount       = 57
	batchHeader   = 61
)

// Bits of a batch's attributes.
const (
	attrCodec         = 0x07
	attrLogAppendTime = 0x08
	attrTransactional = 0x10
	attrControl       = 0x20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// BatchWriter encodes one record batch. It keeps its memory over Reset, so
// appending allocates nothing in the steady state. Not safe for concurrent use.
type BatchWriter struct {
	// Transactional marks the batch as part of a transaction; Reset clears it.
	Transactional bool

	buf            []byte // header, then the records
	packed         []byte // header, then the records compressed
	count          int
	first, maxTime int64
}

// Reset begins a new batch. Bytes that Finish returned must not be in use any
// more: their memory is written again.
func (w *BatchWriter) Reset() {
	w.Transactional = false
	w.buf = w.buf[:0]
	w.count, w.first, w.maxTime = 0, 0, 0
}

// Len is the number of records.
func (w *BatchWriter) Len() int { return w.count }

// Bytes is the size of the batch so far, uncompressed, its header included.
func (w *BatchWriter) Bytes() int { return max(len(w.buf), batchHeader) }

// Append adds a record and returns how many bytes it took. A nil key or value
// is null, which is not the same as empty. Timestamps are Unix milliseconds and
// may come in any order.
func (w *BatchWriter) Append(ts int64, key, value []byte, headers []schemas.Header) int {
	if len(w.buf) == 0 {
		w.begin()
	}
	if w.count == 0 {
		w.first, w.maxTime = ts, ts
	}
	w.maxTime = max(w.maxTime, ts)
	before := len(w.buf)
	size := recordSize(ts-w.first, w.count, key, value, headers)
	b := binary.AppendVarint(w.buf, int64(size))
	b = append(b, 0) // attributes, none are defined
	b = binary.AppendVarint(b, ts-w.first)
	b = binary.AppendVarint(b, int64(w.count))
	b = appendNullable(b, key)
	b = appendNullable(b, value)
	b = binary.AppendVarint(b, int64(len(headers)))
	for i := range headers {
		h := &headers[i]
		b = binary.AppendVarint(b, int64(len(h.Key)))
		b = append(b, h.Key...)
		b = appendNullable(b, h.Value)
	}
	w.buf = b
	w.count++
	return len(b) - before
}

// Size is what Append would return for this record, give or take the few bytes
// of a larger record number.
func (w *BatchWriter) Size(ts int64, key, value []byte, headers []schemas.Header) int {
	delta := ts - w.first
	if w.count == 0 {
		delta = 0
	}
	size := recordSize(delta, w.count, key, value, headers)
	return varintSize(int64(size)) + size
}

// begin reserves the header.
func (w *BatchWriter) begin() {
	if cap(w.buf) < batchHeader {
		w.buf = make([]byte, 0, 4<<10)
	}
	w.buf = w.buf[:batchHeader]
}

func appendNullable(b, v []byte) []byte {
	if v == nil {
		return append(b, 1) // -1 in zig-zag
	}
	b = binary.AppendVarint(b, int64(len(v)))
	return append(b, v...)
}

// recordSize is a record's length without its own length prefix.
func recordSize(tsDelta int64, offsetDelta int, key, value []byte, headers []schemas.Header) int {
	n := 1 + varintSize(tsDelta) + varintSize(int64(offsetDelta)) +
		nullableSize(key) + nullableSize(value) + varintSize(int64(len(headers)))
	for i := range headers {
		n += varintSize(int64(len(headers[i].Key))) + len(headers[i].Key) + nullableSize(headers[i].Value)
	}
	return n
}

func nullableSize(v []byte) int {
	if v == nil {
		return 1
	}
	return varintSize(int64(len(v))) + len(v)
}

// varintSize is the size of a zig-zag varint.
func varintSize(v int64) int {
	return (bits.Len64(uint64(v<<1)^uint64(v>>63)|1) + 6) / 7
}

// ErrNoProducerID is a batch with a sequence but no producer id: brokers store
// it as if it were not idempotent, also within a transaction.
var ErrNoProducerID = errors.New("batch has a sequence number or a transaction but no producer id")

// ErrEmptyBatch is a Finish without records.
var ErrEmptyBatch = errors.New("batch has no records")

// Finish returns the whole batch, ready for Produce; the bytes stay as they are
// until Reset, so that a retry sends the same. It may be called again, with
// another producer id and sequence. pid, epoch and seq are all -1 for a batch
// that is not idempotent.
func (w *BatchWriter) Finish(codec Codec, pid int64, epoch int16, seq int32) ([]byte, error) {
	if w.count == 0 {
		return nil, ErrEmptyBatch
	}
	if pid < 0 && (pid != -1 || epoch != -1 || seq != -1 || w.Transactional) {
		return nil, ErrNoProducerID
	}
	batch := w.buf
	if codec != CodecNone {
		if cap(w.packed) < batchHeader {
			w.packed = make([]byte, 0, len(w.buf)/2+batchHeader)
		}
		packed, err := compress(codec, w.packed[:batchHeader], w.buf[batchHeader:])
		if err != nil {
			return nil, err
		}
		w.packed, batch = packed, packed
	}
	w.seal(batch, codec, pid, epoch, seq)
	return batch, nil
}

func (w *BatchWriter) seal(b []byte, codec Codec, pid int64, epoch int16, seq int32) {
	attributes := uint16(codec)
	if w.Transactional {
		attributes |= attrTransactional
	}
	be := binary.BigEndian
	be.PutUint64(b[atBaseOffset:], 0)
	be.PutUint32(b[atLength:], uint32(len(b)-atLeaderEpoch))
	be.PutUint32(b[atLeaderEpoch:], 1<<32-1) // -1: the broker fills it in
	b[atMagic] = 2
	be.PutUint16(b[atAttributes:], attributes)
	be.PutUint32(b[atLastDelta:], uint32(w.count-1))
	be.PutUint64(b[atFirstTime:], uint64(w.first))
	be.PutUint64(b[atMaxTime:], uint64(w.maxTime))
	be.PutUint64(b[atProducerID:], uint64(pid))
	be.PutUint16(b[atEpoch:], uint16(epoch))
	be.PutUint32(b[atSequence:], uint32(seq))
	be.PutUint32(b[atCount:], uint32(w.count))
	be.PutUint32(b[atCRC:], crc32.Checksum(b[atAttributes:], castagnoli))
}
