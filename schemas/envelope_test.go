package schemas

import (
	"strings"
	"testing"
)

func TestContentTypeHeaderChoosesTheCodec(t *testing.T) {
	t.Parallel()
	const plain = `{"input":[1]}`
	const oip = `{"inputs":[{"name":"input","datatype":"UINT8","shape":[1,1],"data":[1]}]}`
	for _, tc := range []struct{ configured, header, value, want string }{
		{CodecJSON, "", plain, CodecJSON},
		{CodecRaw, "", "\x01", CodecRaw},
		{CodecOIPJSON, "", oip, CodecOIPJSON},
		{CodecRaw, "Application/JSON; charset=utf-8", plain, CodecJSON},
		{CodecJSON, " application/octet-stream ", "\x01", CodecRaw},
		{CodecJSON, "application/vnd.oip+json;x=y", oip, CodecOIPJSON},
		{CodecOIPJSON, "application/json", oip, CodecOIPJSON},
		{CodecJSON, "application/xml", plain, "decode unsupported_content_type"},
		{CodecJSON, "json", plain, "decode unsupported_content_type"},
		{CodecJSON, "; charset=utf-8", plain, "decode unsupported_content_type"},
	} {
		for _, key := range []string{"content-type", "Content-Type"} {
			rec := record(tc.value)
			if tc.header != "" {
				rec.Headers = []Header{{Key: key, Value: []byte("text/first")}, {Key: key, Value: []byte(tc.header)}}
			}
			got, req := decodeText(t, newCodec(t, CodecConfig{Signature: rowSig(Uint8, -1, 1), Name: tc.configured}), rec)
			if got == "UINT8[1 1] 1" {
				got = req.Codec
			}
			if got != tc.want {
				t.Errorf("%s with header %q is %s, want %s", tc.configured, tc.header, got, tc.want)
			}
		}
	}
}

func TestHeadersNameModelAndDeadline(t *testing.T) {
	t.Parallel()
	c := newCodec(t, CodecConfig{Signature: rowSig(Uint8, -1, 1), ModelName: "m", ModelVersion: "3"})
	for _, tc := range []struct {
		headers  []string
		want     string
		deadline int64
	}{
		{[]string{"x-model-name", "m", "x-model-version", "3"}, "ok", 0},
		{[]string{"mlserver-model", "m", "mlserver-version", "3"}, "ok", 0},
		{[]string{"seldon-model", "m"}, "ok", 0},
		{[]string{"x-model-name", "other"}, "validate unknown_model", 0},
		{[]string{"seldon-model", "other"}, "validate unknown_model", 0},
		{[]string{"mlserver-version", "4"}, "validate unknown_model", 0},
		{[]string{"x-deadline", "1700000000123"}, "ok", 1700000000123},
		{[]string{"x-deadline", "2023-11-14T22:13:20.123Z"}, "ok", 1700000000123},
		{[]string{"ce_expirytime", "2023-11-14T23:13:20+01:00", "x-deadline", "1700000000123"}, "ok", 1700000000000},
		{[]string{"x-deadline", "soon"}, "decode undecodable", 0},
		{[]string{"x-deadline", "-5"}, "decode undecodable", 0},
	} {
		got, req := decodeText(t, c, record(`{"input":1}`, tc.headers...))
		if strings.HasPrefix(got, "UINT8") {
			got = "ok"
		}
		if got != tc.want || (got == "ok" && req.Deadline != tc.deadline) {
			t.Errorf("%v is %s, deadline %d", tc.headers, got, req.Deadline)
		}
	}
}

func TestLimitsHoldBeforeAnythingIsReserved(t *testing.T) {
	t.Parallel()
	varying := rowSig(FP64, -1, -1)
	limits := Limits{RecordBytes: 200, Elements: 20, Dimensions: 3, Depth: 4, Headers: 2, HeaderBytes: 20, DecodedBytes: 120}
	c := newCodec(t, CodecConfig{Signature: varying, Limits: limits})
	strs := newCodec(t, CodecConfig{Signature: rowSig(Bytes, -1, -1), Limits: limits})
	for _, tc := range []struct {
		name  string
		codec *Codec
		rec   *Record
		want  string
	}{
		{"fits", c, record(`{"input":[1,2,3]}`, "a", "b", "c", "d"), "FP64[1 3] 1 2 3"},
		{"record", c, record(`{"input":[1]` + strings.Repeat(" ", 200) + `}`), "decode too_large"},
		{"headers", c, record(`{"input":[1]}`, "a", "", "b", "", "c", ""), "decode too_large"},
		{"header bytes", c, record(`{"input":[1]}`, "a", strings.Repeat("x", 20)), "decode too_large"},
		{"bytes", c, record(`{"input":[1` + strings.Repeat(",1", 15) + `]}`), "decode too_large"},
		{"dimensions", c, record(`{"input":[[[[1]]]]}`), "decode too_large"},
		{"depth", c, record(`{"x":[[[[1]]]],"input":[1]}`), "decode too_large"},
		{"strings", strs, record(`{"input":["a","b","c","d","e","f","g"]}`), "decode too_large"},
		{"oip dimension", c, record(`{"inputs":[{"name":"input","datatype":"FP64","shape":[1,99999999],"data":[1]}]}`, "content-type", contentTypeOIP), "decode too_large"},
		{
			"oip overflow", newCodec(t, CodecConfig{Signature: rowSig(FP64, -1, -1, -1), Limits: limits}),
			record(`{"inputs":[{"name":"input","datatype":"FP64","shape":[4294967296,4294967296,4294967296],"data":[1]}]}`, "content-type", contentTypeOIP), "decode too_large",
		},
		{"oip rank", c, record(`{"inputs":[{"name":"input","datatype":"FP64","shape":[1,1,1,1],"data":[1]}]}`, "content-type", contentTypeOIP), "decode too_large"},
	} {
		if got, _ := decodeText(t, tc.codec, tc.rec); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
	elements := newCodec(t, CodecConfig{Signature: rowSig(Uint8, -1, -1), Limits: limits})
	if got, _ := decodeText(t, elements, record(`{"input":[1`+strings.Repeat(",1", 20)+`]}`)); got != "decode too_large" {
		t.Errorf("elements: %s", got)
	}
}

func TestMemoryReservedStaysNearWhatWasRead(t *testing.T) {
	t.Parallel()
	c := newCodec(t, CodecConfig{Signature: rowSig(FP64, -1, -1)})
	req := &Request{}
	if err := c.Decode(record(`{"input":[`+strings.Repeat("1,", 999)+`1]}`), req); err != nil {
		t.Fatal(err)
	}
	if have := cap(req.Inputs[0].Data); have > 4*8000 {
		t.Errorf("1000 elements of 8 bytes reserved %d", have)
	}
}

func TestTombstoneIsNeverDecoded(t *testing.T) {
	t.Parallel()
	rec := record("")
	rec.Value = nil
	if got, _ := decodeText(t, newCodec(t, CodecConfig{Signature: rowSig(Uint8, -1, 1)}), rec); got != "decode undecodable" {
		t.Error(got)
	}
}

func TestMessagesHoldNoPayload(t *testing.T) {
	t.Parallel()
	const secret = "s3cr3t"
	for _, value := range []string{
		`{"input":"s3cr3t"}`, `{"input":["s3cr3t"]}`, `s3cr3t`, `{"s3cr3t":1,"s3cr3t`, `{"id":["s3cr3t"]}`, `{"input":[1],"x":s3cr3t}`,
	} {
		c := newCodec(t, CodecConfig{Signature: rowSig(FP32, -1, 2)})
		if err := c.Decode(record(value, "x-model-name", ""), &Request{}); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", value, err)
		}
	}
	for _, value := range []string{
		`{"inputs":[{"name":"s3cr3t","datatype":"FP32","shape":[1,2],"data":[1,2]}]}`,
		`{"inputs":[{"name":"input","datatype":"s3cr3t","shape":[1,2],"data":[1,2]}]}`,
		`{"model_name":"s3cr3t"}`, `{"outputs":[{"name":"s3cr3t"}]}`, `"s3cr3t"`,
	} {
		c := newCodec(t, CodecConfig{Signature: rowSig(FP32, -1, 2), Name: CodecOIPJSON})
		if err := c.Decode(record(value), &Request{}); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", value, err)
		}
	}
}
