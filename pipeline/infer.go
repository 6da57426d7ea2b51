package pipeline

import (
	"context"
	"errors"
	"fmt"

	"github.com/sluice-ml/sluice/internal/failpoint"
	"github.com/sluice-ml/sluice/schemas"
)

// infer runs the items until each has Res or Err. A run that fails is split in
// halves until the guilty rows stand alone (at most 2n extra runs), so that the
// innocent succeed. The runtime's errors carry no code: when every row fails
// alone, the model's self-test tells whether the device is the cause. Then
// nothing is dead-lettered; the run is repeated once the device works. The
// error is the end of ctx or of waiting for the device.
func (w *worker) infer(ctx context.Context, items []*Item, reason DispatchReason) error {
	outage := w.p.device.newOutage()
	defer outage.end()
	for {
		err := w.try(ctx, items, reason, outage.begun())
		if err == nil || ctx.Err() != nil {
			return err
		}
		if err := outage.wait(ctx, w.p.stopping, err); err != nil {
			return err
		}
	}
}

// try runs the items once. Its error is the device's or the end of ctx. During an
// outage the self-test goes first: a batch on a broken device costs 2n runs.
func (w *worker) try(ctx context.Context, items []*Item, reason DispatchReason, outage bool) error {
	if outage {
		if err := w.selfTest(ctx); err != nil {
			return err
		}
	}
	w.guilty = 0
	if err := w.split(ctx, items, reason); err != nil {
		return err
	}
	if w.guilty == len(items) {
		return w.selfTest(ctx)
	}
	return nil
}

// split runs the items, by halves where they fail together. Its error is the
// device's or the end of ctx; a row that fails alone has Err.
func (w *worker) split(ctx context.Context, items []*Item, reason DispatchReason) error {
	err := w.call(ctx, items, reason)
	if err == nil || ctx.Err() != nil || errors.Is(err, ErrDevice) {
		return err
	}
	if len(items) == 1 {
		items[0].Err = runFailure(err)
		w.guilty++
		return nil
	}
	if errors.Is(err, errRunTimeout) {
		// Splitting costs a timeout per run: first see whether anything runs.
		if err := w.selfTest(ctx); err != nil {
			return err
		}
	}
	half := len(items) / 2
	if err := w.split(ctx, items[:half], reason); err != nil {
		return err
	}
	failpoint.Here(failpoint.Bisecting)
	return w.split(ctx, items[half:], reason)
}

// call is one run of the model; its panic is an error of the run.
func (w *worker) call(ctx context.Context, items []*Item, reason DispatchReason) (err error) {
	for _, it := range items {
		failpoint.Poison(it.Value)
		it.Attempts++
		it.Err = nil
		it.Res.Outputs = it.Res.Outputs[:0] // a model may reuse the slice
	}
	w.batch = Batch{Items: items, Rows: rowsOf(items), Reason: reason}
	if w.batch.Rows == w.rows {
		w.batch.Stage = w.stage // all of them, in their places
	}
	for _, it := range items {
		it.BatchRows = w.batch.Rows
	}
	return w.bounded(ctx, func(ctx context.Context) error { return w.p.model.Run(ctx, &w.batch) })
}

// selfTest is nil when the device works, or when the model cannot tell.
func (w *worker) selfTest(ctx context.Context) error {
	tester, ok := w.p.model.(SelfTester)
	if !ok {
		return nil
	}
	if err := w.bounded(ctx, tester.SelfTest); err != nil {
		return fmt.Errorf("%w: self-test: %w", ErrDevice, err)
	}
	return nil
}

// bounded calls f with the run's deadline and recovers its panic.
func (w *worker) bounded(ctx context.Context, f func(context.Context) error) (err error) {
	runCtx := ctx
	if limit := w.p.cfg.RunTimeout; limit > 0 {
		var cancel context.CancelFunc
		runCtx, cancel = context.WithTimeoutCause(ctx, limit, errRunTimeout)
		defer cancel()
	}
	defer func() {
		if v := recover(); v != nil {
			w.p.reportPanic(v, schemas.StageInfer)
			err = &panicError{v}
		}
	}()
	err = f(runCtx)
	if err != nil && ctx.Err() == nil && runCtx.Err() != nil {
		return fmt.Errorf("%w after %s: %w", errRunTimeout, w.p.cfg.RunTimeout, err)
	}
	return err
}
