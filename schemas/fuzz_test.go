package schemas

import (
	"encoding/json"
	"errors"
	"testing"
)

// fuzzSignatures has every type and kind of shape.
func fuzzSignatures() []*Signature {
	axis := func(name string, typ DataType, batch int, shape ...int64) TensorSpec {
		return TensorSpec{Name: name, Type: typ, Shape: shape, BatchAxis: batch}
	}
	var all []*Signature
	for typ := Bool; typ <= Bytes; typ++ {
		all = append(all,
			&Signature{Inputs: []TensorSpec{axis("x", typ, 0, -1, 2)}},
			&Signature{Inputs: []TensorSpec{axis("x", typ, 0, -1, -1), axis("y", typ, -1)}, Alone: true},
			&Signature{Inputs: []TensorSpec{axis("x", typ, 1, 1, -1, 2)}, Alone: true},
		)
	}
	return all
}

// checkDecoded holds what was accepted against the signature, and sends it once
// around as an Open Inference Protocol request: what is accepted can be written.
func checkDecoded(t *testing.T, sig *Signature, req *Request) {
	t.Helper()
	if !json.Valid(req.ID) || (len(req.Include) > 0 && !json.Valid(req.Include)) {
		t.Fatalf("id %q, include %q", req.ID, req.Include)
	}
	half := false
	for i := range req.Inputs {
		in, spec := &req.Inputs[i], &sig.Inputs[i]
		n, ok := Elements(in.Shape)
		have := int64(len(in.Strings))
		if size := in.Type.Size(); size > 0 {
			have = int64(len(in.Data) / size)
		}
		if !ok || n != have || in.Type != spec.Type || !matches(spec.Shape, in.Shape) {
			t.Fatalf("%s as %v with %d elements for %v", in.Type, in.Shape, have, spec.Shape)
		}
		if spec.BatchAxis >= 0 && in.Shape[spec.BatchAxis] != int64(req.Rows) {
			t.Fatalf("%d rows as %v", req.Rows, in.Shape)
		}
		half = half || in.Type == FP16
	}
	text, ok := AppendOIPRequest(nil, "a", req.Inputs)
	if ok == half {
		t.Fatalf("encoded %v", ok)
	}
	if !ok {
		return
	}
	c := newCodec(t, CodecConfig{Signature: sig, Name: CodecOIPJSON})
	again := &Request{}
	if err := c.Decode(record(string(text)), again); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	for i := range again.Inputs {
		if got, want := values(&again.Inputs[i]), values(&req.Inputs[i]); got != want {
			t.Fatalf("%s came back as %s", want, got)
		}
	}
}

// fuzzDecode runs one codec over all signatures.
func fuzzDecode(f *testing.F, configure func(*CodecConfig)) {
	f.Helper()
	var codecs []*Codec
	sigs := fuzzSignatures()
	for _, sig := range sigs {
		cfg := CodecConfig{Signature: sig, ModelName: "m", ModelVersion: "1"}
		configure(&cfg)
		c, err := NewCodec(cfg)
		if err != nil {
			c = nil // this codec is not for this model
		}
		codecs = append(codecs, c)
	}
	req := &Request{}
	f.Fuzz(func(t *testing.T, which uint8, value []byte) {
		k := int(which) % len(codecs)
		if codecs[k] == nil {
			return
		}
		rec := record(string(value))
		if err := codecs[k].Decode(rec, req); err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Class == "" || e.Stage == "" {
				t.Fatalf("%v", err)
			}
			return
		}
		if codecs[k].cfg.Name != CodecRaw && !json.Valid(value) {
			t.Fatalf("accepted what is no JSON: %q", value)
		}
		checkDecoded(t, sigs[k], req)
	})
}

func FuzzDecodeJSON(f *testing.F) {
	for i, s := range []string{
		`{"id":1,"x":[1,2],"y":3}`, `{"x":[[1,2],[3,4]],"y":"a"}`, `{"x":["a","b"],"f":{"g":null}}`, `{"x":[true,false],"y":true}`,
		`{"x":[[[1,2],[3,4]]]}`, `{"x":[null,1e3],"y":-0.0}`, `{"x":[],"y":0}`, `{"x":["NaN","Infinity"]}`, `{"f":{"g":[1]},"x":[1,1]}`,
	} {
		for k := range 13 {
			f.Add(uint8(3*k+i%3), []byte(s))
		}
	}
	fuzzDecode(f, func(cfg *CodecConfig) { cfg.Include, cfg.OnMissing = []string{"/f/g", "/x"}, NaN })
}

func FuzzDecodeOIP(f *testing.F) {
	for typ := Bool; typ <= Bytes; typ++ {
		for k, s := range []string{
			`{"id":"a","inputs":[{"name":"x","datatype":"` + typ.String() + `","shape":[1,2],"data":[0,1]}]}`,
			`{"inputs":[{"data":[["a","b"]],"name":"x","datatype":"` + typ.String() + `","shape":[1,2]},{"name":"y","shape":[],"datatype":"` + typ.String() + `","data":[1]}]}`,
			`{"parameters":{"timeout":1,"priority":2},"inputs":[{"name":"x","datatype":"` + typ.String() + `","shape":[1,1,2],"data":[true,false]}],"outputs":[]}`,
		} {
			f.Add(uint8(int(typ-1)*3+k), []byte(s))
		}
	}
	fuzzDecode(f, func(cfg *CodecConfig) { cfg.Name = CodecOIPJSON; cfg.Include = []string{"/id"} })
}

func FuzzDecodeRaw(f *testing.F) {
	for k := range 39 {
		f.Add(uint8(k), []byte("\x01\x00\x00\x00a\x00\x00\x00\x00\x00\x80\x3f\x00\x00\xc0\x7f"))
		f.Add(uint8(k), []byte("\x00\x01"))
	}
	fuzzDecode(f, func(cfg *CodecConfig) { cfg.Name, cfg.Rows = CodecRaw, RowsMany })
}
