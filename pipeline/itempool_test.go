package pipeline

import (
	"testing"

	"github.com/sluice-ml/sluice/schemas"
)

// Not parallel: it looks at an item that is in the pool already.

func TestRecycledItemKeepsNothingOfItsRecord(t *testing.T) {
	sig := &schemas.Signature{
		Inputs:  []schemas.TensorSpec{{Name: "x", Type: schemas.Uint8, Shape: []int64{-1, 2}}},
		Outputs: []schemas.TensorSpec{{Name: "y", Type: schemas.FP32, Shape: []int64{-1, 2}}},
	}
	codec, err := schemas.NewCodec(schemas.CodecConfig{Signature: sig, Name: schemas.CodecRaw})
	if err != nil {
		t.Fatal(err)
	}
	it := NewItem()
	it.Value = []byte{1, 2}
	if err := codec.Decode(&it.Record, &it.Req); err != nil {
		t.Fatal(err)
	}
	inputs := it.Req.Inputs
	if &inputs[0].Data[0] != &it.Value[0] {
		t.Fatal("the codec copied the value: this test shows nothing")
	}

	it.recycle()

	if inputs[0].Data != nil {
		t.Error("the pool holds the record's memory")
	}
}
