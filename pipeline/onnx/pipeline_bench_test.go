package onnx

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/schemas"
)

// benchSource hands out n records of four partitions from memory, over and over
// the same 1,024 values: more than a core's cache holds, as a fetch answer is.
type benchSource struct {
	left   int
	lanes  [4]*pipeline.Partition
	next   [4]int64
	items  []*pipeline.Item
	values [][]byte
}

func newBenchSource(n int, values [][]byte) *benchSource {
	s := &benchSource{left: n, values: values}
	for i := range s.lanes {
		s.lanes[i] = pipeline.NewPartition(pipeline.PartitionConfig{Topic: "in", ID: int32(i), Ring: 1 << 15, Ordered: true})
	}
	return s
}

func (s *benchSource) Receive(_ context.Context, limit int) ([]*pipeline.Item, error) {
	s.items = s.items[:0]
	now := time.Now()
	for i, lane := range s.lanes {
		n := min(lane.Free(), limit/len(s.lanes)+1, limit-len(s.items), s.left)
		for range n {
			it := pipeline.NewItem()
			it.Topic, it.Partition, it.Offset = "in", int32(i), s.next[i]
			it.Value = s.values[int(s.next[i])%len(s.values)]
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

// benchSink copies outputs into one buffer, as a producer's batch does, and
// settles at once.
type benchSink struct{}

func (s *benchSink) Send(_ context.Context, items []*pipeline.Item) {
	at := time.Now().UnixNano()
	var batch [4 << 10]byte
	for _, it := range items {
		if it.Err != nil {
			panic(it.Err)
		}
		it.ProducedAt = at
		copy(batch[:], it.Output)
		it.Settle(nil)
	}
}

func (*benchSink) Flush(context.Context) error { return nil }

// benchValues are 1,024 records of 784 floats.
func benchValues(codec string) [][]byte {
	rng := rand.New(rand.NewPCG(1, 784))
	values := make([][]byte, 1024)
	row := make([]float32, 784)
	for i := range values {
		for j := range row {
			row[j] = rng.Float32()
		}
		if codec == schemas.CodecRaw {
			values[i] = f32("h0", nil, row...).Data
		} else {
			values[i] = schemas.AppendJSONRow(nil, fmt.Sprintf("r%d", i), "h0", row)
		}
	}
	return values
}

// BenchmarkPipeline is all that lies between fetched records and the produce
// call: decode, batches, runs, encode, delivery in order. cpu-us/msg counts both
// cores and the garbage collector.
func BenchmarkPipeline(b *testing.B) {
	for _, codec := range []string{schemas.CodecJSON, schemas.CodecRaw} {
		b.Run(strings.ToLower(codec), func(b *testing.B) {
			m := load(b, "mlp_784_32x4_10", func(c *Config) { c.MaxRows, c.Workers = 256, 0 })
			c, err := schemas.NewCodec(schemas.CodecConfig{Signature: m.Signature(), ModelName: "mlp", ModelVersion: "1", Name: codec})
			if err != nil {
				b.Fatal(err)
			}
			cfg := pipeline.Config{
				MaxInFlight: 8192, Budget: pipeline.NewBudget(256 << 20), Workers: m.Workers(), MaxRows: 256,
				RunTimeout: 30 * time.Second, DrainTimeout: 20 * time.Second,
			}
			pipe, err := pipeline.New(cfg, newBenchSource(b.N, benchValues(codec)), c, m, &benchSink{}, nil)
			if err != nil {
				b.Fatal(err)
			}
			before := cpuTime(b)
			b.ReportAllocs()
			b.ResetTimer()
			if err := pipe.Run(b.Context()); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			b.ReportMetric(float64((cpuTime(b)-before).Nanoseconds())/1e3/float64(b.N), "cpu-us/msg")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
		})
	}
}

// cpuTime is what this process has used.
func cpuTime(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
