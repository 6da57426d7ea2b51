package kafka

import (
	"time"

	"github.com/sluice-ml/sluice/schemas"
)

// ByKey as a Record's partition means the murmur2 hash of the key, as Java
// clients do; records without a key go to one partition a batch, in turn.
const ByKey int32 = -1

// sameBase and below is a partition number that is taken modulo the topic's
// count, which may not be known yet: sameBase-n is partition n.
const sameBase int32 = -2

// Record is one record to write.
type Record struct {
	Topic string
	// Partition is the number, or ByKey.
	Partition int32
	// Timestamp in Unix milliseconds; 0 or less is the time of the call.
	Timestamp int64
	Key       []byte
	// Value nil is a tombstone.
	Value   []byte
	Headers []schemas.Header
	// Waited is how long ago the work on it began: it may wait half as long again for
	// company (ProducerConfig.Linger).
	Waited time.Duration
}

// anywhere says whether the record goes to the partition whose turn it is.
func (r *Record) anywhere() bool { return r.Partition == ByKey && r.Key == nil }

// Completion is told the fate of one record, exactly once and from any
// goroutine, perhaps before the call that produced it returns. It must not
// block. The offset is -1 where the broker did not say it.
type Completion interface {
	Produced(partition int32, offset int64, err error)
}

// completionFunc makes a function a Completion.
type completionFunc func(partition int32, offset int64, err error)

// Produced implements Completion.
func (f completionFunc) Produced(partition int32, offset int64, err error) { f(partition, offset, err) }
