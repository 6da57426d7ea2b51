package schemas

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
)

// rowSig makes a signature of one batched input and output.
func rowSig(t DataType, shape ...int64) *Signature {
	return &Signature{
		Inputs:  []TensorSpec{{Name: "input", Type: t, Shape: shape, BatchAxis: 0}},
		Outputs: []TensorSpec{{Name: "y", Type: FP32, Shape: []int64{-1, 3}, BatchAxis: 0}},
	}
}

func newCodec(tb testing.TB, cfg CodecConfig) *Codec {
	tb.Helper()
	if cfg.ModelName == "" {
		cfg.ModelName, cfg.ModelVersion = "m", "1"
	}
	c, err := NewCodec(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func record(value string, headers ...string) *Record {
	r := &Record{Topic: "in", Partition: 2, Offset: 7, Timestamp: 1000, Key: []byte("k1"), Value: []byte(value)}
	for i := 0; i < len(headers); i += 2 {
		r.Headers = append(r.Headers, Header{Key: headers[i], Value: []byte(headers[i+1])})
	}
	return r
}

// values renders a tensor for comparison.
func values(t *Tensor) string {
	var sb strings.Builder
	fmt.Fprintf(&sb, "%s%v", t.Type, t.Shape)
	n := len(t.Strings)
	if size := t.Type.Size(); size > 0 {
		n = len(t.Data) / size
	}
	for k := range n {
		b, _ := appendElement([]byte{' '}, t, k, true)
		sb.Write(b)
	}
	return sb.String()
}

func decodeText(tb testing.TB, c *Codec, rec *Record) (string, *Request) {
	tb.Helper()
	req := &Request{}
	if err := c.Decode(rec, req); err != nil {
		var e *Error
		if !errors.As(err, &e) {
			tb.Fatalf("error of type %T", err)
		}
		return string(e.Stage) + " " + string(e.Class), req
	}
	var parts []string
	for i := range req.Inputs {
		parts = append(parts, values(&req.Inputs[i]))
	}
	return strings.Join(parts, "; "), req
}

// floats makes an FP32 tensor.
func floats(name string, data []float32, shape ...int64) Tensor {
	t := Tensor{Name: name, Type: FP32, Shape: shape}
	for _, f := range data {
		t.Data = binary.LittleEndian.AppendUint32(t.Data, math.Float32bits(f))
	}
	return t
}
