package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/sluice-ml/sluice/deploy/bench/lab"
	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/pipeline/onnx"
	"github.com/sluice-ml/sluice/schemas"
)

// setup is how sluice runs the model.
type setup struct {
	workers, maxRows int
	memory           string // onnx.Config.HostMemory
}

// drained is what one leg of sluice gave.
type drained struct {
	records int
	rate    float64 // records a second
	p50     time.Duration
	p95     time.Duration
	batch   float64 // mean rows of a batch, by row
	worst   float64 // the largest distance of an output from its reference
}

// loaded is the model in this set-up, loaded once.
func (b *bench) loaded(ctx context.Context, s setup) (*onnx.Model, error) {
	if m := b.models[s]; m != nil {
		return m, nil
	}
	m, err := onnx.Load(ctx, onnx.Config{Path: b.model, Device: b.device, Workers: s.workers, MaxRows: s.maxRows, HostMemory: s.memory}, nil)
	if err == nil {
		b.models[s] = m
	}
	return m, err
}

// drain runs the pipeline for a leg's time on records from memory: decode, batch, run, encode, delivery in order, all of
// the service but Kafka. Every output is compared with its reference afterwards; one that is wrong, or missing, is an error.
func (b *bench) drain(ctx context.Context, s setup, inFlight int) (*drained, error) {
	m, err := b.loaded(ctx, s)
	if err != nil {
		return nil, err
	}
	codec, err := schemas.NewCodec(schemas.CodecConfig{Signature: m.Signature(), Name: b.payload.Codec, ModelName: "bench", ModelVersion: m.Version})
	if err != nil {
		return nil, err
	}
	out := newSink()
	in := newSource(b.values, inFlight, out.began.Add(time.Duration(b.seconds*float64(time.Second))))
	pipe, err := pipeline.New(pipeline.Config{
		MaxInFlight: inFlight, Workers: s.workers, MaxRows: s.maxRows, RunTimeout: time.Minute, DrainTimeout: time.Minute, ModelName: "bench",
	}, in, codec, m, out, nil)
	if err != nil {
		return nil, err
	}
	if err := pipe.Run(ctx); err != nil {
		return nil, err
	}
	if out.failed > 0 || int64(len(out.kept)) != in.sent {
		return nil, fmt.Errorf("%d of %d records have an output, %d failed: %s", len(out.kept), in.sent, out.failed, out.why)
	}
	d := &drained{
		records: len(out.kept), rate: out.rate(), p50: out.latency.Percentile(50), p95: out.latency.Percentile(95),
		batch: float64(out.rows) / float64(max(1, len(out.kept))),
	}
	d.worst, err = b.compare(out.kept)
	return d, err
}

// compare holds outputs against the reference and gives the largest distance. The same bytes for the same record are
// read once.
func (b *bench) compare(kept []outcome) (worst float64, err error) {
	seen := map[string]string{}
	var got []float64
	for _, o := range kept {
		if seen[o.key] == string(o.value) {
			continue
		}
		row := lab.Index(o.key)
		if row < 0 || row >= len(b.want) {
			return worst, fmt.Errorf("an output has the unknown id %q", o.key)
		}
		if got, err = b.payload.Numbers([]byte(o.key), o.value, got[:0]); err != nil {
			return worst, fmt.Errorf("output of %s: %w", o.key, err)
		}
		want := b.want[row]
		if len(got) != len(want) {
			return worst, fmt.Errorf("output of %s has %d numbers, want %d", o.key, len(got), len(want))
		}
		for j := range got {
			off := math.Abs(got[j] - want[j])
			worst = max(worst, off)
			if !(off <= b.tolerance*(1+math.Abs(want[j]))) {
				return worst, fmt.Errorf("output of %s: number %d is %g, the reference has %g", o.key, j, got[j], want[j])
			}
		}
		seen[o.key] = string(o.value)
	}
	return worst, nil
}

// expected reads the reference, or lets Python's onnxruntime make it on the CPU and keeps it.
func (b *bench) expected(ctx context.Context) ([][]float64, error) {
	if b.reference == "" {
		b.reference = filepath.Join(b.Work, b.payload.Name+".reference")
	}
	n, width := len(b.values), b.payload.Width
	data, err := os.ReadFile(b.reference)
	if errors.Is(err, fs.ErrNotExist) {
		want, err := b.Reference(ctx, b.payload)
		if err != nil {
			return nil, err
		}
		for _, row := range want {
			for _, v := range row {
				data = binary.LittleEndian.AppendUint64(data, math.Float64bits(v))
			}
		}
		return want, os.WriteFile(b.reference, data, 0o644)
	}
	if err != nil {
		return nil, err
	}
	if len(data) != n*width*8 {
		return nil, fmt.Errorf("%s has %d bytes, want %d: delete it", b.reference, len(data), n*width*8)
	}
	want := make([][]float64, n)
	for i := range want {
		for j := range width {
			want[i] = append(want[i], math.Float64frombits(binary.LittleEndian.Uint64(data[8*(i*width+j):])))
		}
	}
	return want, nil
}
