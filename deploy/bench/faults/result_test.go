package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func save(t *testing.T, folder string, r result) {
	t.Helper()
	if err := r.save(folder); err != nil {
		t.Fatal(err)
	}
}

func TestResumeSkipsOnlyWhatIsFinishedAsAsked(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "new")
	asked := result{Kind: "kill", Delivery: exactlyOnce, Seed: 3, Records: 100, Rate: 10}
	if asked.finished(folder) {
		t.Error("finished without a file")
	}
	done := asked
	done.Verdict, done.Twice, done.Codes, done.Bound = violated, 7, map[int]int{0: 2}, 9
	save(t, folder, done)
	if !asked.finished(folder) {
		t.Error("a run with a verdict is not finished")
	}
	if again, err := readResult(asked.path(folder)); err != nil || again.Twice != 7 || again.Codes[0] != 2 || again.Bound != 9 {
		t.Errorf("read back as %+v, %v", again, err)
	}
	for name, change := range map[string]func(*result){
		"stopped":   func(r *result) { r.Verdict = stopped },
		"smaller":   func(r *result) { r.Records = 50 },
		"slower":    func(r *result) { r.Rate = 5 },
		"otherwise": func(r *result) { r.Seed = 4 },
	} {
		other := filepath.Join(t.TempDir(), name)
		r := done
		change(&r)
		save(t, other, r)
		if asked.finished(other) {
			t.Errorf("a run that is %s counts as this one", name)
		}
	}
}

func TestPageAddsSeedsAndLeavesOutWhatWasStopped(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for seed, twice := range []int{2, 3} {
		save(t, folder, result{
			Kind: "kill", Title: "kills", Delivery: atLeastOnce, Seed: uint64(seed), Verdict: held, Records: 1000, Rate: 10, Harmed: 4,
			tally: tally{Outcomes: 1000 + twice, Twice: twice, Bound: 50}, Times: map[string][]float64{"kill": {1, 2, float64(3 + seed)}},
		})
	}
	save(t, folder, result{Kind: "kill", Title: "kills", Delivery: atLeastOnce, Seed: 9, Verdict: stopped, Records: 1000, tally: tally{Lost: 1000}})
	save(t, folder, result{Kind: "kill", Title: "kills", Delivery: exactlyOnce, Seed: 1, Verdict: violated, Records: 600, tally: tally{Twice: 1}})
	if err := os.WriteFile(filepath.Join(folder, "other.txt"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	all, err := readResults(folder)
	if err != nil {
		t.Fatal(err)
	}
	var page bytes.Buffer
	writePage(&page, all)
	for _, want := range []string{
		"| kills | exactly-once | 0 of 1 | 0 | 600 | 0 (< 0.005) | 1 (0) | 0 |",
		"| kills | at-least-once | 2 of 2 | 8 | 2000 | 0 (< 0.0015) | 5 (100) | 0 |",
		"Stopped by an error, so not in the table: 1 of",
		"| kill | at-least-once | 6 | 2.000 s | 3.750 s | 4.000 s |",
		"| kill | at-least-once | 9 | stopped |",
	} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page lacks %q:\n%s", want, page.String())
		}
	}
}

func TestSeedsAreNumbersAndRanges(t *testing.T) {
	t.Parallel()
	if seeds, err := parseSeeds("7,1-3"); err != nil || !slices.Equal(seeds, []uint64{7, 1, 2, 3}) {
		t.Errorf("%v, %v", seeds, err)
	}
	for _, text := range []string{"", "x", "3-1", "1-", "1-9999999"} {
		if seeds, err := parseSeeds(text); err == nil {
			t.Errorf("%q gives %v", text, seeds)
		}
	}
}

func TestDeadLettersTellTheirIDs(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{"poison 996": 996, `{"id":57,"row":7}`: 57, `{"row":7}`: -1, "poison x": -1, "other": -1} {
		if id := letterID([]byte(text)); id != want {
			t.Errorf("%s: %d, want %d", text, id, want)
		}
	}
}

func TestAtLeastOnceIsHeldToItsBound(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		tally    tally
		delivery string
		bad      bool
	}{
		{tally{}, exactlyOnce, false},
		{tally{Twice: 10, Bound: 10, Disorder: 3}, atLeastOnce, false},
		{tally{Twice: 11, Bound: 10}, atLeastOnce, true},
		{tally{Lost: 1, Bound: 10}, atLeastOnce, true},
		{tally{Wrong: 1, Bound: 10}, atLeastOnce, true},
		{tally{Twice: 1}, exactlyOnce, true},
		{tally{Disorder: 1}, exactlyOnce, true},
	} {
		if err := c.tally.violation(c.delivery); (err != nil) != c.bad {
			t.Errorf("%+v, %s: %v", c.tally, c.delivery, err)
		}
	}
}
