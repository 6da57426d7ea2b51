package schemas

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"testing"
	"unicode/utf8"
)

// ints makes an INT64 tensor.
func ints(name string, data []int64, shape ...int64) Tensor {
	t := Tensor{Name: name, Type: Int64, Shape: shape}
	for _, n := range data {
		t.Data = binary.LittleEndian.AppendUint64(t.Data, uint64(n))
	}
	return t
}

func texts(name string, data []string, shape ...int64) Tensor {
	return Tensor{Name: name, Type: Bytes, Shape: shape, Strings: data}
}

func encodeText(t *testing.T, c *Codec, req *Request, outputs ...Output) string {
	t.Helper()
	prefix := []byte("before")
	out, contentType, err := c.Encode(prefix, record(`{}`), req, &Result{Outputs: outputs})
	if err != nil {
		var e *Error
		if !errors.As(err, &e) || string(out) != "before" {
			t.Fatalf("%v, %q", err, out)
		}
		return string(e.Stage) + " " + string(e.Class)
	}
	text := string(out[len(prefix):])
	if contentType != contentTypeRaw && (!json.Valid([]byte(text)) || !utf8.ValidString(text)) {
		t.Errorf("no JSON: %s", text)
	}
	return text
}

// outSig has one output of every kind that the tests encode.
func outSig() *Signature {
	sig := rowSig(FP32, -1, 1)
	sig.Outputs = []TensorSpec{
		{Name: "y", Type: FP32, Shape: []int64{-1, 3}},
		{Name: "state", Type: FP32, Shape: []int64{1, -1, 2}, BatchAxis: 1},
		{Name: "version", Type: Int64, Shape: []int64{1}, BatchAxis: -1},
		{Name: "maps", Sequence: true},
	}
	return sig
}

func TestJSONResultLeavesTheBatchDimensionOutWhenTheRequestDid(t *testing.T) {
	t.Parallel()
	c := newCodec(t, CodecConfig{Signature: outSig(), ModelName: "m\"", ModelVersion: "1"})
	head := `{"id":"a","model":"m\"","version":"1","outputs":`
	rows := func(tensor Tensor) Output { return Output{Tensor: tensor, HasRows: true} }
	constant := Output{Tensor: ints("version", []int64{7}, 1)}
	for _, tc := range []struct {
		single bool
		out    []Output
		want   string
	}{
		{true, []Output{rows(floats("y", []float32{0.1, 1e-7, 3}, 1, 3)), constant}, `{"y":[0.1,1e-7,3],"version":[7]}}`},
		{false, []Output{rows(floats("y", []float32{0.1, 1e21, 3}, 1, 3))}, `{"y":[[0.1,1e+21,3]]}}`},
		{true, []Output{rows(floats("y", []float32{0.5}, 1))}, `{"y":0.5}}`},
		{true, []Output{rows(floats("y", []float32{0.5}, 1, 1))}, `{"y":[0.5]}}`},
		{true, []Output{rows(floats("state", []float32{1, 2}, 1, 1, 2))}, `{"state":[[1,2]]}}`},
		{false, []Output{rows(floats("state", []float32{1, 2, 3, 4}, 1, 2, 2))}, `{"state":[[[1,2],[3,4]]]}}`},
		{false, []Output{{Tensor: ints("selected", nil, 0, 3)}}, `{"selected":[]}}`},
		{true, []Output{rows(texts("text", []string{"a\"\n\x01\xff\u2028"}, 1))}, "{\"text\":\"a\\\"\\n\\u0001\uFFFD\u2028\"}}"},
		{true, []Output{{Tensor: ints("scalar", []int64{-5})}}, `{"scalar":-5}}`},
	} {
		req := &Request{ID: []byte(`"a"`), Rows: 1, Single: tc.single}
		if got := encodeText(t, c, req, tc.out...); got != head+tc.want {
			t.Errorf("%s\nwant %s", got, head+tc.want)
		}
	}
}

func TestEveryTypeIsWritten(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		typ  DataType
		data string
		want string
	}{
		{Bool, "\x00\x01", "false,true"},
		{Uint8, "\x00\xff", "0,255"},
		{Int8, "\x80\x7f", "-128,127"},
		{Uint16, "\xff\xff\x00\x00", "65535,0"},
		{Int16, "\xff\xff\x00\x80", "-1,-32768"},
		{Uint32, "\xff\xff\xff\xff\x00\x00\x00\x00", "4294967295,0"},
		{Int32, "\xff\xff\xff\xff\x00\x00\x00\x80", "-1,-2147483648"},
		{Uint64, "\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00", "18446744073709551615,0"},
		{Int64, "\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x80", "-1,-9223372036854775808"},
		{FP16, "\x66\x2e\x01\x00", "0.099975586,5.9604645e-8"},
		{BF16, "\x80\x3f\x00\xc0", "1,-2"},
		{FP64, string(binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, math.Float64bits(0.1)), math.Float64bits(-0.3745401203632355))), "0.1,-0.3745401203632355"},
	} {
		c := newCodec(t, CodecConfig{Signature: rowSig(FP32, -1, 1)})
		o := Output{Tensor: Tensor{Name: "o", Type: tc.typ, Shape: []int64{2}, Data: []byte(tc.data)}}
		want := `{"id":1,"model":"m","version":"1","outputs":{"o":[` + tc.want + `]}}`
		if got := encodeText(t, c, &Request{ID: []byte("1")}, o); got != want {
			t.Errorf("%s is %s, want %s", tc.typ, got, want)
		}
	}
}

func TestNonFiniteOutputsAreRejectedOrNamed(t *testing.T) {
	t.Parallel()
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	o := Output{Tensor: floats("y", []float32{nan, inf, -inf}, 1, 3), HasRows: true}
	m := Output{Tensor: Tensor{Name: "maps"}, HasRows: true, Maps: []Map{{Keys: ints("", []int64{0, 1, 2}, 3), Values: o.Tensor}}}
	m.Maps[0].Values.Shape = []int64{3}
	req := &Request{ID: []byte("1"), Rows: 1, Single: true}
	for _, codec := range []string{CodecJSON, CodecOIPJSON, CodecRaw} {
		c := newCodec(t, CodecConfig{Signature: outSig(), OutputName: codec, RawOutput: "y"})
		if got := encodeText(t, c, req, o); got != "encode non_finite" {
			t.Errorf("%s: %s", codec, got)
		}
	}
	if got := encodeText(t, newCodec(t, CodecConfig{Signature: outSig()}), req, m); got != "encode non_finite" {
		t.Errorf("map: %s", got)
	}
	pass := newCodec(t, CodecConfig{Signature: outSig(), NonFinite: Pass})
	if got, want := encodeText(t, pass, req, o, m), `{"id":1,"model":"m","version":"1","outputs":{"y":["NaN","Infinity","-Infinity"],"maps":{"0":"NaN","1":"Infinity","2":"-Infinity"}}}`; got != want {
		t.Errorf("%s", got)
	}
	raw := newCodec(t, CodecConfig{Signature: outSig(), NonFinite: Pass, OutputName: CodecRaw, RawOutput: "y"})
	if got := encodeText(t, raw, req, o); got != string(o.Data) {
		t.Errorf("raw: %q", got)
	}
}

func TestMapsBecomeObjectsWithTextKeys(t *testing.T) {
	t.Parallel()
	byInt := Map{Keys: ints("", []int64{-1, 10}, 2), Values: floats("", []float32{0.25, 0.75}, 2)}
	byText := Map{Keys: texts("", []string{"a\"", "b"}, 2), Values: floats("", []float32{0.75, 0.25}, 2)}
	o := Output{Tensor: Tensor{Name: "maps"}, HasRows: true, Maps: []Map{byInt, byText}}
	c := newCodec(t, CodecConfig{Signature: outSig(), LabelOutput: "maps"})
	got := encodeText(t, c, &Request{ID: []byte("1"), Rows: 2}, o)
	if want := `{"id":1,"model":"m","version":"1","outputs":{"maps":[{"-1":0.25,"10":0.75},{"a\"":0.75,"b":0.25}]},"label":[10,"a\""]}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	o.Maps = o.Maps[:1]
	got = encodeText(t, c, &Request{ID: []byte("1"), Rows: 1, Single: true}, o)
	if want := `{"id":1,"model":"m","version":"1","outputs":{"maps":{"-1":0.25,"10":0.75}},"label":10}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	oip := newCodec(t, CodecConfig{Signature: outSig(), OutputName: CodecOIPJSON})
	got = encodeText(t, oip, &Request{ID: []byte("1"), Rows: 1, Single: true}, o)
	if want := `{"model_name":"m","model_version":"1","id":"1","outputs":[{"name":"maps","datatype":"BYTES","shape":[1],"data":["{\"-1\":0.25,\"10\":0.75}"]}]}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	o.Maps[0].Values.Shape = []int64{1}
	if got := encodeText(t, c, &Request{ID: []byte("1")}, o); got != "encode encode_failed" {
		t.Error(got)
	}
}

func TestLabelIsTheLargestElementOrTheClassIndex(t *testing.T) {
	t.Parallel()
	labels := []string{"no", "yes", "may\"be"}
	nan := float32(math.NaN())
	req := func(rows int, single bool) *Request { return &Request{ID: []byte("1"), Rows: rows, Single: single} }
	probs := func(data ...float32) Output {
		return Output{Tensor: floats("y", data, int64(len(data)/3), 3), HasRows: true}
	}
	for _, tc := range []struct {
		cfg  CodecConfig
		req  *Request
		out  Output
		want string
	}{
		{CodecConfig{Labels: labels}, req(1, true), probs(0.1, 0.7, 0.2), `"yes"`},
		{CodecConfig{Labels: labels}, req(2, false), probs(0.1, 0.2, 0.7, 0.5, 0.5, 0), `["may\"be","no"]`},
		{CodecConfig{LabelOutput: "y"}, req(1, true), probs(0.1, 0.2, 0.7), `2`},
		{CodecConfig{LabelOutput: "y", NonFinite: Pass}, req(1, true), probs(nan, 0.2, 0.1), `1`},
		{CodecConfig{Labels: labels, LabelOutput: "version"}, req(1, true), Output{Tensor: ints("version", []int64{1}, 1), HasRows: true}, `"yes"`},
		{CodecConfig{LabelOutput: "version"}, req(1, true), Output{Tensor: texts("version", []string{"cat"}, 1), HasRows: true}, `"cat"`},
		{CodecConfig{Labels: labels, LabelOutput: "version"}, req(1, true), Output{Tensor: ints("version", []int64{3}, 1), HasRows: true}, ``},
		{CodecConfig{Labels: labels}, req(2, false), probs(0.1, 0.2, 0.7), ``},
		{CodecConfig{Labels: labels}, req(1, true), Output{Tensor: ints("other", []int64{1}, 1), HasRows: true}, ``},
	} {
		tc.cfg.Signature = outSig()
		got := encodeText(t, newCodec(t, tc.cfg), tc.req, tc.out)
		if tc.want == "" {
			if got != "encode encode_failed" {
				t.Errorf("%s", got)
			}
			continue
		}
		var res struct{ Label json.RawMessage }
		if err := json.Unmarshal([]byte(got), &res); err != nil || string(res.Label) != tc.want {
			t.Errorf("%s: label %s, want %s", got, res.Label, tc.want)
		}
	}
}

func TestResultCarriesIncludeAndChosenOutputs(t *testing.T) {
	t.Parallel()
	c := newCodec(t, CodecConfig{Signature: outSig()})
	req := &Request{ID: []byte("1"), Include: []byte(`{"c":7}`), Outputs: []string{"version", "y"}}
	y, version := Output{Tensor: floats("y", []float32{1}, 1)}, Output{Tensor: ints("version", []int64{7}, 1)}
	if got, want := encodeText(t, c, req, y, version), `{"id":1,"model":"m","version":"1","outputs":{"version":[7],"y":[1]},"include":{"c":7}}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := encodeText(t, c, req, y); got != "encode encode_failed" {
		t.Error(got)
	}
}

func TestOutputCodecIsTheRequestsUnlessConfigured(t *testing.T) {
	t.Parallel()
	y := Output{Tensor: floats("y", []float32{1, 2, 3}, 1, 3), HasRows: true}
	oip := `{"model_name":"m","model_version":"1","id":"7","outputs":[{"name":"y","datatype":"FP32","shape":[1,3],"data":[1,2,3]}]}`
	raw := string(y.Data)
	for _, tc := range []struct{ configured, request, want string }{
		{"", CodecOIPJSON, oip}, {"", CodecRaw, raw}, {CodecOIPJSON, CodecJSON, oip}, {CodecRaw, CodecJSON, raw},
	} {
		c := newCodec(t, CodecConfig{Signature: outSig(), OutputName: tc.configured, RawOutput: "y"})
		if got := encodeText(t, c, &Request{ID: []byte("7"), Codec: tc.request, Single: true}, y); got != tc.want {
			t.Errorf("%+v: %q", tc, got)
		}
	}
	c := newCodec(t, CodecConfig{Signature: outSig()})
	if got := encodeText(t, c, &Request{Codec: CodecRaw}, y); got != "encode encode_failed" {
		t.Errorf("raw without a chosen output: %s", got)
	}
	half := Output{Tensor: Tensor{Name: "y", Type: FP16, Shape: []int64{1}, Data: []byte{0, 0}}}
	if got := encodeText(t, c, &Request{Codec: CodecOIPJSON}, half); got != "encode encode_failed" {
		t.Errorf("half precision in oip-json: %s", got)
	}
	text := Output{Tensor: texts("y", []string{"ab", ""}, 2)}
	rawCodec := newCodec(t, CodecConfig{Signature: outSig(), OutputName: CodecRaw, RawOutput: "y"})
	if got := encodeText(t, rawCodec, &Request{}, text); got != "\x02\x00\x00\x00ab\x00\x00\x00\x00" {
		t.Errorf("raw strings: %q", got)
	}
}

func TestShapeAndDataThatDisagreeAreNoPanic(t *testing.T) {
	t.Parallel()
	bad := Output{Tensor: floats("y", []float32{1, 2}, 1, 3), HasRows: true}
	for _, name := range []string{CodecJSON, CodecOIPJSON, CodecRaw} {
		c := newCodec(t, CodecConfig{Signature: outSig(), OutputName: name, RawOutput: "y"})
		if got := encodeText(t, c, &Request{ID: []byte("1")}, bad); got != "encode encode_failed" {
			t.Errorf("%s: %s", name, got)
		}
	}
}
