package schemas

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestNewCodecSaysEverythingThatIsWrong(t *testing.T) {
	t.Parallel()
	two := rowSig(FP32, -1, 2)
	two.Inputs = append(two.Inputs, TensorSpec{Name: "b", Type: FP32, Shape: []int64{-1, 2}})
	two.Outputs = append(two.Outputs, TensorSpec{Name: "z", Type: FP32, Shape: []int64{-1}})
	fields := func(fs ...Field) map[string]InputMapping { return map[string]InputMapping{"input": {Fields: fs}} }
	for _, tc := range []struct {
		cfg  CodecConfig
		want string
	}{
		{CodecConfig{}, "signature"},
		{CodecConfig{Signature: two, Name: "avro"}, `codec is "avro"`},
		{CodecConfig{Signature: two, OutputName: "avro"}, `output codec is "avro"`},
		{CodecConfig{Signature: two, Rows: "some"}, "rows"},
		{CodecConfig{Signature: two, OnMissing: "zero"}, "on_missing"},
		{CodecConfig{Signature: two, NonFinite: "zero"}, "non_finite"},
		{CodecConfig{Signature: two, Inputs: map[string]InputMapping{"x": {Path: "/a"}}}, `"x"`},
		{CodecConfig{Signature: two, Inputs: map[string]InputMapping{"input": {Path: "a"}}}, "slash"},
		{CodecConfig{Signature: two, Inputs: fields(Field{Path: "/a~2"}, Field{Path: "/b"})}, "~"},
		{CodecConfig{Signature: two, Inputs: fields(Field{Path: "/a"})}, "last axis"},
		{CodecConfig{Signature: two, Rows: RowsMany, Inputs: fields(Field{Path: "/a"}, Field{Path: "/b"})}, "rows: many"},
		{CodecConfig{Signature: two, Inputs: fields(Field{Path: "/a", Default: json.RawMessage(`"x"`)}, Field{Path: "/b"})}, "default of /a"},
		{CodecConfig{Signature: two, Inputs: fields(Field{Path: "/a", Default: json.RawMessage(`null`)}, Field{Path: "/b"})}, "default of /a"},
		{CodecConfig{Signature: two, Include: []string{"x"}}, "slash"},
		{CodecConfig{Signature: two, Name: CodecRaw, RawOutput: "y"}, "one input"},
		{CodecConfig{Signature: two, OutputName: CodecRaw}, "output.raw"},
		{CodecConfig{Signature: two, RawOutput: "q"}, `"q"`},
		{CodecConfig{Signature: two, LabelOutput: "q"}, `"q"`},
		{CodecConfig{Signature: two, Labels: []string{"a", "b"}}, "2 labels"},
		{CodecConfig{Signature: rowSig(FP32, -1, -1), Name: CodecRaw}, "fixed dimensions"},
		{CodecConfig{Signature: rowSig(BF16, -1, 1)}, "BF16"},
		{CodecConfig{Signature: rowSig(FP16, -1, 1), Name: CodecOIPJSON}, "FP16"},
		{CodecConfig{Signature: rowSig(InvalidType, -1, 1)}, "no type"},
		{CodecConfig{Signature: rowSig(FP32, -1, 1<<40)}, "Elements"},
		{CodecConfig{Signature: rowSig(FP32, -1, 1, 1, 1, 1, 1, 1, 1, 1)}, "dimensions"},
		{CodecConfig{Signature: two, Limits: Limits{Depth: -1}}, "Depth"},
		{CodecConfig{Signature: two, Limits: Limits{Dimensions: 65}}, "Dimensions"},
	} {
		if _, err := NewCodec(tc.cfg); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("want an error with %q, got %v", tc.want, err)
		}
	}
	_, err := NewCodec(CodecConfig{Signature: two, Rows: "x", OnMissing: "y", RawOutput: "z2"})
	if err == nil || strings.Count(err.Error(), "\n") < 2 {
		t.Errorf("not all at once: %v", err)
	}
}

func TestManyFieldNamesAreAllFound(t *testing.T) {
	t.Parallel()
	cfg, text := event()
	c := newCodec(t, cfg)
	req := &Request{}
	if err := c.Decode(record(text), req); err != nil {
		t.Fatal(err)
	}
	for i := range 60 {
		if got := req.Inputs[0].float(i); got != float64(i*37)/8 {
			t.Errorf("field %d is %v", i, got)
		}
	}
	if string(req.Include) != `{"id":71}` {
		t.Errorf("include %s", req.Include)
	}
}
