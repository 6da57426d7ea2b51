package onnx

import (
	"fmt"
	"testing"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/sluice-ml/sluice/pipeline"
)

// BenchmarkRunStaged is BenchmarkRun on rows that were decoded in place.
func BenchmarkRunStaged(b *testing.B) {
	for _, rows := range []int{1, 32, 256} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			m := load(b, "mlp_784_32x4_10", func(c *Config) { c.MaxRows = 256 })
			var items []*pipeline.Item
			for r := range rows {
				items = append(items, item(1, f32("h0", dims(1, 784), vec(r, 784)...)))
			}
			batch := staged(b, m, items)
			b.ReportAllocs()
			for b.Loop() {
				if err := m.Run(b.Context(), batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*rows), "ns/row")
		})
	}
}

// BenchmarkRun is the model behind the pipeline's interface, BenchmarkRuntime
// the runtime alone on prepared tensors: the difference is what this package
// costs.
func BenchmarkRun(b *testing.B) {
	for _, rows := range []int{1, 32, 256} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			m := load(b, "mlp_784_32x4_10", func(c *Config) { c.MaxRows = 256 })
			batch := &pipeline.Batch{Rows: rows}
			for r := range rows {
				batch.Items = append(batch.Items, item(1, f32("h0", dims(1, 784), vec(r, 784)...)))
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := m.Run(b.Context(), batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*rows), "ns/row")
		})
	}
}

func BenchmarkRuntime(b *testing.B) {
	for _, rows := range []int{1, 32, 256} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			m := load(b, "mlp_784_32x4_10", func(c *Config) { c.MaxRows = 256 })
			in, out := ort.NewShape(int64(rows), 784), ort.NewShape(int64(rows), 10)
			x, err := ort.NewTensor(in, make([]float32, rows*784))
			if err != nil {
				b.Fatal(err)
			}
			defer destroy(x)
			y, err := ort.NewTensor(out, make([]float32, rows*10))
			if err != nil {
				b.Fatal(err)
			}
			defer destroy(y)
			for r := range rows {
				copy(x.GetData()[r*784:], vec(r, 784))
			}
			inputs, outputs := []ort.Value{x}, []ort.Value{y}
			b.ReportAllocs()
			for b.Loop() {
				if err := m.sessions[0].ort.Run(inputs, outputs); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*rows), "ns/row")
		})
	}
}
