package schemas

import (
	"strings"
	"testing"
)

func oipCodec(t *testing.T, typ DataType, shape ...int64) *Codec {
	t.Helper()
	return newCodec(t, CodecConfig{Signature: rowSig(typ, shape...), Name: CodecOIPJSON})
}

func TestOIPRequestStatesShapeAndType(t *testing.T) {
	t.Parallel()
	c := oipCodec(t, FP32, -1, 2)
	in := func(fields string) string { return `{"id":"q","inputs":[{` + fields + `}]}` }
	for _, tc := range []decodeCase{
		{"flat", in(`"name":"input","datatype":"FP32","shape":[1,2],"data":[1,2]`), "FP32[1 2] 1 2"},
		{"rows", in(`"name":"input","datatype":"FP32","shape":[2,2],"data":[1,2,3,4]`), "FP32[2 2] 1 2 3 4"},
		{"nested", in(`"name":"input","datatype":"FP32","shape":[2,2],"data":[[1,2],[3,4]]`), "FP32[2 2] 1 2 3 4"},
		{"data first", in(`"data":[1,2],"parameters":{"x":[1]},"shape":[1,2],"datatype":"FP32","name":"input"`), "FP32[1 2] 1 2"},
		{"nested otherwise", in(`"name":"input","datatype":"FP32","shape":[1,2],"data":[[1],[2]]`), "validate wrong_shape"},
		{"too few", in(`"name":"input","datatype":"FP32","shape":[1,2],"data":[1]`), "validate wrong_shape"},
		{"too many", in(`"name":"input","datatype":"FP32","shape":[1,2],"data":[1,2,3]`), "validate wrong_shape"},
		{"other shape", in(`"name":"input","datatype":"FP32","shape":[2],"data":[1,2]`), "validate wrong_shape"},
		{"other dimension", in(`"name":"input","datatype":"FP32","shape":[1,3],"data":[1,2,3]`), "validate wrong_shape"},
		{"no rows", in(`"name":"input","datatype":"FP32","shape":[0,2],"data":[]`), "validate wrong_shape"},
		{"negative", in(`"name":"input","datatype":"FP32","shape":[-1,2],"data":[1,2]`), "validate wrong_shape"},
		{"fraction", in(`"name":"input","datatype":"FP32","shape":[1.5,2],"data":[1,2]`), "validate wrong_shape"},
		{"shape no array", in(`"name":"input","datatype":"FP32","shape":2,"data":[1,2]`), "validate wrong_shape"},
		{"other type", in(`"name":"input","datatype":"FP64","shape":[1,2],"data":[1,2]`), "validate wrong_type"},
		{"unknown type", in(`"name":"input","datatype":"F32","shape":[1,2],"data":[1,2]`), "validate wrong_type"},
		{"type no text", in(`"name":"input","datatype":32,"shape":[1,2],"data":[1,2]`), "validate wrong_type"},
		{"other name", in(`"name":"x","datatype":"FP32","shape":[1,2],"data":[1,2]`), "validate wrong_name"},
		{"no data", in(`"name":"input","datatype":"FP32","shape":[1,2]`), "validate wrong_name"},
		{"no name", in(`"datatype":"FP32","shape":[1,2],"data":[1,2]`), "validate wrong_name"},
		{"no inputs", `{}`, "validate wrong_name"},
		{"null inputs", `{"inputs":null}`, "validate wrong_name"},
		{"inputs no array", `{"inputs":{}}`, "validate wrong_type"},
		{"inputs of numbers", `{"inputs":[1]}`, "validate wrong_type"},
		{"twice", `{"inputs":[{"name":"input","datatype":"FP32","shape":[1,2],"data":[1,2]},{"name":"input","datatype":"FP32","shape":[1,2],"data":[1,2]}]}`, "validate wrong_name"},
		{"field twice", in(`"name":"input","name":"input"`), "decode undecodable"},
		{"top field twice", `{"id":"a","id":"b"}`, "decode undecodable"},
		{"trailing", in(`"name":"input","datatype":"FP32","shape":[1,2],"data":[1,2]`) + "]", "decode undecodable"},
		{"truncated", `{"inputs":[{"name":"input"`, "decode undecodable"},
		{"no object", `[]`, "decode undecodable"},
		{"not JSON", `hello`, "decode undecodable"},
		{"other model", `{"model_name":"other"}`, "validate unknown_model"},
		{"other version", `{"model_version":"9"}`, "validate unknown_model"},
		{"ours", `{"model_name":"m","model_version":"1",` + in(`"name":"input","datatype":"FP32","shape":[1,2],"data":[1,2]`)[1:], "FP32[1 2] 1 2"},
	} {
		if got, req := decodeText(t, c, record(tc.value)); got != tc.want || (got[0] == 'F' && req.Single) {
			t.Errorf("%s: %s is %s, want %s", tc.name, tc.value, got, tc.want)
		}
	}
}

func TestOIPEnvelope(t *testing.T) {
	t.Parallel()
	sig := rowSig(Bytes, -1, 1)
	sig.Outputs = append(sig.Outputs, TensorSpec{Name: "z", Type: FP32, Shape: []int64{-1}})
	c := newCodec(t, CodecConfig{Signature: sig, Name: CodecOIPJSON, Include: []string{"/parameters/tag"}})
	const inputs = `"inputs":[{"name":"input","datatype":"BYTES","shape":[2,1],"data":["a","b"]}]`
	got, req := decodeText(t, c, record(`{"id":"q\n1","parameters":{"timeout":1500,"priority":3,"tag":[1]},"outputs":[{"name":"z"},{"name":"z","parameters":{}}],`+inputs+`}`))
	if got != `BYTES[2 1] "a" "b"` || string(req.ID) != `"q\n1"` || req.Rows != 2 || req.Deadline != 1002 || req.Priority != 3 ||
		strings.Join(req.Outputs, ",") != "z" || string(req.Include) != `{"tag":[1]}` {
		t.Errorf("%s %+v", got, req)
	}
	if _, req = decodeText(t, c, record(`{"parameters":{"timeout":0},`+inputs+`}`)); req.Deadline != 0 || string(req.ID) != `"k1"` || len(req.Outputs) > 0 {
		t.Errorf("%+v", req)
	}
	for value, want := range map[string]string{
		`{"outputs":[{"name":"q"}],` + inputs + `}`:         "validate wrong_name",
		`{"parameters":{"timeout":"1s"},` + inputs + `}`:    "validate wrong_type",
		`{"parameters":{"priority":-1},` + inputs + `}`:     "validate wrong_type",
		`{"parameters":[],` + inputs + `}`:                  "validate wrong_type",
		`{"id":{},` + inputs + `}`:                          "validate wrong_type",
		`{"parameters":{"timeout":01},` + inputs + `}`:      "decode undecodable",
		`{"parameters":{"timeout":1} "x":1,` + inputs + `}`: "decode undecodable",
	} {
		if got, _ := decodeText(t, c, record(value)); got != want {
			t.Errorf("%s is %s, want %s", value, got, want)
		}
	}
}

func TestOIPHalfPrecisionIsRefused(t *testing.T) {
	t.Parallel()
	c := newCodec(t, CodecConfig{Signature: rowSig(FP16, -1, 1)})
	rec := record(`{"inputs":[{"name":"input","datatype":"FP16","shape":[1,1],"data":[1]}]}`, "content-type", contentTypeOIP)
	if got, _ := decodeText(t, c, rec); got != "validate wrong_type" {
		t.Error(got)
	}
}

func TestOIPRankZeroInput(t *testing.T) {
	t.Parallel()
	sig := &Signature{Inputs: []TensorSpec{{Name: "n", Type: Int64, Shape: []int64{}, BatchAxis: -1}}}
	c := newCodec(t, CodecConfig{Signature: sig, Name: CodecOIPJSON})
	for _, data := range []string{"5", "[5]"} {
		got, req := decodeText(t, c, record(`{"inputs":[{"name":"n","datatype":"INT64","shape":[],"data":`+data+`}]}`))
		if got != "INT64[] 5" || req.Rows != 1 {
			t.Error(data, got)
		}
	}
}
