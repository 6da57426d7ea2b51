package kafkatest

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-ml/sluice/schemas"
)

// readTimeout bounds a read up to a topic's end on a busy machine.
const readTimeout = 2 * time.Minute

// FranzRead gives a topic, up to its present end, as franz-go reads it: by
// partition and offset.
func FranzRead(tb testing.TB, brokers []string, topic string, committed bool) []schemas.Record {
	tb.Helper()
	level := kgo.ReadUncommitted()
	if committed {
		level = kgo.ReadCommitted()
	}
	// Control records are asked for: an end behind a marker is reached only so.
	client := Client(tb, brokers, kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(level),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.KeepControlRecords(), kgo.FetchMaxWait(200*time.Millisecond))
	ctx, cancel := context.WithTimeout(tb.Context(), readTimeout)
	defer cancel()
	list := kadm.NewClient(client).ListEndOffsets
	if committed {
		list = kadm.NewClient(client).ListCommittedOffsets
	}
	ends, err := list(ctx, topic)
	if err != nil {
		tb.Fatalf("end offsets of %s: %v", topic, err)
	}
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	var records []schemas.Record
	for len(left) > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			tb.Fatalf("franz-go reads %s, %v left: %v", topic, left, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			end, ok := left[r.Partition]
			if ok && !r.Attrs.IsControl() && r.Offset < end {
				records = append(records, fromFranz(r))
			}
			if r.Offset >= end-1 {
				delete(left, r.Partition)
			}
		})
	}
	SortRecords(records)
	return records
}

func fromFranz(r *kgo.Record) schemas.Record {
	record := schemas.Record{
		Topic: r.Topic, Partition: r.Partition, Offset: r.Offset,
		Timestamp: r.Timestamp.UnixMilli(), Key: r.Key, Value: r.Value,
	}
	for _, h := range r.Headers {
		record.Headers = append(record.Headers, schemas.Header{Key: h.Key, Value: h.Value})
	}
	return record
}
