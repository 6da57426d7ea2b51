package main

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/sluice-ml/sluice/deploy/bench/lab"
)

const (
	// fullChunk is how many records are sent at a time at full load: a guess, enough to
	// keep the members behind.
	fullChunk = 4000
	// fullWarm and fullFor are how long full load lasts before, and while, it is measured.
	fullWarm, fullFor = 4 * time.Second, 8 * time.Second
	// leastFull is a rate below which nothing was measured.
	leastFull = 100
)

// calibrate finds half of the rate that the members sustain with the load on the same
// cores: records come in as fast as the broker takes them, and outcomes are counted.
func (r *run) calibrate(ctx context.Context) error {
	if !r.harm.measures {
		return errors.New("-rate 0 is for kinds that measure: recovery, sigterm, rolling")
	}
	rate, err := r.full(ctx)
	if err != nil {
		return err
	}
	if rate < leastFull {
		return errors.New("the members had hardly any outcomes under full load")
	}
	r.rate = rate / 2
	r.watch.begin()
	return r.CaughtUp(ctx, r.setup.Group, r.setup.Input)
}

// full is how many outcomes a second there are under full load.
func (r *run) full(ctx context.Context) (rate int, err error) {
	began, from, before := time.Now(), time.Time{}, int64(0)
	for {
		if err := r.publish(ctx, r.before, r.before+fullChunk); err != nil {
			return 0, err
		}
		r.before += fullChunk
		switch t := time.Since(began); {
		case t < fullWarm:
		case from.IsZero():
			if before, err = r.outcomes(ctx); err != nil {
				return 0, err
			}
			from = time.Now()
		case time.Since(from) > fullFor:
			after, err := r.outcomes(ctx)
			return int(float64(after-before) / time.Since(from).Seconds()), err
		}
		// The broker takes more than can be read back in a minute: a lead of some seconds
		// is enough.
		for ahead := true; ahead; {
			done, err := r.outcomes(ctx)
			if err != nil {
				return 0, err
			}
			if ahead = int64(r.before)-done > 50*fullChunk; ahead {
				if err := lab.Pause(ctx, 20*time.Millisecond); err != nil {
					return 0, err
				}
			}
		}
	}
}

// outcomes is how many there are to be seen in read_committed; markers of transactions
// count, too, some tens a second.
func (r *run) outcomes(ctx context.Context) (n int64, err error) {
	ends, err := r.Admin.ListCommittedOffsets(ctx, r.setup.Output, r.setup.DLQ)
	if err != nil {
		return 0, err
	}
	ends.Each(func(o kadm.ListedOffset) { n += o.Offset })
	return n, ends.Error()
}
