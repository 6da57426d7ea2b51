package load

import (
	"context"
	"time"
)

// SendFunc sends the n-th record, counted from 0, which was due at the instant
// at. It is called from one goroutine, in order. It may block: then the later
// ones are sent late, all of them, at once, with the instants they were due at.
// An error ends the run.
type SendFunc func(ctx context.Context, n int64, at time.Time) error

// Generator sends what a schedule says until Duration has passed.
type Generator struct {
	Schedule *Schedule
	// Duration ends the schedule: what is due before it is sent, however late.
	Duration time.Duration
	// Tick is the shortest sleep: instead of a wake-up per record, what is due
	// meanwhile is sent late by at most that, which latency from the schedule
	// contains. Default 0.
	Tick time.Duration
	Send SendFunc
}

// Run sends and blocks until everything is sent, Send fails, or ctx is done
// (its cause). It returns how many were sent. start is instant 0 and may lie
// ahead.
func (g *Generator) Run(ctx context.Context, start time.Time) (sent int64, err error) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	now := time.Now()
	for {
		due := g.Schedule.Next()
		if due >= g.Duration {
			return sent, nil
		}
		at := start.Add(due)
		// The clock is read again only where it may be too early: what is
		// overdue goes out without a pause.
		if now.Before(at) {
			if now, err = waitUntil(ctx, timer, at, g.Tick); err != nil {
				return sent, err
			}
		}
		if ctx.Err() != nil {
			return sent, context.Cause(ctx)
		}
		if err := g.Send(ctx, sent, at); err != nil {
			return sent, err
		}
		sent++
	}
}

// waitUntil blocks until the instant at, for at least tick when it must, and
// returns the time then.
func waitUntil(ctx context.Context, timer *time.Timer, at time.Time, tick time.Duration) (time.Time, error) {
	for {
		now := time.Now()
		wait := at.Sub(now)
		if wait <= 0 {
			return now, nil
		}
		timer.Reset(max(wait, tick))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return now, context.Cause(ctx)
		}
	}
}
