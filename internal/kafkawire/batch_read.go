package kafkawire

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"
)

// BatchHeader is the fixed part of a record batch (magic 2, KIP-98).
type BatchHeader struct {
	BaseOffset                   int64
	LeaderEpoch                  int32
	Attributes                   int16
	LastOffsetDelta              int32
	FirstTimestamp, MaxTimestamp int64
	ProducerID                   int64
	ProducerEpoch                int16
	BaseSequence                 int32
	Count                        int32
}

// Codec is how the batch's records are compressed.
func (h *BatchHeader) Codec() Codec { return Codec(h.Attributes & attrCodec) }

// LogAppendTime says that the broker stamped the batch: every record then has
// MaxTimestamp as its time.
func (h *BatchHeader) LogAppendTime() bool { return h.Attributes&attrLogAppendTime != 0 }

// Transactional says that the batch belongs to a transaction.
func (h *BatchHeader) Transactional() bool { return h.Attributes&attrTransactional != 0 }

// Control says that the batch is a marker and holds no data.
func (h *BatchHeader) Control() bool { return h.Attributes&attrControl != 0 }

// LastOffset is the last offset the batch stands for. Compaction leaves it as
// it is while the records disappear, so the next one to read is LastOffset + 1.
func (h *BatchHeader) LastOffset() int64 { return h.BaseOffset + int64(h.LastOffsetDelta) }

// RawBatch is one batch. Payload is its records, still compressed, and aliases
// the bytes it was read from.
type RawBatch struct {
	BatchHeader
	Payload []byte
}

// CorruptError is a batch or record whose bytes do not add up. Offset is the
// base offset of its batch.
type CorruptError struct {
	Offset int64
	Why    string
}

// Error implements error.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("corrupt batch at offset %d: %s", e.Offset, e.Why)
}

func corrupt(offset int64, format string, args ...any) error {
	return &CorruptError{offset, fmt.Sprintf(format, args...)}
}

// NextBatch takes the first batch off the bytes of a fetched partition and
// returns what follows it. It copies nothing.
//
//   - io.EOF: nothing is left.
//   - io.ErrUnexpectedEOF: the last batch is cut off, which is usual: fetch again
//     from the last whole batch's LastOffset + 1.
//   - *CorruptError: the CRC, the format or a field is wrong. The header is
//     filled in as far as it was read. rest begins at the next batch, and is nil
//     when the length itself cannot be trusted.
func NextBatch(records []byte) (b RawBatch, rest []byte, err error) {
	return nextBatch(records, false)
}

// NextVerified is NextBatch without its CRC, for a batch that lies within
// FetchedPartition.Verified.
func NextVerified(records []byte) (b RawBatch, rest []byte, err error) {
	return nextBatch(records, true)
}

func nextBatch(records []byte, verified bool) (b RawBatch, rest []byte, err error) {
	if len(records) == 0 {
		return b, nil, io.EOF
	}
	if len(records) < atLeaderEpoch {
		return b, nil, io.ErrUnexpectedEOF
	}
	be := binary.BigEndian
	b.BaseOffset = int64(be.Uint64(records[atBaseOffset:]))
	length := int64(int32(be.Uint32(records[atLength:])))
	if length < 14 { // the smallest message of any format
		return b, nil, corrupt(b.BaseOffset, "length %d", length)
	}
	size := atLeaderEpoch + length
	if size > int64(len(records)) {
		return b, nil, io.ErrUnexpectedEOF
	}
	batch, rest := records[:size:size], records[size:]
	if magic := batch[atMagic]; magic != 2 {
		return b, rest, corrupt(b.BaseOffset, "record format %d: only format 2, of Kafka 0.11 and later, is read; let a current broker rewrite the topic", magic)
	}
	if size < batchHeader {
		return b, rest, corrupt(b.BaseOffset, "length %d is below the header's", length)
	}
	b.read(batch)
	if !verified {
		if want, got := be.Uint32(batch[atCRC:]), crc32.Checksum(batch[atAttributes:], castagnoli); want != got {
			return b, rest, corrupt(b.BaseOffset, "CRC %08x instead of %08x", got, want)
		}
	}
	return b, rest, b.check()
}

func (b *RawBatch) read(batch []byte) {
	be := binary.BigEndian
	b.LeaderEpoch = int32(be.Uint32(batch[atLeaderEpoch:]))
	b.Attributes = int16(be.Uint16(batch[atAttributes:]))
	b.LastOffsetDelta = int32(be.Uint32(batch[atLastDelta:]))
	b.FirstTimestamp = int64(be.Uint64(batch[atFirstTime:]))
	b.MaxTimestamp = int64(be.Uint64(batch[atMaxTime:]))
	b.ProducerID = int64(be.Uint64(batch[atProducerID:]))
	b.ProducerEpoch = int16(be.Uint16(batch[atEpoch:]))
	b.BaseSequence = int32(be.Uint32(batch[atSequence:]))
	b.Count = int32(be.Uint32(batch[atCount:]))
	b.Payload = batch[batchHeader:]
}

// check refuses what would move a position backwards or past the end of int64.
func (b *RawBatch) check() error {
	switch {
	case b.BaseOffset < 0 || b.LastOffsetDelta < 0 || b.BaseOffset > math.MaxInt64-int64(b.LastOffsetDelta)-1:
		return corrupt(b.BaseOffset, "offset range %d + %d", b.BaseOffset, b.LastOffsetDelta)
	case b.Count < 0 || int64(b.Count) > int64(b.LastOffsetDelta)+1:
		return corrupt(b.BaseOffset, "%d records for an offset range of %d", b.Count, int64(b.LastOffsetDelta)+1)
	case b.Codec() > Zstd:
		return corrupt(b.BaseOffset, "%v", b.Codec())
	case b.Codec() == CodecNone && int64(b.Count)*smallestRecord > int64(len(b.Payload)):
		return corrupt(b.BaseOffset, "%d records in %d bytes", b.Count, len(b.Payload))
	}
	return nil
}

// smallestRecord: length, attributes, two deltas, null key, null value, no headers.
const smallestRecord = 7
