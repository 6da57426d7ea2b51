package pipeline

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/sluice-ml/sluice/internal/metrics"
)

// errStopping ends the wait for a device: the batch is not running, so a stop
// does not wait for it.
var errStopping = errors.New("stopping while the device is unusable")

// deviceWatch tells the world once when workers wait for a device, and once when
// none does any more. Safe for concurrent use.
type deviceWatch struct {
	tel   *Telemetry
	gauge *metrics.Series

	mu      sync.Mutex
	waiting int
	since   time.Time
}

func newDeviceWatch(tel *Telemetry) *deviceWatch {
	return &deviceWatch{tel: tel, gauge: tel.Metrics.Gauge("sluice_device_unusable", "Workers that wait for an unusable device.").With()}
}

// change counts workers that wait for the device.
func (d *deviceWatch) change(by int, cause error) {
	d.mu.Lock()
	before := d.waiting
	d.waiting += by
	after := d.waiting
	if before == 0 {
		d.since = time.Now()
	}
	since := d.since
	d.gauge.Set(float64(after))
	d.mu.Unlock()
	switch {
	case before == 0:
		d.tel.Logger.Error("device unusable: paused, nothing is dead-lettered; retrying with backoff", "error", cleanText(cause.Error()))
	case after == 0:
		d.tel.Logger.Info("device no longer waited for", "after", time.Since(since))
	}
}

// outage is one worker's wait for the device over the retries of one batch.
type outage struct {
	watch *deviceWatch
	retry *backoff.ExponentialBackOff // nil until the device first fails
}

func (d *deviceWatch) newOutage() outage { return outage{watch: d} }

func (o *outage) begun() bool { return o.retry != nil }

// wait pauses before the next try, longer each time, at most 30 s. Its error is
// the end of ctx or of stopping.
func (o *outage) wait(ctx context.Context, stopping <-chan struct{}, cause error) error {
	if o.retry == nil {
		// MaxElapsedTime 0: at run time a dependency is retried without end.
		o.retry = backoff.NewExponentialBackOff(
			backoff.WithInitialInterval(100*time.Millisecond), backoff.WithMaxInterval(30*time.Second), backoff.WithMaxElapsedTime(0))
		o.watch.change(1, cause)
	}
	timer := time.NewTimer(o.retry.NextBackOff())
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-stopping:
		return errStopping
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (o *outage) end() {
	if o.retry != nil {
		o.watch.change(-1, nil)
	}
}
