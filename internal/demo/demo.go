package demo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

const (
	// readyTimeout bounds the start: loading the model and joining the group.
	readyTimeout = 60 * time.Second
	// settleTimeout bounds the wait for the last predictions at the end.
	settleTimeout = 30 * time.Second
)

// ErrLost means that at the end images had no outcome, or more than one.
var ErrLost = errors.New("not every image has exactly one outcome")

// errServiceEnded means that the service ended by itself; Service.Err says why.
var errServiceEnded = errors.New("the service ended")

// Run does the demo until ctx ends, the count is reached or the time is over, then
// lets everything in flight finish, prints the summary and removes what it wrote.
// It returns ErrLost when something is missing.
func Run(ctx context.Context, cfg *Config) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	images, err := heldOut()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "sluice-demo-")
	if err != nil {
		return fmt.Errorf("a folder for the embedded broker: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // nothing is left to do about it
	b, err := startBroker(ctx, dir, cfg.Partitions)
	if err != nil {
		return err
	}
	defer b.close()
	return (&run{cfg: cfg, broker: b, dir: dir, ledger: newLedger(images), log: &logTail{}}).do(ctx)
}

// run is one demo with its broker up.
type run struct {
	cfg    *Config
	broker *broker
	dir    string
	ledger *ledger
	log    *logTail
}

func (r *run) do(ctx context.Context) error {
	file, err := writeSettings(r.dir, r.broker.list())
	if err != nil {
		return err
	}
	logger := r.log.logger(r.cfg.Out)
	if r.cfg.Terminal != nil {
		logger = r.log.logger(nil)
	}
	// The service outlives ctx: it ends when everything published has its outcome.
	serviceCtx, stopService := context.WithCancel(context.WithoutCancel(ctx))
	defer stopService()
	service, err := r.cfg.Serve(serviceCtx, file, logger)
	if err != nil {
		return err
	}
	if err := r.awaitReady(ctx, service); err != nil {
		stopService()
		<-service.Done
		return r.explain(errors.Join(err, service.Err()))
	}
	began := time.Now()
	flowErr := r.flow(ctx, service)
	stopService()
	<-service.Done
	if err := service.Err(); err != nil {
		flowErr = errors.Join(flowErr, fmt.Errorf("the service's end: %w", err))
	}
	final := r.ledger.tally()
	summary(r.cfg.Out, &final, time.Since(began))
	if flowErr == nil && (final.lost() != 0 || final.duplicated+final.unknown != 0) {
		flowErr = ErrLost
	}
	return r.explain(flowErr)
}

// explain adds the service's last log lines to an error: on the live view they
// were not to be seen.
func (r *run) explain(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w\nthe service's last log lines:\n%s", err, r.log)
}

func (r *run) awaitReady(ctx context.Context, service *Service) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	select {
	case <-service.Ready:
		return nil
	case <-service.Done:
		return errServiceEnded
	case <-ctx.Done():
		return fmt.Errorf("the service was not ready: %w", context.Cause(ctx))
	}
}

// flow publishes, reads and shows until the end, and waits until everything
// published has its outcome.
func (r *run) flow(ctx context.Context, service *Service) error {
	generator, err := newGenerator(r.broker.addresses, r.ledger, r.cfg)
	if err != nil {
		return err
	}
	defer generator.close()
	reader, err := newReader(r.broker.addresses, r.ledger)
	if err != nil {
		return err
	}
	defer reader.close()

	// rest is for what goes on after the last image is published; it ends when all
	// is settled, or with the reason why that cannot be.
	rest, stopRest := context.WithCancelCause(context.WithoutCancel(ctx))
	publishing, stopPublishing := r.publishing(ctx, rest)
	defer stopPublishing()
	var others sync.WaitGroup // each ends with rest, or before
	others.Go(func() {
		if err := reader.run(rest); err != nil {
			stopRest(err)
		}
	})
	others.Go(func() { r.show(publishing, service) }) // gone before a second Ctrl-C can end the process
	others.Go(func() {
		select {
		case <-service.Done:
			stopRest(errServiceEnded)
		case <-rest.Done():
		}
	})
	err = generator.run(publishing)
	stopPublishing()
	if err == nil {
		err = r.settled(rest)
	}
	stopRest(nil)
	others.Wait()
	return err
}

// publishing is the context in which images are published: it ends with ctx, with
// rest, and when the time that the user gave is over.
func (r *run) publishing(ctx, rest context.Context) (context.Context, context.CancelFunc) {
	var cancel context.CancelFunc
	if r.cfg.For > 0 {
		ctx, cancel = context.WithTimeout(ctx, r.cfg.For)
	} else {
		ctx, cancel = context.WithCancel(ctx)
	}
	context.AfterFunc(rest, cancel)
	return ctx, cancel
}

// show draws or prints until ctx ends.
func (r *run) show(ctx context.Context, service *Service) {
	s := newSampler(r.ledger, service, time.Now())
	if r.cfg.Terminal == nil {
		_, _ = fmt.Fprintf(r.cfg.Out, "demo: %d partitions, admin page http://%s/, Ctrl-C ends it\n", r.cfg.Partitions, service.Admin())
		report(ctx, r.cfg.Out, s)
		return
	}
	t := openTerminal(r.cfg.Terminal)
	defer t.restore()
	watch(ctx, t, s, service, r.log)
}

// settled waits until every image has its outcome.
func (r *run) settled(rest context.Context) error {
	limit := cmp.Or(r.cfg.settle, settleTimeout)
	ctx, cancel := context.WithTimeoutCause(rest, limit, fmt.Errorf("%w: not within %v", ErrLost, limit))
	defer cancel()
	for {
		left, changed := r.ledger.outstanding()
		if left == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for the last %d predictions: %w", left, context.Cause(ctx))
		}
	}
}
