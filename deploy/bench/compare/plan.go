package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/sluice-ml/sluice/deploy/bench/lab"
)

// step is a leg to be done. Guess is how long it takes as long as nothing like
// it was measured.
type step struct {
	key   key
	guess time.Duration
	do    func(context.Context, *leg) error
	once  bool // also when the machine is noisy: a search repeats by itself
	// drains says that it drains a topic, which a new broker must be warm for.
	drains bool
}

// maxRepeats is how often a leg is done again that saw others on the machine.
const maxRepeats = 2

// planners give a point's steps, in the order in which they are done.
var planners = map[string]func(*bench) []step{}

func init() {
	planners["drain"] = planDrain
	planners["memory"] = planMemory
	planners["limits"] = planLimits
	planners["batching"] = planBatching
	planners["growth"] = planGrowth
	planners["latency"] = planLatency
}

func (b *bench) plan() []step {
	var all []step
	for _, point := range split(b.points) {
		for _, s := range planners[point](b) {
			if !slices.ContainsFunc(all, func(o step) bool { return o.key == s.key }) {
				all = append(all, s)
			}
		}
	}
	return all
}

// walk does the steps that are not done yet and tells how far it is.
func (b *bench) walk(ctx context.Context, steps []step) error {
	todo := slices.DeleteFunc(slices.Clone(steps), func(s step) bool { return b.store.get(s.key) != nil })
	if n := len(steps) - len(todo); n > 0 {
		fmt.Printf("%d of %d legs are done already\n", n, len(steps))
	}
	if err := b.warm(ctx, todo); err != nil {
		return err
	}
	for i, s := range todo {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		fmt.Printf("[%d/%d, about %s left] %s ... ", i+1, len(todo), b.left(todo[i:]).Round(time.Minute), s.key)
		g := leg{key: s.key, At: time.Now().UTC()}
		began := time.Now()
		var err error
		repeats := maxRepeats
		if s.once {
			repeats = 0
		}
		if g.Noise, err = b.Quietly(repeats, func() error {
			g.Drain, g.Latency, g.Limit, g.Search = nil, nil, nil, nil
			return s.do(ctx, &g)
		}); err != nil {
			fmt.Println("stopped")
			return fmt.Errorf("%s: %w", s.key, err)
		}
		g.Took = time.Since(began).Seconds()
		if err := b.store.add(g); err != nil {
			return err
		}
		fmt.Println(g.line())
	}
	return nil
}

// warmups is how many drains the broker has at most to compile what drains use, and
// level how many in a row must have cost it about what the cheapest did.
const (
	warmups = 12
	level   = 3
)

// warm does drains that do not count until the broker's CPU a message falls no
// more: a new one spends as much on compiling as on the messages, which the first
// contender would pay for. One that is no cheaper than those before may only have been
// disturbed.
//
// Transactions run other code of the broker, so who uses them warms it once more.
func (b *bench) warm(ctx context.Context, todo []step) error {
	for _, wanted := range []func(step) bool{
		func(s step) bool { return s.drains },
		func(s step) bool { return s.drains && s.key.Contender == lab.ExactlyOnce },
	} {
		if i := slices.IndexFunc(todo, wanted); i >= 0 {
			if err := warmWith(ctx, todo[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func warmWith(ctx context.Context, s step) error {
	best, flat := math.Inf(1), 0
	for range warmups {
		var g leg
		if err := s.do(ctx, &g); err != nil {
			return fmt.Errorf("warm up: %w", err)
		}
		fmt.Printf("warm-up, does not count: %s\n", g.line())
		if g.Drain.Void != "" {
			return nil
		}
		if flat++; g.Drain.Broker < 0.9*best {
			flat = 0
		}
		if best = min(best, g.Drain.Broker); flat == level {
			return nil
		}
	}
	return nil
}

// left is how long steps will take: as their like did, else as guessed.
func (b *bench) left(steps []step) time.Duration {
	sum := time.Duration(0)
	for _, s := range steps {
		took, n := 0.0, 0.0
		for _, g := range b.store.legs {
			if g.Round = s.key.Round; g.key == s.key {
				took, n = took+g.Took, n+1
			}
		}
		if n > 0 {
			sum += time.Duration(took / n * float64(time.Second))
		} else {
			sum += s.guess
		}
	}
	return sum
}

func (k key) String() string {
	words := []string{k.Point, k.Payload, k.Contender}
	if k.Variant != "" {
		words = append(words, k.Variant)
	}
	return fmt.Sprintf("%s, round %d", strings.Join(words, " "), k.Round+1)
}

// line is a leg in one line.
func (g *leg) line() string {
	text := ""
	switch {
	case g.Drain != nil && g.Drain.Void != "":
		text = "VOID: " + g.Drain.Void
	case g.Drain != nil:
		text = fmt.Sprintf("%.0f msg/s, CPU s per million %.1f (broker %.1f), peak %d MiB", g.Drain.Rate, g.Drain.CPU, g.Drain.Broker, g.Drain.Peak>>20)
	case g.Latency != nil && g.Latency.Void != "":
		text = "VOID: " + g.Latency.Void
	case g.Latency != nil:
		text = fmt.Sprintf("%.0f/s: p50 %.2f, p99 %.2f, p99.9 %.2f ms, sustained %v", g.Latency.Rate, g.Latency.P50, g.Latency.P99, g.Latency.P999, g.Latency.Sustained)
	case g.Limit != nil:
		text = g.Limit.line()
	case g.Search != nil:
		text = g.Search.line()
	}
	if g.Noise.Noisy() {
		text += fmt.Sprintf(" (noisy: %.0f %% slower, steal %.0f %%, repeats %d)", 100*g.Noise.Deviation, 100*g.Noise.Steal, g.Noise.Repeats)
	}
	return text
}

// drainStep is a step that drains.
func (b *bench) drainStep(k key, t lab.Task) step {
	t.Label = strings.Join([]string{k.Point, k.Payload, k.Contender, k.Variant}, ".")
	return step{key: k, guess: 20 * time.Second, drains: true, do: func(ctx context.Context, g *leg) (err error) {
		g.Drain, err = b.Drain(ctx, t)
		return err
	}}
}

// rotated gives the contenders that can do a payload, each round beginning with
// another one.
func (b *bench) rotated(payload string, round int) []*lab.Contender {
	var able []*lab.Contender
	for _, c := range b.contenders {
		if c.Can(payload) {
			able = append(able, c)
		}
	}
	if len(able) == 0 {
		return nil
	}
	n := round % len(able)
	return slices.Concat(able[n:], able[:n])
}

func planDrain(b *bench) (steps []step) {
	for round := range b.rounds {
		for _, p := range b.payloads {
			for _, c := range b.rotated(p.Name, round) {
				steps = append(steps, b.drainStep(key{"drain", p.Name, c.Name, "", round}, lab.Task{Contender: c, Payload: p, Records: p.Records(b.records), Partitions: int32(b.partitions)}))
			}
		}
	}
	return steps
}

// planMemory needs the json drains: a backlog is the hardest case of memory.
func planMemory(b *bench) (steps []step) {
	p := lab.Payloads[0]
	for round := range b.rounds {
		for _, c := range b.rotated(p.Name, round) {
			steps = append(steps, b.drainStep(key{"drain", p.Name, c.Name, "", round}, lab.Task{Contender: c, Payload: p, Records: p.Records(b.records), Partitions: int32(b.partitions)}))
		}
	}
	return steps
}
