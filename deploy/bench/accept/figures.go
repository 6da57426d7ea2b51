package main

import (
	"context"
	"fmt"
	"time"

	"github.com/sluice-ml/sluice/deploy/bench/lab"
	"github.com/sluice-ml/sluice/deploy/bench/stats"
)

// moderate is a rate in messages a second that every contender sustains on two
// cores beside the broker, the generator and the consumer.
const moderate = 2000

// firstFigures is point 7: a look at speed beside a Python loop. The comparison
// proper, with more rivals, payloads and rounds, is `make bench`.
func firstFigures(ctx context.Context, l *campaign) (facts []fact, err error) {
	contenders, err := lab.ContendersNamed([]string{"sluice", "python x1", "python x2"})
	if err != nil {
		return nil, err
	}
	for _, payload := range lab.Payloads[:2] { // json, raw
		rates := map[string][]float64{}
		var last map[string]*lab.Drained
		for round := range l.rounds {
			last = map[string]*lab.Drained{}
			for i := range contenders { // rotated order
				c := contenders[(i+round)%len(contenders)]
				d, err := l.Drain(ctx, lab.Task{Contender: c, Payload: payload, Records: l.records, Label: fmt.Sprintf("p7.%s.%s.%d", payload.Name, c.Name, round)})
				if err != nil {
					return facts, err
				}
				if d.Void != "" {
					return facts, fmt.Errorf("%s %s: void: %s", payload.Name, c.Name, d.Void)
				}
				rates[c.Name], last[c.Name] = append(rates[c.Name], d.Rate), d
			}
		}
		for _, c := range contenders {
			if l.rounds > 0 {
				ratio := stats.Paired(rates["sluice"], rates[c.Name])
				facts = append(facts, fact{
					fmt.Sprintf("drain %s %s, median of %d rounds", payload.Name, c.Name, l.rounds),
					fmt.Sprintf("%.0f msg/s; last round %.1f CPU s per million, peak %d MiB; sluice is %.2fx (paired, %.2f to %.2f)",
						stats.Median(rates[c.Name]), last[c.Name].CPU, last[c.Name].Peak>>20, ratio.Median, ratio.Low, ratio.High), true,
				})
			}
			g, err := l.Latency(ctx, lab.Offer{
				Contender: c, Payload: payload, Rate: moderate, Warmup: 5 * time.Second, Duration: 20 * time.Second,
				Seed: 7, Label: fmt.Sprintf("p7.latency.%s.%s", payload.Name, c.Name),
			})
			if err != nil {
				return facts, err
			}
			facts = append(facts, fact{
				fmt.Sprintf("%s %s, %d msg/s open loop", payload.Name, c.Name, moderate),
				fmt.Sprintf("p50 %.2f ms, p99 %.2f ms from the scheduled time to receipt, %d records, sustained %v %s", g.P50, g.P99, g.Count, g.Sustained, g.Void), g.Void == "",
			})
		}
	}
	return facts, nil
}
