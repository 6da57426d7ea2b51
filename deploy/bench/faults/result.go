package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Verdicts of a run.
const (
	held     = "held"
	violated = "VIOLATED"
	stopped  = "stopped" // by an error: it says nothing, and -resume does it again
)

// result is what one run gave: one file of the work folder.
type result struct {
	Kind     string `json:"kind"`
	Title    string `json:"title"`
	Delivery string `json:"delivery"`
	Seed     uint64 `json:"seed"`
	Verdict  string `json:"verdict"`
	Error    string `json:"error,omitempty"`

	When    time.Time `json:"when"`
	Commit  string    `json:"commit"`
	Service string    `json:"service"`
	Machine string    `json:"machine"`
	Broker  string    `json:"broker"` // its version, as its protocol tells it
	Command string    `json:"arguments"`

	Records int `json:"records"`
	Rate    int `json:"rate"` // records a second
	Harmed  int `json:"harmed"`
	tally
	// Behind is how many seconds after the last record was due all was committed.
	Behind float64 `json:"behind_s"`
	// Hidden is how many seconds after the last process ended its transactions were.
	Hidden float64 `json:"hidden_s"`
	// Codes counts exit codes of processes that were asked to end; Deaths the places
	// where processes killed themselves; Faults and Resets are the proxy's.
	Codes  map[int]int    `json:"exit_codes,omitempty"`
	Deaths map[string]int `json:"deaths,omitempty"`
	Faults []string       `json:"faults,omitempty"`
	Resets int            `json:"resets,omitempty"`
	// Times are seconds that a measuring kind took, by what it measured.
	Times map[string][]float64 `json:"times_s,omitempty"`
	// Latency is quantiles of a measuring kind's seconds from publishing to prediction.
	Latency map[string]float64 `json:"publish_to_prediction_s,omitempty"`
}

// path is the run's file in the work folder.
func (r *result) path(folder string) string {
	return filepath.Join(folder, fmt.Sprintf("%s-%s-%d.json", r.Kind, r.Delivery, r.Seed))
}

// save writes the file, whole or not at all.
func (r *result) save(folder string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	next := r.path(folder) + ".new"
	if err := os.WriteFile(next, append(data, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(next, r.path(folder))
}

// finished tells whether the folder has the outcome of such a run, of as many records
// at the same rate.
func (r *result) finished(folder string) bool {
	old, err := readResult(r.path(folder))
	same := err == nil && (old.Records == r.Records || len(old.Times) > 0)       // a measuring kind has what it takes
	return same && old.Verdict != stopped && (old.Rate == r.Rate || r.Rate == 0) // 0: it found its own
}

func readResult(path string) (*result, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := &result{}
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// readResults reads a folder's, in the order of the kinds, delivery levels and seeds.
func readResults(folder string) ([]*result, error) {
	paths, err := filepath.Glob(filepath.Join(folder, "*.json"))
	if err != nil {
		return nil, err
	}
	var all []*result
	var errs []error
	for _, p := range paths {
		r, err := readResult(p)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, r)
	}
	order := kindNames()
	slices.SortFunc(all, func(a, b *result) int {
		if c := slices.Index(order, a.Kind) - slices.Index(order, b.Kind); c != 0 {
			return c
		}
		if c := -strings.Compare(a.Delivery, b.Delivery); c != 0 {
			return c // exactly-once first
		}
		return int(int64(a.Seed) - int64(b.Seed))
	})
	return all, errors.Join(errs...)
}
