package main

import (
	"strconv"
	"strings"

	"github.com/sluice-ml/sluice/internal/bench"
)

// parseRates reads --rates, or is the one rate. Rates go up, whatever their
// order.
func parseRates(text string, rate float64, steps int) ([]float64, error) {
	if text == "" {
		if !(rate > 0 && rate <= mostRate) {
			return nil, usageErrorf("--rate %v: more than 0, at most %d", rate, int(mostRate))
		}
		return []float64{rate}, nil
	}
	if low, high, isRange := strings.Cut(text, ".."); isRange {
		from, err := parseRate(low)
		if err != nil {
			return nil, err
		}
		to, err := parseRate(high)
		switch {
		case err != nil:
			return nil, err
		case from > to:
			return nil, usageErrorf("--rates %s: the first is above the second", text)
		case steps < 1 || steps > 100:
			return nil, usageErrorf("--steps %d: 1 to 100", steps)
		}
		return bench.Rates(from, to, steps), nil
	}
	var rates []float64
	for part := range strings.SplitSeq(text, ",") {
		r, err := parseRate(part)
		if err != nil {
			return nil, err
		}
		if len(rates) > 0 && r <= rates[len(rates)-1] {
			return nil, usageErrorf("--rates %s: write them from low to high, each once", text)
		}
		rates = append(rates, r)
	}
	return rates, nil
}

// mostRate is above what one process can send.
const mostRate = 1e7

func parseRate(text string) (float64, error) {
	r, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || !(r > 0 && r <= mostRate) {
		return 0, usageErrorf("--rates: %q is no rate; write 500..8000, or a list such as 500,1000,4000", text)
	}
	return r, nil
}

// spread reads --partition for a topic of that many partitions.
func (f *benchFlags) spread(partitions int32) (bench.Spread, error) {
	switch f.partition {
	case "key":
		return bench.ByKey, nil
	case "round-robin":
		return bench.RoundRobin, nil
	}
	n, err := strconv.ParseInt(f.partition, 10, 32)
	if err != nil || n < 0 {
		return nil, usageErrorf("--partition: %q is no way to choose partitions; write key, round-robin, or a number", f.partition)
	}
	if int32(n) >= partitions {
		return nil, usageErrorf("--partition %d: the topic has %d, counted from 0", n, partitions)
	}
	return bench.OnePartition(int32(n)), nil
}
