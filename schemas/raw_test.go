package schemas

import "testing"

func TestRawIsOneLittleEndianRow(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		sig  *Signature
		rows string
		in   string
		want string
	}{
		{"row", rowSig(Uint16, -1, 2), "", "\x01\x00\x00\x01", "UINT16[1 2] 1 256"},
		{"short", rowSig(Uint16, -1, 2), "", "\x01\x00", "validate wrong_shape"},
		{"odd", rowSig(Uint16, -1, 2), "", "\x01\x00\x02", "validate wrong_shape"},
		{"empty", rowSig(Uint16, -1, 2), "", "", "validate wrong_shape"},
		{"two rows", rowSig(Uint16, -1, 2), "", "\x01\x00\x00\x01\x01\x00\x00\x01", "validate wrong_shape"},
		{"rows many", rowSig(Uint8, -1, 2), RowsMany, "\x01\x02\x03\x04", "UINT8[2 2] 1 2 3 4"},
		{"bf16", rowSig(BF16, -1, 2), "", "\x80\x3f\x00\xc0", "BF16[1 2] 1 -2"},
		{"bool", rowSig(Bool, -1, 2), "", "\x00\x01", "BOOL[1 2] false true"},
		{"no bool", rowSig(Bool, -1, 2), "", "\x00\x02", "validate wrong_type"},
		{"strings", rowSig(Bytes, -1, 2), "", "\x01\x00\x00\x00a\x00\x00\x00\x00", `BYTES[1 2] "a" ""`},
		{"string too long", rowSig(Bytes, -1, 2), "", "\xff\xff\xff\xffa", "decode undecodable"},
		{"varying", rowSig(Uint8, -1, -1), "", "\x01", "validate wrong_shape"},
	} {
		cfg := CodecConfig{Signature: tc.sig, Rows: tc.rows}
		if tc.sig.Inputs[0].Type == BF16 {
			cfg.Name = CodecRaw
		}
		got, req := decodeText(t, newCodec(t, cfg), record(tc.in, "content-type", contentTypeRaw))
		if got != tc.want {
			t.Errorf("%s is %s, want %s", tc.name, got, tc.want)
		}
		if got[0] >= 'A' && got[0] <= 'Z' && (string(req.ID) != `"k1"` || req.Single != (tc.rows == "")) {
			t.Errorf("%s: id %s single %v", tc.name, req.ID, req.Single)
		}
	}
}

func TestRawNeedsOneInput(t *testing.T) {
	t.Parallel()
	sig := rowSig(Uint8, -1, 1)
	sig.Inputs = append(sig.Inputs, TensorSpec{Name: "second", Type: Uint8, Shape: []int64{-1, 1}})
	if got, _ := decodeText(t, newCodec(t, CodecConfig{Signature: sig}), record("\x01", "content-type", contentTypeRaw)); got != "validate wrong_name" {
		t.Error(got)
	}
}

func TestRawDataIsLentByTheRecord(t *testing.T) {
	t.Parallel()
	c := newCodec(t, CodecConfig{Signature: rowSig(Uint8, -1, 2)})
	rec := record("\x01\x02", "content-type", "application/octet-stream")
	req := &Request{}
	decode := func(rec *Record) *Tensor {
		t.Helper()
		if err := c.Decode(rec, req); err != nil {
			t.Fatal(err)
		}
		return &req.Inputs[0]
	}

	if in := decode(rec); &in.Data[0] != &rec.Value[0] {
		t.Error("the data was copied")
	}
	if in := decode(record(`{"input":[8,9]}`)); string(in.Data) != "\x08\x09" || string(rec.Value) != "\x01\x02" {
		t.Errorf("the next record is %v, the one before has become %v", in.Data, rec.Value)
	}
	own := &req.Inputs[0].Data[0]
	if req.GiveBack(); len(req.Inputs[0].Data) != 2 {
		t.Error("the tensor's own memory was given back")
	}
	if in := decode(record(`{"input":[8,9]}`)); &in.Data[0] != own {
		t.Error("the tensor's own memory was not used again")
	}
	in := decode(rec)
	if req.GiveBack(); in.Data != nil {
		t.Errorf("the request keeps %v", in.Data)
	}
}
