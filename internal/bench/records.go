package bench

import (
	"bytes"
	"fmt"

	"github.com/sluice-ml/sluice/internal/kafkawire"
	"github.com/sluice-ml/sluice/internal/synthetic"
	"github.com/sluice-ml/sluice/schemas"
)

const (
	// RecordsLimit is how many bytes of records are held; longer files are used
	// as far as they fit.
	RecordsLimit = 256 << 20
	// madeBytes and madeCount are how much is made up: enough that no cache of a
	// usual size holds all results, made within a second.
	madeBytes = 64 << 20
	madeCount = 4096
)

// Record is what is published.
type Record struct {
	// Key is the file's own; nil where it has none.
	Key     []byte
	Value   []byte
	Headers []schemas.Header
	// Partition is the file's own choice, -1 for none.
	Partition int32
}

// Records are published in order, again and again.
type Records struct {
	// Origin says for people where they are from.
	Origin string
	list   []Record
	bytes  int64
}

// Add adds a record, copying its bytes; false when it would exceed
// RecordsLimit.
func (r *Records) Add(rec Record) bool {
	size := int64(len(rec.Key)+len(rec.Value)) + 128
	for _, h := range rec.Headers {
		size += int64(len(h.Key)+len(h.Value)) + 48
	}
	if r.bytes+size > RecordsLimit && len(r.list) > 0 {
		return false
	}
	r.bytes += size
	rec.Key, rec.Value = bytes.Clone(rec.Key), bytes.Clone(rec.Value)
	r.list = append(r.list, rec)
	return true
}

// Count is how many different records there are.
func (r *Records) Count() int { return len(r.list) }

// MeanBytes is the average size of the values.
func (r *Records) MeanBytes() float64 {
	total := 0
	for i := range r.list {
		total += len(r.list[i].Value)
	}
	return float64(total) / float64(max(len(r.list), 1))
}

func (r *Records) at(n int64) *Record { return &r.list[n%int64(len(r.list))] }

// MakeUp makes records of seeded values, each with the codec's content type and
// the headers.
func MakeUp(origin string, maker *synthetic.Maker, message *synthetic.Message, headers ...schemas.Header) (*Records, error) {
	r := &Records{Origin: origin}
	headers = append([]schemas.Header{{Key: "content-type", Value: []byte(message.ContentType)}}, headers...)
	var row []schemas.Tensor
	var value []byte
	for r.Count() < madeCount && r.bytes < madeBytes {
		row = maker.Row(row)
		var err error
		if value, err = message.Append(value[:0], row); err != nil {
			return nil, fmt.Errorf("make up a record: %w", err)
		}
		r.Add(Record{Value: value, Headers: headers, Partition: -1})
	}
	return r, nil
}

// Spread chooses the partition, of count, of the n-th record, whose key is key.
type Spread func(n int64, rec *Record, key []byte, count int32) int32

// ByKey goes by the record's own partition where it has one, else by its own
// key, else by the key that the bench gives it: what the file's sender would
// have done.
func ByKey(_ int64, rec *Record, key []byte, count int32) int32 {
	switch {
	case rec.Partition >= 0:
		return rec.Partition % count
	case rec.Key != nil:
		return kafkawire.PartitionForKey(rec.Key, int(count))
	}
	return kafkawire.PartitionForKey(key, int(count))
}

// RoundRobin takes the partitions in turn.
func RoundRobin(n int64, _ *Record, _ []byte, count int32) int32 { return int32(n % int64(count)) }

// OnePartition puts every record into the same one.
func OnePartition(partition int32) Spread {
	return func(int64, *Record, []byte, int32) int32 { return partition }
}
