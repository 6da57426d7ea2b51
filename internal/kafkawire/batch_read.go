package kafkawire

import "github.com/sluice-ml/sluice/schemas"

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

// RawBatch is one batch whose CRC is right. Payload is its records, still
// compressed, and aliases the bytes it was read from.
type RawBatch struct {
	BatchHeader
	Payload []byte
}

// HeaderLimit bounds the headers that are decoded of one record; a zero field
// is no limit.
type HeaderLimit struct {
	Count int
	Bytes int
}

// WireRecord is one record. Key, Value and the header values alias the payload;
// nil and empty are kept apart. Headers reuses the slice it is given.
type WireRecord struct {
	Offset    int64
	Timestamp int64
	Key       []byte
	Value     []byte
	Headers   []schemas.Header
	// HeadersCut is true when the record has more headers than the limit:
	// Headers holds the first of them.
	HeadersCut bool
}

// RecordReader walks the records of one batch. Limit may be set before the
// first Next.
type RecordReader struct {
	Limit HeaderLimit
}

// AbortedFilter drops control batches and the records of aborted transactions.
// It belongs to one partition of one fetch answer.
type AbortedFilter struct{}
