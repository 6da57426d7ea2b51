package synthetic

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-ml/sluice/schemas"
)

func input(name string, t schemas.DataType, batchAxis int, shape ...int64) Input {
	return Input{TensorSpec: schemas.TensorSpec{Name: name, Type: t, Shape: shape, BatchAxis: batchAxis}}
}

func signature(inputs []Input) *schemas.Signature {
	sig := &schemas.Signature{Outputs: []schemas.TensorSpec{{Name: "y", Type: schemas.FP32, Shape: []int64{-1, 1}}}}
	for _, in := range inputs {
		sig.Inputs = append(sig.Inputs, in.TensorSpec)
	}
	return sig
}

// everyType has an input of each type that JSON can carry.
func everyType() []Input {
	var inputs []Input
	for t := schemas.Bool; t <= schemas.Bytes; t++ {
		inputs = append(inputs, input("in/"+t.String(), t, 0, -1, 2, 3))
	}
	return append(inputs, input("scalar", schemas.FP32, 0, -1), input("shared", schemas.Int64, -1, 4))
}

func noHalf(inputs []Input) []Input {
	var kept []Input
	for _, in := range inputs {
		if in.Type != schemas.FP16 && in.Type != schemas.BF16 {
			kept = append(kept, in)
		}
	}
	return kept
}

// What is made up for a codec is what that codec reads.
func TestMessagesAreReadByTheirCodec(t *testing.T) {
	t.Parallel()
	sixty := map[string]schemas.InputMapping{"x": {Fields: []schemas.Field{{Path: "/a/b"}, {Path: "/a/c"}, {Path: "/d~1e"}}}, "z": {Path: "/deep/er/z"}}
	for name, c := range map[string]struct {
		codec, rows string
		inputs      []Input
		mapping     map[string]schemas.InputMapping
		opts        Options
	}{
		"json":         {codec: schemas.CodecJSON, inputs: everyType()},
		"json, many":   {codec: schemas.CodecJSON, rows: schemas.RowsMany, inputs: []Input{input("x", schemas.FP32, 0, -1, 3), input("n", schemas.Int32, 0, -1)}},
		"json, mapped": {codec: schemas.CodecJSON, inputs: []Input{input("x", schemas.FP32, 0, -1, 3), input("z", schemas.Int64, 0, -1, 2)}, mapping: sixty},
		"json, varying": {
			codec: schemas.CodecJSON, inputs: []Input{input("x", schemas.Int64, 0, -1, -1, -1)}, opts: Options{
				Dims: map[string]int64{"x.1": 3, "x.2": 2}, Ranges: map[string]Range{"x": {-5, 30_000}},
			},
		},
		"oip":        {codec: schemas.CodecOIPJSON, inputs: noHalf(everyType())},
		"raw":        {codec: schemas.CodecRaw, inputs: []Input{input("x", schemas.FP32, 0, -1, 784)}},
		"raw, words": {codec: schemas.CodecRaw, inputs: []Input{input("x", schemas.Bytes, 0, -1, 2)}},
		"raw, half":  {codec: schemas.CodecRaw, inputs: []Input{input("x", schemas.BF16, 0, -1, 8)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			codec, err := schemas.NewCodec(schemas.CodecConfig{
				Signature: signature(c.inputs), ModelName: "m", Name: c.codec, Inputs: c.mapping, Rows: c.rows,
			})
			if err != nil {
				t.Fatal(err)
			}
			maker, err := NewMaker(c.inputs, c.opts, 7)
			if err != nil {
				t.Fatal(err)
			}
			message, err := NewMessage(c.codec, c.inputs, c.mapping, c.rows)
			if err != nil {
				t.Fatal(err)
			}
			var row []schemas.Tensor
			var value []byte
			for range 50 {
				row = maker.Row(row)
				if value, err = message.Append(value[:0], row); err != nil {
					t.Fatal(err)
				}
				rec := schemas.Record{Key: []byte("k"), Value: value, Headers: []schemas.Header{{Key: "content-type", Value: []byte(message.ContentType)}}}
				var req schemas.Request
				if err := codec.Decode(&rec, &req); err != nil {
					t.Fatalf("%v\n%s", err, value)
				}
				if req.Rows != 1 || len(req.Inputs) != len(row) {
					t.Fatalf("%d rows of %d inputs", req.Rows, len(req.Inputs))
				}
				for i := range row {
					got := req.Inputs[i]
					if got.Name != row[i].Name || !bytes.Equal(got.Data, row[i].Data) || len(row[i].Strings) > 0 && !cmp.Equal(got.Strings, row[i].Strings) {
						t.Fatalf("%s: read %v %v, made %v %v\n%s", row[i].Name, got.Data, got.Strings, row[i].Data, row[i].Strings, value)
					}
				}
			}
		})
	}
}

func TestTheSeedDecidesTheValues(t *testing.T) {
	t.Parallel()
	rows := map[uint64][]schemas.Tensor{}
	for _, seed := range []uint64{1, 2} {
		for range 2 {
			m, err := NewMaker(everyType(), Options{}, seed)
			if err != nil {
				t.Fatal(err)
			}
			row := m.Row(m.Row(nil))
			if before := rows[seed]; before != nil && !cmp.Equal(before, row) {
				t.Errorf("seed %d gave two rows", seed)
			}
			rows[seed] = row
		}
	}
	if cmp.Equal(rows[1], rows[2]) {
		t.Error("two seeds gave one row")
	}
}

func TestValuesStayInTheirRange(t *testing.T) {
	t.Parallel()
	in := []Input{input("ids", schemas.Int32, 0, -1, 1000), input("x", schemas.FP32, 0, -1, 1000)}
	m, err := NewMaker(in, Options{Ranges: map[string]Range{"ids": {3, 5}, "x": {-1, 1}}}, 1)
	if err != nil {
		t.Fatal(err)
	}
	row := m.Row(nil)
	seen := map[byte]int{}
	for i := 0; i < len(row[0].Data); i += 4 {
		seen[row[0].Data[i]]++
	}
	if len(seen) != 3 || seen[3] < 250 || seen[4] < 250 || seen[5] < 250 {
		t.Errorf("whole numbers of 3..5: %v", seen)
	}
}

func TestWhatDoesNotFitIsToldWithItsCure(t *testing.T) {
	t.Parallel()
	named := input("tokens", schemas.Int64, 0, -1, -1)
	named.DimNames = []string{"batch", "seq"}
	for want, c := range map[string]struct {
		in   Input
		opts Options
	}{
		"--dim seq=32":                     {in: named},
		"--dim x.1=32":                     {in: input("x", schemas.FP32, 0, -1, -1)},
		"--dim sqe: no input":              {in: named, opts: Options{Dims: map[string]int64{"seq": 4, "sqe": 4}}},
		"UINT8 holds 0..255":               {in: input("x", schemas.Uint8, 0, -1), opts: Options{Ranges: map[string]Range{"x": {0, 256}}}},
		"--range y: no such input":         {in: input("x", schemas.Uint8, 0, -1), opts: Options{Ranges: map[string]Range{"y": {0, 1}}}},
		"no whole number lies in 0.2..0.8": {in: input("x", schemas.Int64, 0, -1), opts: Options{Ranges: map[string]Range{"x": {0.2, 0.8}}}},
		"more than 8388608 elements":       {in: input("x", schemas.FP32, 0, -1, 1<<20, 1<<20)},
	} {
		if _, err := NewMaker([]Input{c.in}, c.opts, 1); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	two := []Input{input("x", schemas.FP32, 0, -1), input("y", schemas.FP32, 0, -1)}
	if _, err := NewMessage(schemas.CodecRaw, two, nil, ""); err == nil {
		t.Error("raw with two inputs is taken")
	}
	for _, path := range []string{"/", "/items/0"} {
		if _, err := NewMessage(schemas.CodecJSON, two, map[string]schemas.InputMapping{"x": {Path: path}}, ""); err == nil || !strings.Contains(err.Error(), "--records") {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := NewMessage(schemas.CodecJSON, two, map[string]schemas.InputMapping{"x": {Path: "/y"}}, ""); err == nil {
		t.Error("one place for two inputs is taken")
	}
	for _, text := range []string{"x", "x=1", "x=2..1", "=1..2", "x=a..b"} {
		if _, _, err := ParseRange(text); err == nil {
			t.Errorf("range %q is taken", text)
		}
	}
	for _, text := range []string{"x", "x=0", "=3", "x=a"} {
		if _, _, err := ParseDim(text); err == nil {
			t.Errorf("dimension %q is taken", text)
		}
	}
}
