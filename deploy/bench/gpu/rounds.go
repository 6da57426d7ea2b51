package main

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/sluice-ml/sluice/deploy/bench/lab"
)

// leg is one contender in one round; NaN where it has no such figure.
type leg struct {
	rate, p95ms float64
	batch       float64
}

// page is what was measured.
type page struct {
	*bench
	began  time.Time
	sweep  *sweep
	chosen int              // workers of sluice, the best of a first drain each
	legs   map[string][]leg // by contender, one a round
	order  []string         // the contenders, as first measured
	worst  float64          // the largest distance of an output from its reference
	kafkaN int              // records of a leg over Kafka
}

// The contenders beside those of sluice with so many workers.
const (
	rawCopies   = "onnxruntime alone, copies included"
	rawResident = "onnxruntime alone, on the device"
	pageable    = "sluice, pageable memory"
	closedTuned = "sluice, self-tuned, closed loop"
	closedOne   = "sluice, batch 1, closed loop"
	overKafka   = "sluice over Kafka"
)

func ours(workers int) string { return fmt.Sprintf("sluice, workers=%d", workers) }

// contender measures itself once.
type contender struct {
	name string
	do   func(ctx context.Context) (leg, error)
}

// measure chooses sluice's workers by a drain of each that does not count, then does the rounds, each beginning with
// another contender.
func (p *page) measure(ctx context.Context) error {
	p.legs = map[string][]leg{}
	largest, best := p.batches[len(p.batches)-1], 0.0
	for _, n := range p.workers {
		d, err := p.drain(ctx, setup{n, largest, hostPinned}, drainInFlight(largest))
		if err != nil {
			return err
		}
		p.log("warm-up: %s does %.0f/s in batches of %.0f", ours(n), d.rate, d.batch)
		if d.rate > best {
			best, p.chosen = d.rate, n
		}
	}
	p.kafkaN = int(min(400_000, max(2000, 2*p.seconds*best)))
	all := p.contenders(largest)
	for _, c := range all {
		p.order = append(p.order, c.name)
	}
	for round := range p.rounds {
		for i := range all {
			c := all[(i+round)%len(all)]
			l, err := c.do(ctx)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			p.log("round %d of %d: %s: %.0f/s", round+1, p.rounds, c.name, l.rate)
			p.legs[c.name] = append(p.legs[c.name], l)
		}
	}
	return nil
}

// The values of onnx.Config.HostMemory.
const (
	hostPinned   = "pinned"
	hostPageable = "pageable"
)

// drainInFlight is enough that 16 full batches wait: the device never does.
func drainInFlight(maxRows int) int { return 16 * maxRows }

func (p *page) contenders(largest int) []contender {
	raw := func(f figure) func(context.Context) (leg, error) {
		return func(ctx context.Context) (leg, error) {
			got, err := p.measureRaw(ctx, p.seconds, []spec{f.spec})
			if err != nil {
				return leg{}, err
			}
			return leg{got[0].Rate, math.NaN(), float64(f.spec.rows)}, nil
		}
	}
	drain := func(s setup, inFlight int) func(context.Context) (leg, error) {
		return func(ctx context.Context) (leg, error) {
			d, err := p.drain(ctx, s, inFlight)
			if err != nil {
				return leg{}, err
			}
			p.worst = max(p.worst, d.worst)
			return leg{d.rate, d.p95.Seconds() * 1e3, d.batch}, nil
		}
	}
	all := []contender{{rawCopies, raw(p.sweep.limit())}, {rawResident, raw(p.sweep.resident())}}
	for _, n := range p.workers {
		all = append(all, contender{ours(n), drain(setup{n, largest, hostPinned}, drainInFlight(largest))})
	}
	all = append(all,
		contender{pageable, drain(setup{p.chosen, largest, hostPageable}, drainInFlight(largest))},
		contender{closedTuned, drain(setup{p.chosen, largest, hostPinned}, p.inFlight)},
		contender{closedOne, drain(setup{p.chosen, 1, hostPinned}, p.inFlight)})
	if p.kafka {
		all = append(all, contender{overKafka, p.drainKafka})
	}
	return all
}

// drainKafka is the service on a topic, as in the bench beside the rivals.
func (p *page) drainKafka(ctx context.Context) (leg, error) {
	c, err := lab.Variant(fmt.Sprintf("sluice gpu=%s runtime.library=%s model.device=%s model.workers=%d model.batch.max_rows=%d",
		p.Bin, p.library, p.device, p.chosen, p.batches[len(p.batches)-1]))
	if err != nil {
		return leg{}, err
	}
	d, err := p.Drain(ctx, lab.Task{Contender: c, Payload: p.payload, Records: p.kafkaN, Label: "gpu", Tolerance: p.tolerance})
	if err != nil {
		return leg{}, err
	}
	if d.Void != "" {
		return leg{}, fmt.Errorf("its outputs do not count: %s", d.Void)
	}
	return leg{d.Rate, math.NaN(), math.NaN()}, nil
}
