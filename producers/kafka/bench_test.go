package kafka

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-ml/sluice/internal/kafkawire"
	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/schemas"
)

// sinkhole answers at once and keeps nothing: what is measured is our side,
// without the network.
type sinkhole struct{ *scripted }

func (s *sinkhole) Produce(_ context.Context, _ int32, req *kafkawire.ProduceRequest) (*kafkawire.ProduceResponse, error) {
	resp := &kafkawire.ProduceResponse{Partitions: make([]kafkawire.ProducedPartition, len(req.Partitions))}
	for i, p := range req.Partitions {
		resp.Partitions[i] = kafkawire.ProducedPartition{Topic: p.Topic, Partition: p.Partition}
	}
	return resp, nil
}

func newSinkhole() *sinkhole {
	return &sinkhole{newScripted(map[string]int{"out": 4})}
}

// counter is a Completion that counts.
type counter struct{ n atomic.Int64 }

func (c *counter) Produced(int32, int64, error) { c.n.Add(1) }

// BenchmarkProduce is one record of a key, 120 bytes and four headers.
func BenchmarkProduce(b *testing.B) {
	p, err := newProducer(newSinkhole(), ProducerConfig{Linger: time.Millisecond}, nil)
	if err != nil {
		b.Fatal(err)
	}
	rec := Record{
		Topic: "out", Partition: ByKey, Timestamp: 1, Value: make([]byte, 120),
		Headers: []schemas.Header{
			{Key: "content-type", Value: []byte("application/json")},
			{Key: "x-outcome-id", Value: make([]byte, 32)},
			{Key: "x-model", Value: []byte("fraud:7:0123456789abcdef")},
			{Key: "x-source", Value: []byte("in/3/123456")},
		},
	}
	var c counter
	var key []byte
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		key = strconv.AppendInt(key[:0], int64(i), 10)
		rec.Key = key
		p.ProduceTo(&rec, &c)
		if i%4096 == 0 && p.BufferedBytes() > 16<<20 {
			_ = p.Flush(b.Context())
		}
	}
	_ = p.Close(context.Background())
	if int(c.n.Load()) != i {
		b.Fatalf("%d of %d records completed", c.n.Load(), i)
	}
}

// BenchmarkSink is Send with the lineage headers, in chunks of 256 items. The
// items are made outside of the pipeline, so their pooling is counted too.
func BenchmarkSink(b *testing.B) {
	s, err := newSink(newSinkhole(), testConfig(), nil)
	if err != nil {
		b.Fatal(err)
	}
	const chunk = 256
	key, value := []byte("key-12345"), make([]byte, 120)
	items := make([]*pipeline.Item, chunk)
	b.ReportAllocs()
	var offset int64
	for b.Loop() {
		if offset%chunk == 0 {
			for i := range items {
				it := pipeline.NewItem()
				it.Topic, it.Partition, it.Offset, it.Timestamp = "in", 3, offset+int64(i), 1700000000000
				it.Key, it.Output, it.ContentType = key, append(it.Output[:0], value...), "application/json"
				items[i] = it
			}
			s.Send(b.Context(), items)
			if s.BufferedBytes() > 16<<20 {
				_ = s.Flush(b.Context())
			}
		}
		offset++
	}
	if err := s.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
}
