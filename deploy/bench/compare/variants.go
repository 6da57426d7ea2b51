package main

import (
	"fmt"

	"github.com/sluice-ml/sluice/deploy/bench/lab"
)

// tuned is the variant without any setting: batches tune themselves.
const tuned = "self-tuned"

// staticRows are the sweep of static batch sizes that the self-tuned one is held
// against; 1 is no batching.
var staticRows = []int{1, 8, 32, 128, 256, 1024}

// planBatching drains with batches as they come and with static sizes.
func planBatching(b *bench) (steps []step) {
	c := b.contender("sluice")
	if c == nil {
		return nil
	}
	for _, p := range []*lab.Payload{lab.Payloads[0], lab.Payloads[3]} { // json: a small model; tokens: a large one
		for round := range b.rounds {
			variants := []step{b.drainStep(key{"batching", p.Name, c.Name, tuned, round}, lab.Task{Contender: c, Payload: p, Records: p.Records(b.records)})}
			for _, rows := range staticRows {
				variants = append(variants, b.drainStep(key{"batching", p.Name, c.Name, fmt.Sprintf("max_rows=%d", rows), round}, lab.Task{
					Contender: c, Payload: p, Records: p.Records(b.records), Sets: []string{fmt.Sprintf("model.batch.max_rows=%d", rows)},
				}))
			}
			n := round % len(variants)
			steps = append(append(steps, variants[n:]...), variants[:n]...)
		}
	}
	return steps
}

// growth is one way in which a deployment grows, held against the usual one.
type growth struct {
	variant    string
	payload    *lab.Payload
	partitions int32
	members    int
	records    int // 0 is a third of the drain's
}

// usual is what the others are held against, by payload.
const usual = "4 partitions, 1 member"

var growths = []growth{
	{usual, lab.Payloads[0], 4, 1, 0},
	{"1 partition", lab.Payloads[0], 1, 1, 0},
	{"2 partitions", lab.Payloads[0], 2, 1, 0},
	{"8 partitions", lab.Payloads[0], 8, 1, 0},
	{"2 members", lab.Payloads[0], 4, 2, 0},
	{usual, lab.Payloads[2], 4, 1, 0},
	// Long enough that the broker's first writes to the index files of 1,000 new output
	// partitions (some 5 ms of CPU each) are not what is measured.
	{"1,000 partitions", lab.Payloads[2], 1000, 1, 800_000},
	{"100,000 waiting per partition", lab.Payloads[2], 4, 1, 400_000},
}

func planGrowth(b *bench) (steps []step) {
	c := b.contender("sluice")
	if c == nil {
		return nil
	}
	for round := range b.rounds {
		for i := range growths {
			v := growths[(i+round)%len(growths)]
			n := v.records
			if n == 0 {
				n = v.payload.Records(b.records) / 3
			}
			steps = append(steps, b.drainStep(key{"growth", v.payload.Name, c.Name, v.variant, round}, lab.Task{
				Contender: c, Payload: v.payload, Records: n, Partitions: v.partitions, Members: v.members,
			}))
		}
	}
	return steps
}
