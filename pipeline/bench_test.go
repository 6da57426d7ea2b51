package pipeline_test

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/schemas"
)

// The ends of the benchmark do nothing, so that what is left is the pipeline.
type (
	idleCodec struct{}
	idleModel struct{}
	idleSink  struct{}
)

func (idleCodec) Decode(_ *schemas.Record, req *schemas.Request) error { req.Rows = 1; return nil }
func (idleCodec) Encode(dst []byte, _ *schemas.Record, _ *schemas.Request, _ *schemas.Result) ([]byte, string, error) {
	return append(dst, '1'), "text/plain", nil
}
func (idleModel) Signature() *schemas.Signature              { return &schemas.Signature{} }
func (idleModel) Run(context.Context, *pipeline.Batch) error { return nil }
func (idleModel) Close() error                               { return nil }
func (idleSink) Send(_ context.Context, items []*pipeline.Item) {
	at := time.Now().UnixNano()
	for _, it := range items {
		it.ProducedAt = at
		it.Settle(nil)
	}
}
func (idleSink) Flush(context.Context) error { return nil }

// benchSource hands out n records of four partitions and commits by itself.
type benchSource struct {
	left  int
	lanes [4]*pipeline.Partition
	next  [4]int64
	items []*pipeline.Item
	value []byte
	head  []schemas.Header
}

func (s *benchSource) Receive(_ context.Context, limit int) ([]*pipeline.Item, error) {
	s.items = s.items[:0]
	now := time.Now()
	for i, lane := range s.lanes {
		n := min(lane.Free(), limit/len(s.lanes)+1, limit-len(s.items), s.left)
		for range n {
			it := pipeline.NewItem()
			it.Topic, it.Partition, it.Offset, it.Value = "in", int32(i), s.next[i], s.value
			it.Headers = append(it.Headers, s.head...)
			it.Timestamp, it.FetchedAt = now.UnixMilli(), now.UnixNano()
			s.next[i]++
			lane.Track(it, s.next[i])
			s.items = append(s.items, it)
		}
		s.left -= n
	}
	if s.left == 0 {
		return s.items, io.EOF
	}
	return s.items, nil
}

func BenchmarkPipeline(b *testing.B) {
	for name, ordered := range map[string]bool{"ordered": true, "none": false} {
		b.Run(name, func(b *testing.B) {
			src := &benchSource{left: b.N, value: []byte("1"), head: []schemas.Header{
				{Key: "traceparent", Value: []byte("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")},
			}}
			for i := range src.lanes {
				src.lanes[i] = pipeline.NewPartition(pipeline.PartitionConfig{Topic: "in", ID: int32(i), Ring: 1 << 16, Ordered: ordered})
			}
			cfg := pipeline.Config{MaxInFlight: 16384, MaxRows: 256, RunTimeout: time.Minute, DrainTimeout: time.Second}
			pipe, err := pipeline.New(cfg, src, idleCodec{}, idleModel{}, idleSink{}, nil)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.ResetTimer()
			if err := pipe.Run(b.Context()); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "items/s")
		})
	}
}
