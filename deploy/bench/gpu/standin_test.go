package main

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sluice-ml/sluice/deploy/bench/lab"
	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/schemas"
)

// standIn is a device that works on one batch at a time for 0.4 ms and 10 us a row while the CPU is free, with the
// signature of tokens.onnx.
type standIn struct {
	mu   sync.Mutex
	busy time.Duration // under mu
}

var tokens = &schemas.Signature{
	Inputs:  []schemas.TensorSpec{{Name: "input_ids", Type: schemas.Int64, Shape: []int64{-1, 32}}, {Name: "attention_mask", Type: schemas.Int64, Shape: []int64{-1, 32}}},
	Outputs: []schemas.TensorSpec{{Name: "embedding", Type: schemas.FP32, Shape: []int64{-1, 16}}},
}

// embedding is 16 numbers of eight digits, as a real one's.
var embedding = func() (data []byte) {
	for i := range 16 {
		data = append(data, byte(i*37+11), byte(i*91+5), byte(i*53+7), 0x3e)
	}
	return data
}()

func (*standIn) Signature() *schemas.Signature { return tokens }
func (*standIn) Close() error                  { return nil }

func (d *standIn) Run(_ context.Context, batch *pipeline.Batch) error {
	d.mu.Lock()
	began := time.Now()
	time.Sleep(400*time.Microsecond + time.Duration(batch.Rows)*10*time.Microsecond)
	d.busy += time.Since(began)
	d.mu.Unlock()
	for _, it := range batch.Items {
		if cap(it.Res.Outputs) == 0 {
			it.Res.Outputs = make([]schemas.Output, 1)
		}
		it.Res.Outputs = it.Res.Outputs[:1]
		out := &it.Res.Outputs[0]
		out.Name, out.Type, out.HasRows = "embedding", schemas.FP32, true
		out.Shape, out.Data = append(out.Shape[:0], 1, 16), append(out.Data[:0], embedding...)
	}
	return nil
}

// BenchmarkStandIn is how much of the time workers keep a device busy: what a worker does beside its run, the others'
// runs have to hide. busy is the share of the time in which a batch is on the device.
func BenchmarkStandIn(b *testing.B) {
	payload, err := lab.PayloadNamed("tokens")
	if err != nil {
		b.Fatal(err)
	}
	l := &lab.Lab{Dir: b.TempDir()}
	if err := l.Offline(); err != nil {
		b.Fatal(err)
	}
	value, values := l.Rows(payload), [][]byte(nil)
	for i := range payload.Distinct {
		values = append(values, value(i))
	}
	codec, err := schemas.NewCodec(schemas.CodecConfig{Signature: tokens, Name: payload.Codec, ModelName: "bench", ModelVersion: "1"})
	if err != nil {
		b.Fatal(err)
	}
	for _, workers := range []int{1, 2, 4} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			for b.Loop() {
				out, m := newSink(), &standIn{}
				in := newSource(values, drainInFlight(1024), out.began.Add(time.Second))
				// As on a machine of many cores: decoders feed the batcher, workers only run.
				pipe, err := pipeline.New(pipeline.Config{MaxInFlight: drainInFlight(1024), Workers: workers, Decoders: 8, MaxRows: 1024, DrainTimeout: time.Minute}, in, codec, m, out, nil)
				if err != nil {
					b.Fatal(err)
				}
				if err := pipe.Run(b.Context()); err != nil {
					b.Fatal(err)
				}
				if out.failed > 0 || int64(len(out.kept)) != in.sent {
					b.Fatalf("%d of %d records, %d failed: %s", len(out.kept), in.sent, out.failed, out.why)
				}
				b.ReportMetric(m.busy.Seconds()/time.Since(out.began).Seconds(), "busy")
				b.ReportMetric(float64(len(out.kept))/time.Since(out.began).Seconds(), "rows/s")
			}
		})
	}
}
