package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// leg is one measured run of one contender.
type leg struct {
	rate   float64 // messages per second over the last 75 %
	cpu    float64 // CPU seconds per million messages, the contender's own processes
	memory int64   // peak resident bytes, summed over its processes
}

// contender is a program that drains a topic.
type contender struct {
	name  string
	start func(ctx context.Context, l *lab, codec, in, out, group string) ([]*service, error)
}

var contenders = []contender{
	{"sluice", startSluice},
	{"python x1", func(ctx context.Context, l *lab, codec, in, out, group string) ([]*service, error) {
		return startPython(ctx, l, 1, codec, in, out, group)
	}},
	{"python x2", func(ctx context.Context, l *lab, codec, in, out, group string) ([]*service, error) {
		return startPython(ctx, l, 2, codec, in, out, group)
	}},
}

func startSluice(ctx context.Context, l *lab, codec, in, out, group string) ([]*service, error) {
	s := setup{
		name: group, input: in, output: out, dlq: l.id + ".p7.dlq", group: group, codec: codec,
		model: l.model("mlp_784_32x4_10.onnx"), modelName: "mlp",
	}
	v, err := l.start(ctx, s, "")
	if err != nil {
		return nil, err
	}
	return []*service{v}, nil
}

func startPython(ctx context.Context, l *lab, n int, codec, in, out, group string) ([]*service, error) {
	var all []*service
	for i := range n {
		v, err := l.spawn(ctx, fmt.Sprintf("%s.python-%d", group, i), l.python, filepath.Join("deploy", "bench", "rivals", "python_loop.py"),
			strings.Join(l.brokers, ","), in, out, group, l.model("mlp_784_32x4_10.onnx"), codec)
		if err != nil {
			return all, err
		}
		all = append(all, v)
	}
	return all, nil
}

// finish stops a contender's processes and sums what they used.
func finish(all []*service) (cpu time.Duration, memory int64) {
	for _, v := range all {
		memory += v.peak()
	}
	for _, v := range all {
		_, _, _ = v.stop()
		cpu += v.cpu()
	}
	return cpu, memory
}

// drain lets one contender work off a preloaded topic.
func (l *lab) drain(ctx context.Context, c contender, codec, in string, round int) (*leg, error) {
	name := fmt.Sprintf("p7.%s.%s.%d", strings.ReplaceAll(c.name, " ", "-"), codec, round)
	config := "LogAppendTime"
	out, err := l.topic(ctx, name, map[string]*string{"message.timestamp.type": &config})
	if err != nil {
		return nil, err
	}
	defer l.drop(ctx, out)
	group := l.id + "." + name
	all, err := c.start(ctx, l, codec, in, out, group)
	if err == nil {
		err = l.filled(ctx, out, int64(l.records))
	}
	cpu, memory := finish(all)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	t, err := l.tallyOutputs(ctx, out, l.records, codec == "raw")
	if err != nil {
		return nil, err
	}
	if t.lost > 0 || t.wrong > 0 {
		return nil, fmt.Errorf("%s: void: lost %d, unlike the reference %d", name, t.lost, t.wrong)
	}
	rate, err := l.appendRate(ctx, out)
	return &leg{rate: rate, cpu: cpu.Seconds() / float64(l.records) * 1e6, memory: memory}, err
}

// filled waits until a topic holds n records.
func (l *lab) filled(ctx context.Context, topic string, n int64) error {
	limit, cancel := context.WithTimeout(ctx, 4*time.Minute)
	defer cancel()
	for {
		end, err := l.end(limit, topic)
		if err == nil && end >= n {
			return nil
		}
		if err := pause(limit, 50*time.Millisecond); err != nil {
			return fmt.Errorf("%d of %d outputs: %w", end, n, err)
		}
	}
}

// appendRate is records per second between the broker's append times, without
// the first quarter.
func (l *lab) appendRate(ctx context.Context, topic string) (float64, error) {
	var times []int64
	err := l.readAll(ctx, topic, func(r *kgo.Record) error {
		times = append(times, r.Timestamp.UnixMilli())
		return nil
	})
	if err != nil {
		return 0, err
	}
	slices.Sort(times)
	tail := times[len(times)/4:]
	return float64(len(tail)) / (float64(max(1, tail[len(tail)-1]-tail[0])) / 1000), nil
}

// firstFigures is point 7.
func firstFigures(ctx context.Context, l *lab) ([]fact, error) {
	inputs := map[string]string{}
	var err error
	if inputs["json"], err = l.inputs(ctx); err != nil {
		return nil, err
	}
	if inputs["raw"], err = l.rawInputs(ctx); err != nil {
		return nil, err
	}
	if _, err := l.topic(ctx, "p7.dlq", nil); err != nil {
		return nil, err
	}
	legs := map[string][]leg{}
	for round := range l.rounds {
		for _, codec := range []string{"json", "raw"} {
			for i := range contenders { // rotated order
				c := contenders[(i+round)%len(contenders)]
				got, err := l.drain(ctx, c, codec, inputs[codec], round)
				if err != nil {
					return nil, err
				}
				legs[codec+" "+c.name] = append(legs[codec+" "+c.name], *got)
				fmt.Printf("  round %d %s %s: %.0f msg/s, %.1f CPU s per million, %d MiB\n", round, codec, c.name, got.rate, got.cpu, got.memory>>20)
			}
		}
	}
	facts := table(legs, l.rounds)
	for _, codec := range []string{"json", "raw"} {
		rates := []float64{moderate}
		if l.rounds > 0 {
			rates = append(rates, median(legs[codec+" sluice"], func(g leg) float64 { return g.rate })/2)
		}
		for _, rate := range rates {
			more, err := l.latencies(ctx, codec, rate)
			if facts = append(facts, more...); err != nil {
				return facts, err
			}
		}
	}
	return facts, nil
}

// moderate is a rate in messages a second that every contender sustains on two
// cores beside the broker, the generator and the consumer. Half of a drain rate is
// more than two cores can generate and serve: its figures are those of a backlog.
const moderate = 2000

// errLate is a contender whose outputs had not come when the measurement ended.
var errLate = errors.New("no output a minute after the last input")

// latencies measures every contender at one rate.
func (l *lab) latencies(ctx context.Context, codec string, rate float64) (facts []fact, err error) {
	for _, c := range contenders {
		p50, p99, n, err := l.latency(ctx, c, codec, rate)
		value := fmt.Sprintf("p50 %s, p99 %s from the scheduled time to receipt, %d records", p50.Round(10*time.Microsecond), p99.Round(10*time.Microsecond), n)
		switch {
		case errors.Is(err, errLate):
			value = "not sustained: " + err.Error()
		case err != nil:
			return facts, err
		}
		facts = append(facts, fact{fmt.Sprintf("%s %s, %.0f msg/s open loop", codec, c.name, rate), value, true})
	}
	return facts, nil
}

func median(legs []leg, f func(leg) float64) float64 {
	var v []float64
	for _, g := range legs {
		v = append(v, f(g))
	}
	slices.Sort(v)
	return v[len(v)/2]
}

func table(legs map[string][]leg, rounds int) (facts []fact) {
	if rounds == 0 {
		return nil // latency only
	}
	for _, codec := range []string{"json", "raw"} {
		ours := legs[codec+" sluice"]
		for _, c := range contenders {
			his := legs[codec+" "+c.name]
			var ratios []float64
			for i := range his {
				ratios = append(ratios, ours[i].rate/his[i].rate)
			}
			slices.Sort(ratios)
			facts = append(facts, fact{
				fmt.Sprintf("drain %s %s, median of %d rounds", codec, c.name, rounds),
				fmt.Sprintf("%.0f msg/s, %.1f CPU s per million, peak %d MiB; sluice is %.2fx (paired, %.2f to %.2f)",
					median(his, func(g leg) float64 { return g.rate }), median(his, func(g leg) float64 { return g.cpu }),
					int64(median(his, func(g leg) float64 { return float64(g.memory >> 20) })),
					ratios[len(ratios)/2], ratios[0], ratios[len(ratios)-1]), true,
			})
		}
	}
	return facts
}

// latency offers records on an absolute Poisson schedule and measures from the
// scheduled instant, so that a slow system is not excused (no coordinated
// omission). 5 s of warm-up, 20 s measured.
func (l *lab) latency(ctx context.Context, c contender, codec string, rate float64) (p50, p99 time.Duration, n int, err error) {
	name := fmt.Sprintf("p7.latency.%s.%s.%.0f", strings.ReplaceAll(c.name, " ", "-"), codec, rate)
	in, err := l.topic(ctx, name, nil)
	if err != nil {
		return 0, 0, 0, err
	}
	out, err := l.topic(ctx, name+".out", nil)
	if err != nil {
		return 0, 0, 0, err
	}
	defer l.drop(ctx, in, out)
	all, err := c.start(ctx, l, codec, in, out, l.id+"."+name)
	defer finish(all)
	if err != nil {
		return 0, 0, 0, err
	}
	if err := pause(ctx, 5*time.Second); err != nil { // both are up and assigned
		return 0, 0, 0, err
	}
	total := int(rate * 25)
	scheduled := make([]time.Time, total)
	random := rand.New(rand.NewPCG(l.seed, 7))
	at := time.Now().Add(200 * time.Millisecond)
	for i := range scheduled {
		at = at.Add(time.Duration(random.ExpFloat64() / rate * 1e9))
		scheduled[i] = at
	}
	received, err := l.receive(ctx, out, total, func() error { return l.offer(ctx, in, codec, scheduled) })
	if err != nil {
		return 0, 0, 0, err
	}
	var waits []time.Duration
	for i := total / 5; i < total; i++ {
		if received[i].IsZero() {
			return 0, 0, 0, fmt.Errorf("%w: record %d of %d", errLate, i, total)
		}
		waits = append(waits, received[i].Sub(scheduled[i]))
	}
	slices.Sort(waits)
	return waits[len(waits)/2], waits[len(waits)*99/100], len(waits), nil
}

// tick is the generator's shortest sleep.
const tick = 300 * time.Microsecond

// offer publishes at the scheduled instants; payloads are made beforehand.
func (l *lab) offer(ctx context.Context, topic, codec string, scheduled []time.Time) error {
	payloads := make([][]byte, 1000)
	values := make([]float32, width)
	for i := range payloads {
		row(i, values)
		if codec == "raw" {
			payloads[i] = rawRow(nil, values)
		} else {
			payloads[i] = jsonRow(nil, i, "h0", values)
		}
	}
	for i, at := range scheduled {
		// Not a wake-up per record: those that are due meanwhile leave late by at
		// most tick, which their latency counts.
		if wait := time.Until(at); wait > 0 {
			if err := pause(ctx, max(wait, tick)); err != nil {
				return err
			}
		}
		l.client.Produce(ctx, &kgo.Record{Topic: topic, Key: key(i), Value: payloads[i%len(payloads)]}, nil)
	}
	return l.client.Flush(ctx)
}

// receive consumes out while send runs and notes when each key first came.
func (l *lab) receive(ctx context.Context, out string, n int, send func() error) ([]time.Time, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(l.brokers...), kgo.ConsumeTopics(out), kgo.FetchMaxWait(100*time.Millisecond),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	received := make([]time.Time, n)
	limit, cancel := context.WithTimeout(ctx, 90*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { // ends when all came or the time is over
		for left := n; left > 0 && limit.Err() == nil; {
			fetches := client.PollFetches(limit)
			now := time.Now()
			for _, r := range fetches.Records() {
				if i := index(string(r.Key)); i >= 0 && i < n && received[i].IsZero() {
					received[i] = now
					left--
				}
			}
		}
	})
	err = send()
	wg.Wait()
	return received, err
}
