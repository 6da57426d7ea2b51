package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sluice-ml/sluice/deploy/bench/lab"
	"github.com/sluice-ml/sluice/deploy/bench/proxy"
	"github.com/sluice-ml/sluice/deploy/bench/stats"
	"github.com/sluice-ml/sluice/internal/failpoint"
)

// measured runs a measuring kind: records come in until it has done.
func measured(do func(r *run, ctx context.Context) error) func(*run, context.Context, <-chan error) error {
	return func(r *run, ctx context.Context, loaded <-chan error) (err error) {
		if err := do(r, ctx); err != nil {
			return err
		}
		close(r.enough)
		if err := <-loaded; err != nil {
			return err
		}
		if err := r.CaughtUp(ctx, r.setup.Group, r.setup.Input); err != nil {
			return err
		}
		return lab.Pause(ctx, time.Second) // the last outputs count, too
	}
}

// took enters a time.
func (r *run) took(name string, d time.Duration) {
	r.times[name] = append(r.times[name], d.Seconds())
}

// settle waits, some time that differs, until all is quiet again.
func (r *run) settle(ctx context.Context) error {
	return lab.Pause(ctx, 1500*time.Millisecond+time.Duration(r.random.IntN(1000))*time.Millisecond)
}

// recovery measures the time from a harm to the first new output.
func (r *run) recovery(ctx context.Context) error {
	return r.each(ctx, r.recoverKill, r.inherit, r.recoverJoin, r.recoverCut, r.recoverBroker)
}

// heirs is the part of recovery that waits for sessions to end.
func (r *run) heirs(ctx context.Context) error { return r.each(ctx, r.inherit) }

// each does each harm as often as asked.
func (r *run) each(ctx context.Context, harms ...func(context.Context) error) error {
	for _, one := range harms {
		for range r.harms {
			if err := r.settle(ctx); err != nil {
				return err
			}
			if err := one(ctx); err != nil {
				return err
			}
			r.harmed++
		}
	}
	return nil
}

func (r *run) recoverKill(ctx context.Context) error {
	i := r.random.IntN(regular)
	partitions, err := r.owned(ctx, i)
	if err != nil {
		return err
	}
	moment := time.Now()
	r.members[i].Kill()
	if err := r.launch(ctx, i); err != nil {
		return err
	}
	d, err := r.watch.first(ctx, moment, partitions)
	r.took("kill -9, started again at once under its name, to the first new output of its partitions", d)
	return errors.Join(err, r.members[i].Ready(ctx))
}

// inherit lets a member die inside a commit and stay away: its heir may not wait for the
// transaction's timeout, only for the session's.
func (r *run) inherit(ctx context.Context) error {
	place := failpoint.TxnOffsets
	if r.delivery == atLeastOnce {
		place = failpoint.Committing
	}
	i := r.random.IntN(regular)
	if err := r.end(i); err != nil {
		return err
	}
	r.env[i] = []string{"SLUICE_FAILPOINT=" + place + "/30"}
	err := r.launch(ctx, i)
	r.env[i] = nil
	if err != nil {
		return err
	}
	owner := r.members[i]
	partitions, err := r.owned(ctx, i)
	if err != nil {
		return err
	}
	select {
	case <-owner.Waited:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	d, err := r.watch.first(ctx, time.Now(), partitions)
	r.took(fmt.Sprintf("killed between the positions and the end of a commit, without return: to the first new output of its partitions (session timeout %v)", session), d)
	return errors.Join(err, r.start(ctx, i))
}

// owned are the partitions of member i, as the group's coordinator says.
func (r *run) owned(ctx context.Context, i int) (partitions []int32, err error) {
	limit, cancel := context.WithTimeoutCause(ctx, 30*time.Second, fmt.Errorf("member %s has no partitions", instance(i)))
	defer cancel()
	for {
		groups, err := r.Admin.DescribeGroups(limit, r.setup.Group)
		if err == nil {
			for _, m := range groups[r.setup.Group].Members {
				if m.InstanceID != nil && *m.InstanceID == instance(i) {
					if a, ok := m.Assigned.AsConsumer(); ok {
						for _, t := range a.Topics {
							partitions = append(partitions, t.Partitions...)
						}
					}
				}
			}
		}
		if len(partitions) > 0 {
			return partitions, nil
		}
		if err := lab.Pause(limit, 100*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// recoverJoin lets a third member join and leave; what counts is the longest time
// that a partition had no output meanwhile.
func (r *run) recoverJoin(ctx context.Context) error {
	moment := time.Now()
	if err := r.start(ctx, regular); err != nil {
		return err
	}
	if err := r.settle(ctx); err != nil {
		return err
	}
	r.took("a member joins: longest pause of a partition", longest(r.watch.pauses(moment, time.Now())))
	moment = time.Now()
	if err := r.end(regular); err != nil {
		return err
	}
	err := r.settle(ctx)
	r.took("a member leaves: longest pause of a partition", longest(r.watch.pauses(moment, time.Now())))
	return err
}

func longest(pauses map[int32]time.Duration) (d time.Duration) {
	for _, p := range pauses {
		d = max(d, p)
	}
	return d
}

func (r *run) recoverCut(ctx context.Context) error {
	r.proxy.Set(proxy.Fault{Mode: proxy.Silence})
	err := lab.Pause(ctx, 10*time.Second)
	moment := time.Now()
	r.proxy.Set(proxy.Fault{})
	if err != nil {
		return err
	}
	d, err := r.watch.first(ctx, moment, nil)
	r.took("10 s without a network, from their end to the first new output", d)
	return err
}

func (r *run) recoverBroker(ctx context.Context) error {
	moment := time.Now()
	if err := r.killBroker(ctx); err != nil {
		return err
	}
	up := time.Now()
	d, err := r.watch.first(ctx, moment, nil)
	r.took("kill -9 of the broker, started again, to the first new output", d)
	r.took("kill -9 of the broker, from when it takes connections again", max(d-up.Sub(moment), 0))
	return err
}

// sigterm ends one of the two again and again under load.
func (r *run) sigterm(ctx context.Context) error {
	for range r.harms {
		if err := r.settle(ctx); err != nil {
			return err
		}
		i := r.random.IntN(regular)
		code, took, err := r.members[i].Stop()
		r.codes[code]++
		r.took("SIGTERM to the end of the process", took)
		if err := errors.Join(err, r.start(ctx, i)); err != nil {
			return err
		}
		r.harmed++
	}
	return nil
}

// rolling restarts three members one after the other, as an upgrade does.
func (r *run) rolling(ctx context.Context) error {
	for range r.harms {
		for i := range r.harm.members {
			if err := lab.Pause(ctx, 4*time.Second); err != nil {
				return err
			}
			moment := time.Now()
			if err := errors.Join(r.end(i), r.start(ctx, i)); err != nil {
				return err
			}
			if err := r.settle(ctx); err != nil {
				return err
			}
			for p, d := range r.watch.pauses(moment, time.Now()) {
				r.took(fmt.Sprintf("a member of three restarts: pause of partition %d", p), d)
			}
			r.harmed++
		}
	}
	return nil
}

// latencyFigures are quantiles of publish to prediction, in seconds, over the whole
// run of a measuring kind.
func (r *run) latencyFigures() map[string]float64 {
	s := r.watch.latencies()
	if len(s) == 0 {
		return nil
	}
	return map[string]float64{"p50": stats.Quantile(s, 0.5), "p99": stats.Quantile(s, 0.99), "p99.9": stats.Quantile(s, 0.999), "max": slices.Max(s)}
}
