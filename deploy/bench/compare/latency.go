package main

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-ml/sluice/deploy/bench/lab"
)

const (
	warmup = 10 * time.Second
	// A search's trial is short: it only has to tell whether a backlog grows.
	trialWarmup, trial = 5 * time.Second, 10 * time.Second
	trials             = 6
	// confirmed is how long a rate must hold to count, and tries how often a lower
	// one is tried.
	confirmed = time.Minute
	tries     = 5
	// pleasant is the p99 below which a rate counts as pleasant.
	pleasant = 50.0 // ms
)

// found is the outcome of a search for the highest rate that something holds at.
type found struct {
	Rate float64          `json:"rate"`
	Seen []*lab.Latencies `json:"seen"` // the trials
}

func (f *found) line() string { return fmt.Sprintf("%.0f/s after %d trials", f.Rate, len(f.Seen)) }

// Variants of the point latency that are searches.
const (
	capacity  = "capacity"
	sustained = "sustained for 60 s"
	smooth    = "p99 below 50 ms"
)

// planLatency searches every rival's capacity with the generator on the same
// cores, then loads all at the same shares of the best one's, then searches
// sluice's own limits. Without shares only the floor's rate is offered.
func planLatency(b *bench) (steps []step) {
	p, err := lab.PayloadNamed(b.latencyPayload)
	if err != nil {
		panic("BUG: the payload was checked: " + err.Error())
	}
	shares := split(b.rates)
	for _, c := range b.rotated(p.Name, 0) {
		if !c.Null && len(shares) > 0 {
			steps = append(steps, step{once: true, key: key{"latency", p.Name, c.Name, capacity, 0}, guess: trials * 20 * time.Second, do: func(ctx context.Context, g *leg) (err error) {
				g.Search, err = b.search(ctx, c, p, func(l *lab.Latencies) bool { return l.Sustained })
				return err
			}})
		}
	}
	for round := range b.rounds {
		for _, share := range shares {
			for _, c := range b.rotated(p.Name, round) {
				steps = append(steps, b.loadStep(c, p, share+" %", round, func() float64 {
					percent, _ := strconv.ParseFloat(share, 64) // checked with the flags
					return b.store.bestCapacity(p.Name) * percent / 100
				}))
			}
		}
		for _, c := range b.rotated(p.Name, round) {
			steps = append(steps, b.loadStep(c, p, fmt.Sprintf("%.0f/s", b.floor), round, func() float64 { return b.floor }))
		}
	}
	c := b.contender("sluice")
	if c == nil || len(shares) == 0 {
		return steps
	}
	steps = append(steps, step{once: true, key: key{"latency", p.Name, c.Name, sustained, 0}, guess: 2 * 90 * time.Second, do: func(ctx context.Context, g *leg) (err error) {
		g.Search, err = b.confirm(ctx, c, p, b.store.searched(p.Name, c.Name, capacity), 0.97, func(l *lab.Latencies) bool { return l.Sustained })
		return err
	}})
	fast := func(l *lab.Latencies) bool { return l.Sustained && l.P99 < pleasant }
	return append(steps, step{once: true, key: key{"latency", p.Name, c.Name, smooth, 0}, guess: trials*20*time.Second + 2*90*time.Second, do: func(ctx context.Context, g *leg) error {
		first, err := b.search(ctx, c, p, fast)
		if err != nil {
			return err
		}
		g.Search, err = b.confirm(ctx, c, p, first.Rate, 0.96, fast)
		return err
	}})
}

// loadStep is a step at a rate that is known by then.
func (b *bench) loadStep(c *lab.Contender, p *lab.Payload, variant string, round int, rate func() float64) step {
	return step{key: key{"latency", p.Name, c.Name, variant, round}, guess: warmup + b.duration + 10*time.Second, do: func(ctx context.Context, g *leg) (err error) {
		r := rate()
		if !(r >= 1) || math.IsInf(r, 0) {
			g.Latency = &lab.Latencies{Void: "no rival's capacity is known"}
			return nil
		}
		g.Latency, err = b.Latency(ctx, b.offerOf(c, p, r, warmup, b.duration, uint64(round)))
		return err
	}}
}

func (b *bench) offerOf(c *lab.Contender, p *lab.Payload, rate float64, warmup, duration time.Duration, seed uint64) lab.Offer {
	return lab.Offer{
		Contender: c, Payload: p, Rate: rate, Warmup: warmup, Duration: duration, Seed: seed,
		Label: strings.Join([]string{"latency", p.Name, c.Name, fmt.Sprintf("%.0f", rate)}, "."),
	}
}

// search bisects for the highest rate at which good holds, from 1,000/s up; the
// upper end doubles until it does not hold.
func (b *bench) search(ctx context.Context, c *lab.Contender, p *lab.Payload, good func(*lab.Latencies) bool) (*found, error) {
	f := &found{}
	low, high := 0.0, math.Inf(1)
	next := 8000.0
	if m := b.store.median(key{"drain", p.Name, c.Name, "", 0}, rate); m > 0 {
		next = m / 2 // of the cores the generator and its consumer take about a half
	}
	for range trials {
		l, err := b.Latency(ctx, b.offerOf(c, p, next, trialWarmup, trial, 0))
		if err != nil {
			return nil, err
		}
		f.Seen = append(f.Seen, l)
		if l.Void == "" && good(l) {
			low = next
		} else {
			high = next
		}
		switch {
		case math.IsInf(high, 0):
			next = low * 1.6
		case low == 0:
			next = high / 2
		default:
			next = (low + high) / 2
		}
	}
	f.Rate = low
	return f, nil
}

// confirm runs a rate for a minute, and lower ones by the factor, until good holds.
func (b *bench) confirm(ctx context.Context, c *lab.Contender, p *lab.Payload, rate, factor float64, good func(*lab.Latencies) bool) (*found, error) {
	f := &found{}
	for range tries {
		if !(rate >= 1) {
			return f, nil
		}
		l, err := b.Latency(ctx, b.offerOf(c, p, rate, warmup, confirmed, 0))
		if err != nil {
			return nil, err
		}
		f.Seen = append(f.Seen, l)
		if l.Void == "" && good(l) {
			f.Rate = rate
			return f, nil
		}
		rate *= factor
	}
	return f, nil
}

// searched is the rate that a search found, NaN without one.
func (s *store) searched(payload, contender, variant string) float64 {
	g := s.get(key{"latency", payload, contender, variant, 0})
	if g == nil || g.Search == nil {
		return math.NaN()
	}
	return g.Search.Rate
}

// bestCapacity is the highest capacity of a rival.
func (s *store) bestCapacity(payload string) float64 {
	best := math.NaN()
	for _, name := range s.contenders("latency", payload) {
		if r := s.searched(payload, name, capacity); isRival(name) && r > 0 && !(best >= r) {
			best = r
		}
	}
	return best
}
