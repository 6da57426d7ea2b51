package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sluice-ml/sluice/deploy/bench/lab"
)

// sums is many results as one.
type sums struct {
	seeds, faults, fewest, most int
	protocols, kinds            map[string]int
	records, outputs, letters   int
	twice                       int
	aborted, processes          int
	virtual                     time.Duration
	failed                      []result
}

// tally sums the results of seeds from first on.
func tally(have map[int]result, first, n int) *sums {
	s := &sums{protocols: map[string]int{}, kinds: map[string]int{}}
	for seed := first; seed < first+n; seed++ {
		r, ok := have[seed]
		if !ok {
			continue
		}
		s.seeds++
		s.faults += r.Faults
		if s.seeds == 1 || r.Faults < s.fewest {
			s.fewest = r.Faults
		}
		s.most = max(s.most, r.Faults)
		s.protocols[r.Protocol]++
		for kind, n := range r.Kinds {
			s.kinds[kind] += n
		}
		s.records += r.Records
		s.outputs += r.Outputs
		s.letters += r.Letters
		s.twice += r.Twice
		s.aborted += r.Aborted
		s.processes += r.Processes
		s.virtual += time.Duration(r.Virtual * float64(time.Second))
		if len(r.Violations) > 0 {
			s.failed = append(s.failed, r)
		}
	}
	return s
}

// String is the summary line.
func (s *sums) String() string {
	return fmt.Sprintf("%d seeds, %d faults (%d to %d a seed), %d records, %d aborted transactions, %v of virtual time, %d seeds with violations",
		s.seeds, s.faults, s.fewest, s.most, s.records, s.aborted, s.virtual.Round(time.Second), len(s.failed))
}

// conclude prints the summary and writes the page; violations are an error.
func (c *campaign) conclude(ctx context.Context, have map[int]result, ran int, took time.Duration) error {
	s := tally(have, c.first, c.seeds)
	fmt.Println(s)
	if ran > 0 {
		fmt.Printf("%d seeds in %v now: %.1f a second, %d at once\n", ran, took.Round(time.Second), float64(ran)/took.Seconds(), c.jobs)
	}
	if err := c.write(c.page(ctx, s, ran, took)); err != nil {
		return err
	}
	if len(s.failed) > 0 {
		return fmt.Errorf("%w in %d of %d seeds; the first again: make simulate ARGS=\"-v -delivery %s -first %d\"", errFound, len(s.failed), s.seeds, c.delivery, s.failed[0].Seed)
	}
	return nil
}

func (c *campaign) page(ctx context.Context, s *sums, ran int, took time.Duration) string {
	b := lab.Heading(ctx, "Simulated seeds, "+c.delivery, "make simulate")
	outcome := "one outcome per input"
	if c.delivery == atLeastOnce {
		outcome = "an outcome per input at least (faults of transactions have nothing to hit)"
	}
	fmt.Fprintf(b, "\nThe whole pipeline but the model runtime, on kfake with three brokers, in virtual time. Two named processes and a guest; per seed a plan of faults; "+
		"checked: %s, the right one, order per partition, positions, counts of outcomes.\n\n| figure | value |\n| --- | --- |\n", outcome)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(b, "| %s | %s |\n", name, fmt.Sprintf(format, args...))
	}
	row("seeds", "%d from %d on: %d with the first transaction protocol, %d with KIP-890", s.seeds, c.first, s.protocols["V1"], s.protocols["V2"])
	if len(s.failed) > 0 {
		row("seeds with violations", "%d", len(s.failed)) // no bound on what is there
	} else {
		row("seeds with violations", "0 (at 95%% below %.2g of the seeds)", s.bound())
	}
	row("faults", "%d, %d to %d a seed", s.faults, s.fewest, s.most)
	row("records", "%d: %d outputs, %d dead letters", s.records, s.outputs, s.letters)
	if c.delivery == atLeastOnce {
		row("outcomes beyond the first", "%d", s.twice)
	} else {
		row("transactions aborted", "%d", s.aborted)
	}
	row("processes started", "%d", s.processes)
	row("virtual time", "%v", s.virtual.Round(time.Second))
	if ran > 0 {
		row("speed", "%d of the seeds in %v, %.1f a second, %d at once", ran, took.Round(time.Second), float64(ran)/took.Seconds(), c.jobs)
	}
	b.WriteString("\n| fault | how often |\n| --- | --- |\n")
	for _, kind := range slices.Sorted(maps.Keys(s.kinds)) {
		row(kind, "%d", s.kinds[kind])
	}
	for _, r := range s.failed {
		fmt.Fprintf(b, "\n## Seed %d\n\n`make simulate ARGS=\"-v -delivery %s -first %d\"`\n\n", r.Seed, c.delivery, r.Seed)
		for _, v := range r.Violations {
			fmt.Fprintf(b, "- %s\n", v)
		}
	}
	return b.String()
}

// bound is the share of seeds that may fail, at 95 %: three in n when none did.
func (s *sums) bound() float64 {
	if len(s.failed) > 0 || s.seeds == 0 {
		return 1
	}
	return 3 / float64(s.seeds)
}
