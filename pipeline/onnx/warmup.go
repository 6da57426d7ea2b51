package onnx

import (
	"context"
	"fmt"
	"time"

	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/schemas"
)

// warmUp runs one row and a full batch on every worker's buffers, so that the
// first real batch pays neither the runtime's first run nor fresh memory. With
// no row known to run it does nothing.
func (m *Model) warmUp(ctx context.Context, timeout time.Duration) error {
	if m.warm == nil {
		return nil
	}
	for range m.workers {
		w := <-m.buffers // the free list is first in, first out: each once
		err := bounded(ctx, timeout, func(ctx context.Context) error { return m.warmBuffers(ctx, w) })
		m.buffers <- w
		if err != nil {
			return fmt.Errorf("warm up %s on %s: %w", m.Name, w.session.device, err)
		}
	}
	return nil
}

func (m *Model) warmBuffers(ctx context.Context, w *workerBuffers) error {
	one := []*pipeline.Item{m.warmItem()}
	if err := w.runGroup(ctx, one, m.maxRows); err != nil {
		return err
	}
	if m.plan.alone {
		return nil
	}
	full := make([]*pipeline.Item, m.maxRows)
	for i := range full {
		full[i] = m.warmItem()
	}
	return w.runGroup(ctx, full, m.maxRows)
}

func (m *Model) warmItem() *pipeline.Item {
	return &pipeline.Item{Req: schemas.Request{Rows: 1, Inputs: m.warm}}
}

// bounded calls f with a deadline; 0 is none.
func bounded(ctx context.Context, timeout time.Duration, f func(context.Context) error) error {
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	return f(ctx)
}
