package main

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sluice-ml/sluice/deploy/bench/stats"
)

// section tells one run as it ends.
func (r *result) section() string {
	text := fmt.Sprintf("\n## %s, %s, seed %d: %s\n\n", r.Title, r.Delivery, r.Seed, r.Verdict)
	if r.Error != "" {
		text += fmt.Sprintf("- %s\n", r.Error)
	}
	if r.Verdict == stopped {
		return text
	}
	text += fmt.Sprintf(`- %d records at %d a second; harmed %d times; all committed %.1f s after the last one was due, visible in read_committed %.1f s after the processes' end
- outcomes in read_committed: %d of %d; lost %d, twice %d (at most %d), out of order per key %d, unlike the oracle %d
- records of aborted transactions, which only read_uncommitted shows: %d
- exit codes of the processes asked to end: %v
`, r.Records, r.Rate, r.Harmed, r.Behind, r.Hidden, r.Outcomes, r.Records, r.Lost, r.Twice, r.Bound, r.Disorder, r.Wrong, r.Aborted, r.Codes)
	if r.Transactions > 0 {
		text += fmt.Sprintf("- %d transactions committed, of %d outcomes on average\n", r.Transactions, r.Outcomes/r.Transactions)
	}
	if len(r.Deaths) > 0 {
		text += "- died in: " + counts(r.Deaths) + "\n"
	}
	if len(r.Faults) > 0 {
		text += fmt.Sprintf("- the proxy reset %d connections; its faults: %s\n", r.Resets, strings.Join(r.Faults, ", "))
	}
	for _, name := range slices.Sorted(maps.Keys(r.Times)) {
		text += "- " + name + ": " + summary(r.Times[name]) + "\n"
	}
	if l := r.Latency; l != nil {
		text += "- publish to prediction: " + latency(l) + "\n"
	}
	return text
}

func latency(l map[string]float64) string {
	return fmt.Sprintf("p50 %.3f s, p99 %.3f s, p99.9 %.3f s, max %.3f s", l["p50"], l["p99"], l["p99.9"], l["max"])
}

// counts lists names with how often each came.
func counts(n map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(n)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, n[name]))
	}
	return strings.Join(parts, ", ")
}

// summary of seconds.
func summary(seconds []float64) string {
	s := slices.Sorted(slices.Values(seconds))
	if len(s) == 0 {
		return "none"
	}
	return fmt.Sprintf("p50 %.2f s, p95 %.2f s, max %.2f s of %d", stats.Median(s), stats.Quantile(s, 0.95), s[len(s)-1], len(s))
}

// writePage writes what the work folder holds as one page.
func writePage(w *bytes.Buffer, all []*result) {
	text := "# Fault campaigns on a real Kafka\n\nMade by `make faults`; broker, load, processes and checker share the machine's cores. Read by franz-go in `read_committed`.\n\n"
	for _, f := range []struct {
		name string
		of   func(*result) string
	}{
		{"commit", func(r *result) string { return r.Commit }},
		{"service", func(r *result) string { return r.Service }},
		{"broker", func(r *result) string { return r.Broker }},
		{"machine", func(r *result) string { return r.Machine }},
		{"arguments", func(r *result) string { return r.Command }},
	} {
		text += fmt.Sprintf("- %s: %s\n", f.name, strings.Join(distinct(all, f.of), "; "))
	}
	first, last := span(all)
	text += fmt.Sprintf("- when: %s to %s\n", first, last)
	text += totals(all) + times(all) + singles(all)
	w.WriteString(text)
}

func distinct(all []*result, of func(*result) string) (values []string) {
	for _, r := range all {
		if v := of(r); !slices.Contains(values, v) {
			values = append(values, v)
		}
	}
	return values
}

func span(all []*result) (first, last string) {
	var when []string
	for _, r := range all {
		when = append(when, r.When.UTC().Format(time.RFC3339))
	}
	if len(when) == 0 {
		return "never", "never"
	}
	return slices.Min(when), slices.Max(when)
}

// sum is a kind's runs at one delivery level.
type sum struct {
	title, delivery string
	seeds, held     int
	stopped         int
	records, harmed int
	tally
	behind, hidden float64
	deaths         map[string]int
	times          map[string][]float64
}

// sums adds the runs of each kind and level; those that were stopped only count.
func sums(all []*result) (list []*sum) {
	by := map[string]*sum{}
	for _, r := range all {
		key := r.Kind + " " + r.Delivery
		s := by[key]
		if s == nil {
			s = &sum{title: r.Title, delivery: r.Delivery, deaths: map[string]int{}, times: map[string][]float64{}}
			by[key] = s
			list = append(list, s)
		}
		if r.Verdict == stopped {
			s.stopped++
			continue
		}
		s.add(r)
	}
	return list
}

func (s *sum) add(r *result) {
	s.seeds++
	if r.Verdict == held {
		s.held++
	}
	s.records += r.Records
	s.harmed += r.Harmed
	s.Outcomes += r.Outcomes
	s.Lost += r.Lost
	s.Twice += r.Twice
	s.Bound += r.Bound
	s.Disorder += r.Disorder
	s.Wrong += r.Wrong
	s.Aborted += r.Aborted
	s.Transactions += r.Transactions
	s.behind, s.hidden = max(s.behind, r.Behind), max(s.hidden, r.Hidden)
	for name, n := range r.Deaths {
		s.deaths[name] += n
	}
	for name, seconds := range r.Times {
		s.times[name] = append(s.times[name], seconds...)
	}
}

// totals is the table of kinds. Nothing in N is told also as what it excludes.
func totals(all []*result) string {
	text := `
"0 (< x)": none in N records excludes, with 95 % confidence, a share of x = 3/N or more (the rule of three).

| harm | delivery | seeds held | harms | records | lost | twice (at most) | out of order | unlike the oracle | aborted, hidden | latest commit | latest visible |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
`
	var more string
	for _, s := range sums(all) {
		text += fmt.Sprintf("| %s | %s | %d of %d | %d | %d | %s | %s (%d) | %d | %d | %d | %.1f s | %.1f s |\n", s.title, s.delivery, s.held, s.seeds, s.harmed, s.records,
			bounded(s.Lost, s.records), bounded(s.Twice, s.records), s.Bound, s.Disorder, s.Wrong, s.Aborted, s.behind, s.hidden)
		if s.Transactions > 0 {
			more += fmt.Sprintf("\nTransactions, %s: %d committed, of %d outcomes on average.\n", s.title, s.Transactions, s.Outcomes/s.Transactions)
		}
		if len(s.deaths) > 0 {
			more += fmt.Sprintf("\nDeaths, %s: %s.\n", s.delivery, counts(s.deaths))
		}
		if s.stopped > 0 {
			more += fmt.Sprintf("\nStopped by an error, so not in the table: %d of %q, %s.\n", s.stopped, s.title, s.delivery)
		}
	}
	return text + more
}

func bounded(n, of int) string {
	if n > 0 || of == 0 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("0 (< %.2g)", 3/float64(of))
}

// times is the table of what the measuring kinds took.
func times(all []*result) string {
	text, notes := "", ""
	for _, s := range sums(all) {
		for _, name := range slices.Sorted(maps.Keys(s.times)) {
			t := slices.Sorted(slices.Values(s.times[name]))
			if len(t) > 0 {
				text += fmt.Sprintf("| %s | %s | %d | %.3f s | %.3f s | %.3f s |\n", name, s.delivery, len(t), stats.Median(t), stats.Quantile(t, 0.95), t[len(t)-1])
			}
		}
	}
	if text == "" {
		return ""
	}
	for _, r := range all {
		if r.Latency != nil {
			notes += fmt.Sprintf("\nPublish to prediction in %s, %s, seed %d, at %d a second: %s.\n", r.Kind, r.Delivery, r.Seed, r.Rate, latency(r.Latency))
		}
	}
	return "\n| time | delivery | n | p50 | p95 | max |\n| --- | --- | --- | --- | --- | --- |\n" + text + notes
}

// singles is the table of raw counts, one line a run.
func singles(all []*result) string {
	text := `
## Each run

| harm | delivery | seed | | records | a second | harms | outcomes | lost | twice | out of order | unlike the oracle | aborted, hidden | latest commit | visible | exit codes |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
`
	for _, r := range all {
		text += fmt.Sprintf("| %s | %s | %d | %s | %d | %d | %d | %d | %d | %d | %d | %d | %d | %.1f s | %.1f s | %v |\n", r.Kind, r.Delivery, r.Seed, r.Verdict,
			r.Records, r.Rate, r.Harmed, r.Outcomes, r.Lost, r.Twice, r.Disorder, r.Wrong, r.Aborted, r.Behind, r.Hidden, r.Codes)
	}
	return text
}
