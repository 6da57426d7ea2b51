package schemas

import (
	"encoding/json"
	"strings"
	"testing"
)

// decodeCase is one payload and what becomes of it.
type decodeCase struct {
	name, value, want string
}

func runDecode(t *testing.T, cfg CodecConfig, cases []decodeCase) {
	t.Helper()
	c := newCodec(t, cfg)
	for _, tc := range cases {
		if got, _ := decodeText(t, c, record(tc.value)); got != tc.want {
			t.Errorf("%s: %s is %s, want %s", tc.name, tc.value, got, tc.want)
		}
	}
}

func TestJSONMessageIsOneRowNestedOrFlat(t *testing.T) {
	t.Parallel()
	runDecode(t, CodecConfig{Signature: rowSig(FP32, -1, 2, 2)}, []decodeCase{
		{"nested", `{"input":[[1,2],[3,4]]}`, "FP32[1 2 2] 1 2 3 4"},
		{"flat", `{"input":[1,2,3,4]}`, "FP32[1 2 2] 1 2 3 4"},
		{"blanks", " { \"input\" :\n[ [ 1 ,\t2 ] , [3,4\r] ] } ", "FP32[1 2 2] 1 2 3 4"},
		{"batch dimension", `{"input":[[[1,2],[3,4]]]}`, "validate wrong_shape"},
		{"too few", `{"input":[1,2,3]}`, "validate wrong_shape"},
		{"too many", `{"input":[1,2,3,4,5]}`, "validate wrong_shape"},
		{"other nesting", `{"input":[[1],[2],[3],[4]]}`, "validate wrong_shape"},
		{"ragged length", `{"input":[[1,2,3],[4]]}`, "validate wrong_shape"},
		{"ragged depth", `{"input":[1,[2,3,4]]}`, "validate wrong_shape"},
		{"ragged depth 2", `{"input":[[1,2],3,4]}`, "validate wrong_shape"},
		{"scalar", `{"input":1}`, "validate wrong_shape"},
		{"empty", `{"input":[]}`, "validate wrong_shape"},
		{"empty rows", `{"input":[[],[]]}`, "validate wrong_shape"},
		{"string", `{"input":[1,2,3,"4"]}`, "validate wrong_type"},
		{"object", `{"input":{"a":1}}`, "validate wrong_type"},
		{"object within", `{"input":[1,2,{},4]}`, "validate wrong_type"},
		{"bool", `{"input":[1,2,true,4]}`, "validate wrong_type"},
		{"missing", `{"other":[1,2,3,4]}`, "validate wrong_name"},
		{"null", `{"input":null}`, "validate wrong_name"},
		{"null within", `{"input":[1,2,null,4]}`, "validate wrong_name"},
		{"no object", `[1,2,3,4]`, "validate wrong_name"},
		{"twice", `{"input":[1,2,3,4],"input":[1,2,3,4]}`, "decode undecodable"},
		{"truncated", `{"input":[1,2,3`, "decode undecodable"},
		{"no number", `{"input":[1,2,3,04]}`, "decode undecodable"},
		{"comma", `{"input":[1,2,3,4,]}`, "decode undecodable"},
		{"comma only", `{"input":[,1,2,3]}`, "decode undecodable"},
		{"wrong bracket", `{"input":[[1,2},[3,4]]}`, "decode undecodable"},
		{"trailing", `{"input":[1,2,3,4]} x`, "decode undecodable"},
		{"empty value", ``, "decode undecodable"},
		{"bytes", "\x00\x01\x02", "decode undecodable"},
		{"NaN literal", `{"input":[NaN,2,3,4]}`, "decode undecodable"},
		{"NaN text", `{"input":["NaN","Infinity","-Infinity",4]}`, `FP32[1 2 2] "NaN" "Infinity" "-Infinity" 4`},
		{"out of range", `{"input":[1,2,3,1e39]}`, "validate wrong_type"},
		{"rank bomb", `{"input":[[[[[[[[[1]]]]]]]]]}`, "decode too_large"},
		{"depth bomb", `{"other":` + strings.Repeat("[", 100000), "decode too_large"},
		{"escaped name", `{"\u0069nput":[1,2,3,4]}`, "FP32[1 2 2] 1 2 3 4"},
	})
}

func TestJSONVaryingDimensionsAreInferredWhereNothingElseFits(t *testing.T) {
	t.Parallel()
	runDecode(t, CodecConfig{Signature: rowSig(Int64, -1, -1)}, []decodeCase{
		{"tokens", `{"input":[5,6,7]}`, "INT64[1 3] 5 6 7"},
		{"none", `{"input":[]}`, "INT64[1 0]"},
		{"scalar", `{"input":5}`, "validate wrong_shape"},
	})
	runDecode(t, CodecConfig{Signature: rowSig(FP32, -1, -1, 2)}, []decodeCase{
		{"flat", `{"input":[1,2,3,4]}`, "FP32[1 2 2] 1 2 3 4"},
		{"odd", `{"input":[1,2,3]}`, "validate wrong_shape"},
	})
	runDecode(t, CodecConfig{Signature: rowSig(FP32, -1, -1, -1)}, []decodeCase{
		{"flat", `{"input":[1,2,3,4]}`, "validate wrong_shape"},
		{"nested", `{"input":[[1,2],[3,4]]}`, "FP32[1 2 2] 1 2 3 4"},
	})
}

func TestJSONEmptyArraysDoNotHideRaggedOnes(t *testing.T) {
	t.Parallel()
	runDecode(t, CodecConfig{Signature: rowSig(FP32, -1, -1, -1, -1)}, []decodeCase{
		{"deeper but empty", `{"input":[[[]],[1]]}`, "validate wrong_shape"},
		{"empty", `{"input":[[[]],[[]]]}`, "FP32[1 2 1 0]"},
	})
}

func TestJSONScalarIsAcceptedWhereARowIsOneElement(t *testing.T) {
	t.Parallel()
	runDecode(t, CodecConfig{Signature: rowSig(Int64, -1)}, []decodeCase{{"rank 1", `{"input":5}`, "INT64[1] 5"}, {"list", `{"input":[5]}`, "INT64[1] 5"}, {"two", `{"input":[5,6]}`, "validate wrong_shape"}})
	runDecode(t, CodecConfig{Signature: rowSig(Bytes, -1, 1)}, []decodeCase{{"string", `{"input":"a\u00e4\n"}`, `BYTES[1 1] "aä\n"`}, {"list", `{"input":["x"]}`, `BYTES[1 1] "x"`}})
	runDecode(t, CodecConfig{Signature: rowSig(Bool, -1, 2)}, []decodeCase{{"bools", `{"input":[true,false]}`, "BOOL[1 2] true false"}, {"literal", `{"input":[true,falsy]}`, "decode undecodable"}})
}

func TestJSONInputsWithoutABatchAxisTakeTheirWholeShape(t *testing.T) {
	t.Parallel()
	sig := &Signature{Alone: true, Inputs: []TensorSpec{
		{Name: "x", Type: FP32, Shape: []int64{-1, 2}, BatchAxis: 0},
		{Name: "scale", Type: FP32, Shape: []int64{}, BatchAxis: -1},
		{Name: "state", Type: FP32, Shape: []int64{1, -1, 2}, BatchAxis: 1},
	}}
	c := newCodec(t, CodecConfig{Signature: sig})
	for _, tc := range []struct {
		value, want string
		single      bool
	}{
		{`{"x":[1,2],"scale":3,"state":[[4,5]]}`, "FP32[1 2] 1 2; FP32[] 3; FP32[1 1 2] 4 5", true},
		{`{"x":[[1,2],[3,4]],"scale":3,"state":[[[4,5],[6,7]]]}`, "FP32[2 2] 1 2 3 4; FP32[] 3; FP32[1 2 2] 4 5 6 7", false},
		{`{"x":[[1,2],[3,4]],"scale":3,"state":[[[4,5]]]}`, "validate wrong_shape", false},
		{`{"x":[1,2],"scale":[[3]],"state":[[4,5]]}`, "validate wrong_shape", false},
	} {
		got, req := decodeText(t, c, record(tc.value))
		if got != tc.want || (got[0] == 'F' && req.Single != tc.single) {
			t.Errorf("%s is %s single %v", tc.value, got, req.Single)
		}
		if got[0] == 'F' && int64(req.Rows) != req.Inputs[0].Shape[0] {
			t.Errorf("%s has %d rows", tc.value, req.Rows)
		}
	}
}

func TestJSONRowsManyTakesTheFirstDimensionAsRows(t *testing.T) {
	t.Parallel()
	sig := &Signature{FixedRows: 4, Inputs: []TensorSpec{
		{Name: "a", Type: FP32, Shape: []int64{4, 2}, BatchAxis: 0},
		{Name: "b", Type: Int64, Shape: []int64{4}, BatchAxis: 0},
	}}
	runDecode(t, CodecConfig{Signature: sig, Rows: RowsMany}, []decodeCase{
		{"rows", `{"a":[[1,2],[3,4],[5,6]],"b":[7,8,9]}`, "FP32[3 2] 1 2 3 4 5 6; INT64[3] 7 8 9"},
		{"disagree", `{"a":[[1,2],[3,4]],"b":[7,8,9]}`, "validate wrong_shape"},
		{"no rows", `{"a":[],"b":[]}`, "validate wrong_shape"},
		{"more than the model takes", `{"a":[[1,2],[3,4],[5,6],[7,8],[9,0]],"b":[1,2,3,4,5]}`, "validate wrong_shape"},
		{"one row left out", `{"a":[1,2],"b":7}`, "validate wrong_shape"},
	})
}

func TestJSONFieldsFormTheLastAxisInOrder(t *testing.T) {
	t.Parallel()
	cfg := CodecConfig{
		Signature: rowSig(FP32, -1, 3),
		Inputs: map[string]InputMapping{"input": {Fields: []Field{
			{Path: "/person/age"}, {Path: "/amount", Default: json.RawMessage("-1")}, {Path: "/tags/1"},
		}}},
	}
	runDecode(t, cfg, []decodeCase{
		{"all", `{"tags":[7,8,9],"amount":2.5,"person":{"name":"x","age":40}}`, "FP32[1 3] 40 2.5 8"},
		{"default", `{"person":{"age":40},"tags":[0,8]}`, "FP32[1 3] 40 -1 8"},
		{"null is missing", `{"person":{"age":40},"amount":null,"tags":[0,8]}`, "FP32[1 3] 40 -1 8"},
		{"missing", `{"amount":1,"tags":[0,8]}`, "validate wrong_name"},
		{"null", `{"person":{"age":null},"tags":[0,8]}`, "validate wrong_name"},
		{"no object on the way", `{"person":3,"tags":[0,8]}`, "validate wrong_name"},
		{"array", `{"person":{"age":[1]},"tags":[0,8]}`, "validate wrong_shape"},
		{"string", `{"person":{"age":"40"},"tags":[0,8]}`, "validate wrong_type"},
		{"NaN", `{"person":{"age":"NaN"},"tags":[0,8]}`, `FP32[1 3] "NaN" -1 8`},
		{"twice", `{"person":{"age":1},"person":{"age":2},"tags":[0,8]}`, "decode undecodable"},
	})
	c := newCodec(t, cfg)
	err := c.Decode(record(`{"amount":1,"tags":[0,8]}`), &Request{})
	if err == nil || !strings.Contains(err.Error(), "/person/age") {
		t.Errorf("the error does not name the pointer: %v", err)
	}
	cfg.OnMissing = NaN
	runDecode(t, cfg, []decodeCase{{"missing is NaN", `{"tags":[0,8]}`, `FP32[1 3] "NaN" -1 8`}})
}

func TestJSONMissingIsNaNForFloatTypesOnly(t *testing.T) {
	t.Parallel()
	runDecode(t, CodecConfig{Signature: rowSig(FP32, -1, 2), OnMissing: NaN}, []decodeCase{
		{"whole", `{}`, `FP32[1 2] "NaN" "NaN"`}, {"element", `{"input":[null,1]}`, `FP32[1 2] "NaN" 1`},
	})
	runDecode(t, CodecConfig{Signature: rowSig(FP16, -1, 2), OnMissing: NaN}, []decodeCase{{"half", `{"input":[null,0.1]}`, `FP16[1 2] "NaN" 0.099975586`}})
	runDecode(t, CodecConfig{Signature: rowSig(Int8, -1, 2), OnMissing: NaN}, []decodeCase{
		{"whole", `{}`, "validate wrong_name"}, {"element", `{"input":[null,1]}`, "validate wrong_name"},
	})
	runDecode(t, CodecConfig{Signature: rowSig(FP32, -1, -1), OnMissing: NaN}, []decodeCase{{"unknown size", `{}`, "validate wrong_name"}})
}

func TestJSONMappedInputs(t *testing.T) {
	t.Parallel()
	sig := &Signature{Inputs: []TensorSpec{
		{Name: "a/b", Type: FP32, Shape: []int64{-1, 1}, BatchAxis: 0},
		{Name: "~", Type: Bytes, Shape: []int64{-1, 1}, BatchAxis: 0},
	}}
	runDecode(t, CodecConfig{Signature: sig}, []decodeCase{{"escaped by default", `{"a/b":1,"~":"x"}`, `FP32[1 1] 1; BYTES[1 1] "x"`}})
	runDecode(t, CodecConfig{Signature: sig, Inputs: map[string]InputMapping{"a/b": {Path: "/f/0"}, "~": {Path: "/f/1"}}},
		[]decodeCase{{"elements of one array", `{"f":[1,"x",{}]}`, `FP32[1 1] 1; BYTES[1 1] "x"`}})
	runDecode(t, CodecConfig{Signature: rowSig(FP32, -1, 2), Inputs: map[string]InputMapping{"input": {}}},
		[]decodeCase{{"the document itself", `[1,2]`, "FP32[1 2] 1 2"}})
}

func TestJSONIDKeepsItsType(t *testing.T) {
	t.Parallel()
	c := newCodec(t, CodecConfig{Signature: rowSig(FP32, -1, 1)})
	for value, want := range map[string]string{
		`{"id":"a\u00e4","input":1}`:           `"a\u00e4"`,
		`{"id":42,"input":1}`:                  `42`,
		`{"id":1e400,"input":1}`:               `1e400`,
		`{"id":true,"input":1}`:                `true`,
		`{"id":null,"input":1}`:                `"k1"`,
		`{"input":1}`:                          `"k1"`,
		"{\"id\":\"\xff\",\"input\":1}":        "\"\uFFFD\"",
		`{"input":1,"nested":{"id":"not me"}}`: `"k1"`,
	} {
		if _, req := decodeText(t, c, record(value)); string(req.ID) != want {
			t.Errorf("%s has the id %s, want %s", value, req.ID, want)
		}
	}
	if got, _ := decodeText(t, c, record(`{"id":[1],"input":1}`)); got != "validate wrong_type" {
		t.Errorf("an array as id is %s", got)
	}
	rec := record(`{"input":1}`)
	rec.Key = []byte("a\"\xff")
	if _, req := decodeText(t, c, rec); string(req.ID) != "\"a\\\"\uFFFD\"" {
		t.Errorf("key as id: %s", req.ID)
	}
	rec.Key = nil
	if _, req := decodeText(t, c, rec); string(req.ID) != `"in/2/7"` {
		t.Errorf("place as id: %s", req.ID)
	}
}

func TestJSONIncludeCopiesFields(t *testing.T) {
	t.Parallel()
	c := newCodec(t, CodecConfig{Signature: rowSig(FP32, -1, 1), Include: []string{"/a/id", "/b/id", "/a", "/input", "/x"}})
	for value, want := range map[string]string{
		`{"input":1,"b":{"id":2},"a":{"id":[1, 2],"z":null}}`: `{"/a/id":[1, 2],"/b/id":2,"a":{"id":[1, 2],"z":null},"input":1}`,
		`{"input":1,"x":"y"}`:  `{"input":1,"x":"y"}`,
		`{"input":1,"x":null}`: `{"input":1,"x":null}`,
	} {
		if got, req := decodeText(t, c, record(value)); string(req.Include) != want {
			t.Errorf("%s includes %s (%s), want %s", value, req.Include, got, want)
		}
	}
}

func TestRequestsAreReusedWithoutTraces(t *testing.T) {
	t.Parallel()
	req := &Request{}
	big := newCodec(t, CodecConfig{Signature: rowSig(FP32, -1, -1), Include: []string{"/x"}})
	small := newCodec(t, CodecConfig{Signature: rowSig(FP32, -1, 2)})
	for range 3 {
		if err := big.Decode(record(`{"id":1,"x":1,"input":[`+strings.Repeat("1,", 5000)+`1]}`, "x-deadline", "5"), req); err != nil {
			t.Fatal(err)
		}
		if err := small.Decode(record(`{"input":[1,2]}`), req); err != nil {
			t.Fatal(err)
		}
		if got := values(&req.Inputs[0]); got != "FP32[1 2] 1 2" || len(req.Include) > 0 || req.Deadline != 0 || string(req.ID) != `"k1"` {
			t.Fatalf("%s %+v", got, req)
		}
	}
}

func TestDecodedRequestDoesNotAliasTheRecord(t *testing.T) {
	t.Parallel()
	for _, codec := range []string{CodecJSON, CodecRaw} {
		c := newCodec(t, CodecConfig{Signature: rowSig(Bytes, -1, 1), Name: codec, Include: []string{"/input"}})
		rec := record(`{"id":"abc","input":"def"}`)
		if codec == CodecRaw {
			rec = record("\x03\x00\x00\x00def")
		}
		req := &Request{}
		if err := c.Decode(rec, req); err != nil {
			t.Fatal(err)
		}
		before := values(&req.Inputs[0]) + string(req.ID) + string(req.Include)
		clear(rec.Value)
		clear(rec.Key)
		if after := values(&req.Inputs[0]) + string(req.ID) + string(req.Include); after != before {
			t.Errorf("%s: %s became %s", codec, before, after)
		}
	}
}
