package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sluice-ml/sluice/deploy/bench/lab"
)

// mutation breaks one rule on purpose.
type mutation struct {
	name, what string
	edits      []edit
}

// edit puts one text in the place of another in one file. The other must be there
// exactly once, so a mutation that the code has outgrown is told.
type edit struct{ file, old, text string }

var mutations = []mutation{
	{"I1", "outcomes are acknowledged although their transaction failed", []edit{{
		"producers/kafka/transaction_round.go",
		"		s.drop(c, fmt.Errorf(\"%w: %w\", pipeline.ErrRedo, err))\n		return false, err\n	}\n	s.outcomes.With(\"committed\")",
		"		s.settle(c, nil)\n		return false, err\n	}\n	s.outcomes.With(\"committed\")",
	}}},
	{"I2", "a position passes what is not settled", []edit{{
		"pipeline/transaction.go",
		"at < r.tail && r.at(at).state == entrySettled; at++", "at < r.tail; at++",
	}}},
	{"I3", "outcomes of an ended epoch enter a transaction (each of its three guards taken away)", []edit{{
		"pipeline/transaction.go",
		"	if p.closed {\n		return 0, false\n	}\n	r := &p.ring",
		"	if p.closed {\n		return p.position, true\n	}\n	r := &p.ring",
	}, {
		"consumers/kafka/transact.go",
		"	if found < len(moved) {\n		return nil, false\n	}\n", "",
	}, {
		"consumers/kafka/generation.go",
		"		t.Drop(pipeline.ErrRedo)\n", "		_ = t // its outcomes wait for the next generation\n",
	}}},
	{"order", "positions are committed before the outcomes, in a transaction of their own", []edit{{
		"producers/kafka/transaction.go",
		"	failpoint.Here(failpoint.TxnBegin)\n",
		"	failpoint.Here(failpoint.TxnBegin)\n" +
			"	if offsets != nil && !c.empty() {\n" +
			"		if err := t.offsets(ctx, offsets); err != nil {\n			return err\n		}\n" +
			"		next, err := t.end(ctx)\n		if err != nil {\n			return err\n		}\n" +
			"		if next != t.producer {\n			clear(t.sequences)\n		}\n" +
			"		t.producer, offsets = next, nil\n	}\n",
	}}},
	{"end", "a failed EndTxn is taken for done", []edit{{
		"producers/kafka/transaction.go",
		"	next, err := t.end(ctx)\n	if err != nil {\n		return err\n	}\n	failpoint.Here(failpoint.TxnEnded)",
		"	next, err := t.end(ctx)\n	if err != nil {\n		t.doubt = false\n		return nil\n	}\n	failpoint.Here(failpoint.TxnEnded)",
	}}},
	{"generation", "TxnOffsetCommit carries no generation and no member", []edit{{
		"consumers/kafka/transact.go",
		"Generation: g.id, MemberID: g.memberID, InstanceID: g.s.cfg.Instance,", "Generation: -1,",
	}}},
	{"stable", "offsets are read without RequireStable", []edit{{
		"consumers/kafka/start.go",
		"g.offsetsNeeded(meta, parts), true)", "g.offsetsNeeded(meta, parts), false)",
	}}},
	{"doubt", "a failed transaction is not aborted before the next one", []edit{{
		"producers/kafka/transaction.go",
		"	t.doubt, t.fate = true, ", "	t.doubt, t.fate = false, ",
	}}},
	{"late", "a repeated request may arrive in a later transaction of its epoch", []edit{{
		"producers/kafka/transaction.go",
		"t.producer, t.doubt = next, t.shaken || t.unanswered && !next.V2", "t.producer, t.doubt = next, false",
	}}},
	{"redo", "what a failed transaction held is not made again", []edit{{
		"consumers/kafka/transact.go",
		"	p.endEpoch()\n	p.phase, p.notBefore = opening, time.Time{}", "	p.notBefore = time.Time{}",
	}}},
}

// mutate runs the seeds on each mutation until one is noticed.
func (c *campaign) mutate(ctx context.Context, dir string) error {
	chosen := mutations
	if c.mutations != "all" {
		chosen = nil
		for _, name := range strings.Split(c.mutations, ",") {
			i := slices.IndexFunc(mutations, func(m mutation) bool { return m.name == name })
			if i < 0 {
				return fmt.Errorf("-mutations %q: no such one", name)
			}
			chosen = append(chosen, mutations[i])
		}
	}
	page := lab.Heading(ctx, "Mutations, and the simulator that must notice them", "make simulate")
	page.WriteString("\n| mutation | what is broken | noticed after seeds | by |\n| --- | --- | --- | --- |\n")
	var missed []string
	for _, m := range chosen {
		row, found, err := c.hunt(ctx, dir, m)
		if err != nil {
			return fmt.Errorf("mutation %s: %w", m.name, err)
		}
		if !found {
			missed = append(missed, m.name)
		}
		fmt.Print(row)
		page.WriteString(row)
	}
	if err := c.write(page.String()); err != nil {
		return err
	}
	if len(missed) > 0 {
		return fmt.Errorf("not noticed within %d seeds: %s", c.seeds, strings.Join(missed, ", "))
	}
	return nil
}

// hunt builds the broken code and runs seeds until one fails.
func (c *campaign) hunt(ctx context.Context, dir string, m mutation) (row string, found bool, err error) {
	overlay, err := m.apply(dir)
	if err != nil {
		return "", false, err
	}
	broken := *c
	broken.binary = filepath.Join(dir, m.name+".test")
	if err := build(ctx, broken.binary, overlay); err != nil {
		return "", false, err
	}
	journal := filepath.Join(dir, m.name+".jsonl")
	step := min(10, c.shard)
	for first := c.first; first < c.first+c.seeds; first += step {
		out, runErr := broken.seedsFrom(ctx, first, step, journal)
		if ctx.Err() != nil {
			return "", false, context.Cause(ctx)
		}
		have, err := readJournal(journal)
		if err != nil {
			return "", false, err
		}
		if failed := tally(have, first, step).failed; len(failed) > 0 {
			return m.row(fmt.Sprint(failed[0].Seed-c.first+1), failed[0].Violations[0]), true, nil
		}
		if runErr != nil { // a process that dies of it has noticed as well
			_, text, _ := strings.Cut(string(out), "panic: ")
			text, _, _ = strings.Cut(text, "\n")
			return m.row(fmt.Sprintf("at most %d", first-c.first+step), "the process died: "+text), true, nil
		}
	}
	return m.row(fmt.Sprintf("not in %d", c.seeds), ""), false, nil
}

func (m mutation) row(seeds, by string) string {
	return fmt.Sprintf("| %s | %s | %s | %.160s |\n", m.name, m.what, seeds, strings.ReplaceAll(by, "|", "/"))
}

// apply writes the changed files and the overlay that puts them in place.
func (m mutation) apply(dir string) (overlay string, err error) {
	replace := map[string]string{}
	for i, e := range m.edits {
		file, err := filepath.Abs(e.file)
		if err != nil {
			return "", err
		}
		source, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		if n := strings.Count(string(source), e.old); n != 1 {
			return "", fmt.Errorf("%s has the text to be changed %d times, want once: bring the mutation up to date", e.file, n)
		}
		replace[file] = filepath.Join(dir, fmt.Sprintf("%s-%d.go", m.name, i))
		if err := os.WriteFile(replace[file], []byte(strings.Replace(string(source), e.old, e.text, 1)), 0o644); err != nil {
			return "", err
		}
	}
	list, err := json.Marshal(map[string]map[string]string{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay = filepath.Join(dir, m.name+".json")
	return overlay, os.WriteFile(overlay, list, 0o644)
}
