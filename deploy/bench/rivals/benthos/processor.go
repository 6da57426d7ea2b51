package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/twmb/franz-go/pkg/kgo"
	ort "github.com/yalue/onnxruntime_go"
)

// runRows is the most rows of one model run.
const runRows = 256

// processor decodes, runs the model and encodes. Benthos calls one from all threads
// of its pipeline at a time: each call takes a worker and gives it back.
type processor struct {
	idle chan *worker // holds all when none works, so giving back never blocks
}

var _ service.BatchProcessor = (*processor)(nil)

func newProcessor(model, payload string, threads int) (*processor, error) {
	p := &processor{idle: make(chan *worker, threads)}
	for range threads {
		w, err := newWorker(model, payload)
		if err != nil {
			return nil, err
		}
		p.idle <- w
	}
	return p, nil
}

// worker is one session and its buffers, for one call at a time.
type worker struct {
	session *ort.DynamicAdvancedSession
	codec   codec
	ids     [][]byte // of the rows of one run
}

func newWorker(model, payload string) (*worker, error) {
	c, err := newCodec(payload)
	if err != nil {
		return nil, err
	}
	options, err := ort.NewSessionOptions()
	if err != nil {
		return nil, err
	}
	defer options.Destroy() //nolint:errcheck // nothing to be done
	for _, set := range []func() error{
		func() error { return options.SetIntraOpNumThreads(1) },
		func() error { return options.SetInterOpNumThreads(1) },
		func() error { return options.SetGraphOptimizationLevel(ort.GraphOptimizationLevelEnableAll) },
		func() error { return options.AddSessionConfigEntry("session.intra_op.allow_spinning", "0") },
	} {
		if err := set(); err != nil {
			return nil, err
		}
	}
	inputs, outputs := c.names()
	session, err := ort.NewDynamicAdvancedSession(model, inputs, outputs, options)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", model, err)
	}
	return &worker{session: session, codec: c, ids: make([][]byte, runRows)}, nil
}

// ProcessBatch replaces each record by its output record. An error marks every
// message of the batch; the output then refuses it.
func (p *processor) ProcessBatch(_ context.Context, batch service.MessageBatch) ([]service.MessageBatch, error) {
	w := <-p.idle
	defer func() { p.idle <- w }()
	outputs := make([]kgo.Record, len(batch))
	for from := 0; from < len(batch); from += runRows {
		to := min(from+runRows, len(batch))
		if err := w.run(batch[from:to], outputs[from:to]); err != nil {
			return nil, err
		}
	}
	return []service.MessageBatch{batch}, nil
}

func (w *worker) run(batch service.MessageBatch, outputs []kgo.Record) error {
	for i, m := range batch {
		content, err := m.AsStructured()
		if err != nil {
			return err
		}
		r := content.(*kgo.Record)
		if w.ids[i], err = w.codec.decode(i, r.Value); err != nil {
			return fmt.Errorf("decode %s/%d@%d: %w", r.Topic, r.Partition, r.Offset, err)
		}
		outputs[i].Key = r.Key
	}
	if err := w.infer(len(batch)); err != nil {
		return err
	}
	// One allocation holds the values of a run. Values are at most as long as the
	// buffer was measured for; append moves to a new one otherwise.
	values := make([]byte, 0, len(batch)*w.codec.outputBytes())
	for i, m := range batch {
		start := len(values)
		values = w.codec.encode(values, i, w.ids[i])
		outputs[i].Value = values[start:len(values):len(values)]
		m.SetStructured(&outputs[i])
	}
	return nil
}

// infer runs the model on the first n rows of the codec's buffers.
func (w *worker) infer(n int) error {
	in, out, err := w.codec.tensors(int64(n))
	defer func() {
		for _, v := range append(in, out...) {
			_ = v.Destroy()
		}
	}()
	if err != nil {
		return err
	}
	return w.session.Run(in, out)
}

// Close frees the sessions.
func (p *processor) Close(context.Context) (err error) {
	for range cap(p.idle) {
		err = errors.Join(err, (<-p.idle).session.Destroy())
	}
	return err
}
