package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every mutation still finds the code that it breaks, and changes it.
func TestMutationsApply(t *testing.T) {
	t.Chdir("../../..")
	for _, m := range mutations {
		dir := t.TempDir()
		overlay, err := m.apply(dir)
		if err != nil {
			t.Errorf("%s: %v", m.name, err)
			continue
		}
		list, err := os.ReadFile(overlay)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range m.edits {
			if !strings.Contains(string(list), e.file) {
				t.Errorf("%s: the overlay %s does not replace %s", m.name, list, e.file)
			}
		}
	}
}

func TestOutgrownMutationIsTold(t *testing.T) {
	t.Chdir("../../..")
	m := mutation{"old", "what is no more", []edit{{"pipeline/transaction.go", "no such text", ""}}}
	if _, err := m.apply(t.TempDir()); err == nil || !strings.Contains(err.Error(), "bring the mutation up to date") {
		t.Errorf("error %v", err)
	}
}

// A campaign that was stopped goes on with the seeds that have no result yet.
func TestSeedsOfTheJournalAreNotRunAgain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal")
	for _, seed := range []int{10, 11, 15} {
		if err := appendTo(path, result{Seed: seed, Faults: seed, Protocol: "V1"}); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"seed":12,"fau`); err != nil { // killed while it wrote
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(endLine(path), appendTo(path, result{Seed: 13})); err != nil {
		t.Fatal(err)
	}
	have, err := readJournal(path)
	if err != nil {
		t.Fatal(err)
	}

	c := &campaign{first: 10, seeds: 20, shard: 8}
	if first, n := c.missing(have, 10); first != 12 || n != 1 {
		t.Errorf("%d seeds from %d, want 1 from 12", n, first)
	}
	if first, n := c.missing(have, 15); first != 16 || n != 8 {
		t.Errorf("%d seeds from %d, want 8 from 16", n, first)
	}
	if first, n := c.missing(have, 28); first != 28 || n != 2 {
		t.Errorf("%d seeds from %d, want 2 from 28", n, first)
	}
	if s := tally(have, 10, 20); s.seeds != 4 || s.faults != 36 || s.fewest != 0 || s.most != 15 || s.protocols["V1"] != 3 || s.bound() != 0.75 {
		t.Errorf("sums %+v", s)
	}
}

func TestViolationsAreSummedUp(t *testing.T) {
	t.Parallel()
	s := tally(map[int]result{1: {Seed: 1}, 2: {Seed: 2, Violations: []string{"lost"}}}, 1, 2)
	if len(s.failed) != 1 || s.failed[0].Seed != 2 || s.bound() != 1 {
		t.Errorf("sums %+v", s)
	}
}
