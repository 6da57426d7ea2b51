package onnx

import (
	"context"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/schemas"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// startRuntime loads the runtime, or fails with the cure.
func startRuntime(tb testing.TB) {
	tb.Helper()
	path, err := FindLibrary("")
	if err != nil {
		tb.Fatalf("the tests of this package need ONNX Runtime: %v", err)
	}
	if _, err := Init(path); err != nil {
		tb.Fatalf("the tests of this package need ONNX Runtime: %v", err)
	}
}

func zooFile(name string) string { return filepath.Join("testdata", "zoo", name+".onnx") }

// load loads a model of the zoo with small batches, and closes it at the end.
func load(tb testing.TB, name string, change ...func(*Config)) *Model {
	tb.Helper()
	startRuntime(tb)
	cfg := Config{Path: zooFile(name), MaxRows: 8, Workers: 2}
	for _, f := range change {
		f(&cfg)
	}
	m, err := Load(tb.Context(), cfg, nil)
	if err != nil {
		tb.Fatalf("Load(%s) = %v", name, err)
	}
	tb.Cleanup(func() {
		if err := m.Close(); err != nil {
			tb.Errorf("Close() = %v", err)
		}
	})
	return m
}

func dims(d ...int64) []int64 { return append([]int64{}, d...) }

func tensor[T any](name string, t schemas.DataType, shape []int64, appendOne func([]byte, T) []byte, values ...T) schemas.Tensor {
	out := schemas.Tensor{Name: name, Type: t, Shape: shape}
	for _, v := range values {
		out.Data = appendOne(out.Data, v)
	}
	return out
}

func f32(name string, shape []int64, v ...float32) schemas.Tensor {
	return tensor(name, schemas.FP32, shape, func(b []byte, v float32) []byte {
		return binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}, v...)
}

func f64(name string, shape []int64, v ...float64) schemas.Tensor {
	return tensor(name, schemas.FP64, shape, func(b []byte, v float64) []byte {
		return binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
	}, v...)
}

func f16(name string, shape []int64, v ...float32) schemas.Tensor {
	return tensor(name, schemas.FP16, shape, func(b []byte, v float32) []byte {
		return binary.LittleEndian.AppendUint16(b, half(v))
	}, v...)
}

func i64(name string, shape []int64, v ...int64) schemas.Tensor {
	return tensor(name, schemas.Int64, shape, func(b []byte, v int64) []byte {
		return binary.LittleEndian.AppendUint64(b, uint64(v))
	}, v...)
}

func i32(name string, shape []int64, v ...int32) schemas.Tensor {
	return tensor(name, schemas.Int32, shape, func(b []byte, v int32) []byte {
		return binary.LittleEndian.AppendUint32(b, uint32(v))
	}, v...)
}

func raw(name string, t schemas.DataType, shape []int64, v ...byte) schemas.Tensor {
	return schemas.Tensor{Name: name, Type: t, Shape: shape, Data: v}
}

func text(name string, shape []int64, v ...string) schemas.Tensor {
	return schemas.Tensor{Name: name, Type: schemas.Bytes, Shape: shape, Strings: v}
}

// floats reads a float32 tensor back.
func floats(t *schemas.Tensor) []float32 {
	out := make([]float32, len(t.Data)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(t.Data[4*i:]))
	}
	return out
}

func ints(t *schemas.Tensor) []int64 {
	out := make([]int64, len(t.Data)/8)
	for i := range out {
		out[i] = int64(binary.LittleEndian.Uint64(t.Data[8*i:]))
	}
	return out
}

func item(rows int, inputs ...schemas.Tensor) *pipeline.Item {
	return &pipeline.Item{Req: schemas.Request{Rows: rows, Single: rows == 1, Inputs: inputs}}
}

// run runs the items as one batch.
func run(ctx context.Context, m *Model, items ...*pipeline.Item) error {
	b := &pipeline.Batch{Items: items, Reason: pipeline.ReasonFull}
	for _, it := range items {
		b.Rows += it.Req.Rows
	}
	return m.Run(ctx, b)
}

// weights are those of zoo.py.
func weights(seed, n int) []float32 {
	out, state := make([]float32, n), seed
	for i := range out {
		state = (state*1103515245 + 12345) % (1 << 31)
		out[i] = float32((state>>16)%17-8) / 64
	}
	return out
}

func writeFile(tb testing.TB, path, content string) {
	tb.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		tb.Fatal(err)
	}
}
