package schemas

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares got with a file of testdata/golden.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", "golden", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s\n got %s\nwant %s", name, got, want)
	}
}

// fraud is a model with inputs and outputs of many kinds.
func fraud() CodecConfig {
	column := func(name string, typ DataType, shape ...int64) TensorSpec {
		return TensorSpec{Name: name, Type: typ, Shape: shape}
	}
	return CodecConfig{
		ModelName: "fraud", ModelVersion: "3",
		Signature: &Signature{
			Inputs: []TensorSpec{
				column("amount", FP32, -1, 1), column("history", FP64, -1, 2, 2), column("country", Bytes, -1, 1),
				column("flag", Bool, -1), column("age", Int64, -1, 1), column("profile", FP32, -1, 3),
			},
			Outputs: []TensorSpec{
				column("label", Int64, -1), column("probabilities", FP32, -1, 2), column("reason", Bytes, -1),
				{Name: "version", Type: Int64, Shape: []int64{1}, BatchAxis: -1},
			},
		},
		Inputs: map[string]InputMapping{
			"age":     {Path: "/customer/age"},
			"profile": {Fields: []Field{{Path: "/customer/score"}, {Path: "/a~1b"}, {Path: "/missing", Default: json.RawMessage("-1")}}},
		},
		Include:     []string{"/customer/name"},
		Labels:      []string{"genuine", "fraud"},
		LabelOutput: "probabilities",
		RawOutput:   "probabilities",
	}
}

func fraudResult() *Result {
	return &Result{Outputs: []Output{
		{Tensor: ints("label", []int64{1}, 1), HasRows: true},
		{Tensor: floats("probabilities", []float32{0.1, 0.9}, 1, 2), HasRows: true},
		{Tensor: texts("reason", []string{"über \"limit\"\n"}, 1), HasRows: true},
		{Tensor: ints("version", []int64{20260101}, 1)},
	}}
}

// describe writes a request for people, one line a tensor.
func describe(req *Request) []byte {
	var sb strings.Builder
	fmt.Fprintf(&sb, "codec %s\nid %s\nrows %d\nsingle %v\ninclude %s\noutputs %v\nmodel %q %q\ndeadline %d\npriority %d\n",
		req.Codec, req.ID, req.Rows, req.Single, req.Include, req.Outputs, req.ModelName, req.ModelVersion, req.Deadline, req.Priority)
	for i := range req.Inputs {
		fmt.Fprintf(&sb, "%s %s\n", req.Inputs[i].Name, values(&req.Inputs[i]))
	}
	return []byte(sb.String())
}

// TestGolden reads NAME.request and compares the tensors with NAME.decoded and
// the result's bytes with NAME.response.
func TestGolden(t *testing.T) {
	t.Parallel()
	raw := fraud()
	raw.Signature.Inputs = raw.Signature.Inputs[1:2]
	raw.Inputs = nil
	for _, tc := range []struct {
		name, contentType string
		cfg               CodecConfig
	}{
		{"json", "application/json; charset=utf-8", fraud()},
		{"oip", "application/vnd.oip+json", fraud()},
		{"raw", "application/octet-stream", raw},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			value, err := os.ReadFile(filepath.Join("testdata", "golden", tc.name+".request"))
			if err != nil {
				t.Fatal(err)
			}
			c := newCodec(t, tc.cfg)
			rec := record(string(value), "content-type", tc.contentType, "x-model-name", "fraud", "x-deadline", "1700000000123")
			req := &Request{}
			if err := c.Decode(rec, req); err != nil {
				t.Fatal(err)
			}
			golden(t, tc.name+".decoded", describe(req))
			out, contentType, err := c.Encode(nil, rec, req, fraudResult())
			if err != nil {
				t.Fatal(err)
			}
			if essence, _, _ := strings.Cut(tc.contentType, ";"); contentType != essence {
				t.Errorf("content type %s", contentType)
			}
			golden(t, tc.name+".response", out)
		})
	}
}
