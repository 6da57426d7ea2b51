package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-ml/sluice/deploy/bench/lab"
	"github.com/sluice-ml/sluice/schemas"
)

// codecTime is how long decoding and encoding are measured.
const codecTime = 2 * time.Second

// signatures are those of the payloads' models, as pipeline/onnx would find them.
var signatures = map[string]*schemas.Signature{
	"mlp_784_32x4_10.onnx": {
		Inputs:  []schemas.TensorSpec{{Name: "h0", Type: schemas.FP32, Shape: []int64{-1, 784}}},
		Outputs: []schemas.TensorSpec{{Name: "y", Type: schemas.FP32, Shape: []int64{-1, 10}}},
	},
	"gbdt.onnx": {
		Inputs: []schemas.TensorSpec{{Name: "features", Type: schemas.FP32, Shape: []int64{-1, 30}}},
		Outputs: []schemas.TensorSpec{
			{Name: "label", Type: schemas.Int64, Shape: []int64{-1}}, {Name: "probabilities", Type: schemas.FP32, Shape: []int64{-1, 2}},
		},
	},
	"tokens.onnx": {
		Inputs: []schemas.TensorSpec{
			{Name: "input_ids", Type: schemas.Int64, Shape: []int64{-1, 32}}, {Name: "attention_mask", Type: schemas.Int64, Shape: []int64{-1, 32}},
		},
		Outputs: []schemas.TensorSpec{{Name: "embedding", Type: schemas.FP32, Shape: []int64{-1, 16}}},
	},
}

// codecOf is the codec that the service uses for a payload.
func codecOf(p *lab.Payload) (*schemas.Codec, error) {
	cfg := schemas.CodecConfig{Signature: signatures[p.Model], Name: p.Codec, ModelName: "bench"}
	if p.Name == "event" {
		m := schemas.InputMapping{}
		for i := range 30 {
			m.Fields = append(m.Fields, schemas.Field{Path: fmt.Sprintf("/f%d", i)})
		}
		cfg.Inputs = map[string]schemas.InputMapping{"features": m}
	}
	return schemas.NewCodec(cfg)
}

// decodeAlone decodes the payload's distinct messages over and over.
func (b *bench) decodeAlone(ctx context.Context, p *lab.Payload) (*limit, error) {
	codec, err := codecOf(p)
	if err != nil {
		return nil, err
	}
	records := b.messages(p)
	return onAllCores(ctx, func() func(i int) error {
		request := &schemas.Request{}
		return func(i int) error { return codec.Decode(&records[i%len(records)], request) }
	})
}

// encodeAlone encodes the reference's outputs over and over.
func (b *bench) encodeAlone(ctx context.Context, p *lab.Payload) (*limit, error) {
	codec, err := codecOf(p)
	if err != nil {
		return nil, err
	}
	want, err := b.Reference(ctx, p)
	if err != nil {
		return nil, err
	}
	records := b.messages(p)
	results := make([]*schemas.Result, len(want))
	for i, row := range want {
		results[i] = resultOf(signatures[p.Model], row)
	}
	return onAllCores(ctx, func() func(i int) error {
		request, out := &schemas.Request{}, []byte(nil)
		if err := codec.Decode(&records[0], request); err != nil {
			return func(int) error { return err }
		}
		return func(i int) (err error) {
			out, _, err = codec.Encode(out[:0], &records[i%len(records)], request, results[i%len(results)])
			return err
		}
	})
}

// messages are a payload's distinct messages as records.
func (b *bench) messages(p *lab.Payload) []schemas.Record {
	value := b.Rows(p)
	records := make([]schemas.Record, p.Distinct)
	for i := range records {
		records[i] = schemas.Record{Topic: "in", Offset: int64(i), Key: lab.Key(i), Value: value(i)}
	}
	return records
}

// resultOf is one row of numbers as the model's outputs.
func resultOf(signature *schemas.Signature, row []float64) *schemas.Result {
	result := &schemas.Result{}
	for _, spec := range signature.Outputs {
		n := int64(1)
		shape := []int64{1}
		for _, d := range spec.Shape[1:] {
			n, shape = n*d, append(shape, d)
		}
		t := schemas.Tensor{Name: spec.Name, Type: spec.Type, Shape: shape}
		for _, v := range row[:n] {
			if spec.Type == schemas.Int64 {
				t.Data = binary.LittleEndian.AppendUint64(t.Data, uint64(int64(v)))
			} else {
				t.Data = binary.LittleEndian.AppendUint32(t.Data, math.Float32bits(float32(v)))
			}
		}
		row = row[n:]
		result.Outputs = append(result.Outputs, schemas.Output{Tensor: t, HasRows: true})
	}
	return result
}

// onAllCores calls one function per core, each made by prepare, for a while and
// gives the calls a second of all.
func onAllCores(ctx context.Context, prepare func() func(i int) error) (*limit, error) {
	var wg sync.WaitGroup
	var done atomic.Int64
	errs := make(chan error, runtime.NumCPU()) // one a core at most
	began := time.Now()
	for core := range runtime.NumCPU() {
		wg.Go(func() { // ends with the time, ctx or an error
			f := prepare()
			for i := core * 4099; time.Since(began) < codecTime && ctx.Err() == nil; {
				for range 64 {
					if err := f(i); err != nil {
						errs <- err
						return
					}
					i++
				}
				done.Add(64)
			}
		})
	}
	wg.Wait()
	took := time.Since(began)
	select {
	case err := <-errs:
		return nil, err
	default:
		return &limit{Rate: float64(done.Load()) / took.Seconds()}, context.Cause(ctx)
	}
}
