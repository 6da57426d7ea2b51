// Command fuzz runs every fuzz target of the repository for a while each, one after the
// other, and writes a results page: minutes, executions, corpus, crashes. It goes on
// where it was stopped (-journal); what the fuzzer learns stays in Go's build cache, so
// each campaign begins where the one before ended.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sluice-ml/sluice/deploy/bench/lab"
)

// target is one fuzz function.
type target struct {
	Package string `json:"package"`
	Name    string `json:"name"`
}

// result is a line of the journal.
type result struct {
	target
	Seconds float64 `json:"seconds"`
	Execs   int64   `json:"execs"`
	New     int     `json:"new"`    // inputs that reached new code in this run
	Corpus  int     `json:"corpus"` // inputs known at its end
	Failed  string  `json:"failed,omitempty"`
}

// campaign is what the flags say.
type campaign struct {
	each         time.Duration
	jobs         int
	only         string
	journal, out string
}

func main() {
	c := &campaign{}
	flag.DurationVar(&c.each, "each", time.Minute, "how long each target runs")
	flag.IntVar(&c.jobs, "jobs", runtime.NumCPU(), "processes at once")
	flag.StringVar(&c.only, "only", ".", "regular expression: targets whose package and name match")
	flag.StringVar(&c.journal, "journal", filepath.Join("bin", "fuzz.jsonl"), "one line a target; targets that ran as long as -each are not run again: remove it to begin anew")
	flag.StringVar(&c.out, "out", "", "results page (default: only the summary on stdout)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := c.run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		os.Exit(1)
	}
}

func (c *campaign) run(ctx context.Context) error {
	only, err := regexp.Compile(c.only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	all, err := targets(ctx)
	if err != nil {
		return err
	}
	have, err := read(c.journal)
	if err != nil {
		return err
	}
	var results []result
	for _, t := range all {
		if !only.MatchString(t.Package + "." + t.Name) {
			continue
		}
		r, ok := have[t]
		if !ok || r.Failed != "" || r.Seconds < c.each.Seconds() {
			if r, err = c.fuzz(ctx, t); err != nil {
				return err
			}
			if err := appendTo(c.journal, r); err != nil {
				return err
			}
		}
		fmt.Println(r)
		results = append(results, r)
	}
	return c.conclude(ctx, results)
}

// targets lists the fuzz functions of all packages.
func targets(ctx context.Context) ([]target, error) {
	out, err := exec.CommandContext(ctx, "go", "test", "-json", "-run", "^$", "-list", "^Fuzz", "./...").Output()
	if err != nil {
		return nil, fmt.Errorf("list the fuzz targets: %w", err)
	}
	var all []target
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var line struct{ Package, Output string }
		if err := dec.Decode(&line); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("list the fuzz targets: %w", err)
		}
		if name := strings.TrimSpace(line.Output); strings.HasPrefix(name, "Fuzz") {
			all = append(all, target{line.Package, name})
		}
	}
	if len(all) == 0 {
		return nil, errors.New("no fuzz target found: run this in the repository")
	}
	return all, nil
}

// progress is a line of go test -fuzz, for example
// "fuzz: elapsed: 1m3s, execs: 123 (41/sec), new interesting: 5 (total: 70)".
var progress = regexp.MustCompile(`elapsed: (\S+), execs: (\d+) .*new interesting: (\d+) \(total: (\d+)\)`)

// fuzz runs one target. A crash is in the result, not an error.
func (c *campaign) fuzz(ctx context.Context, t target) (result, error) {
	r := result{target: t}
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-fuzz", "^"+t.Name+"$", "-fuzztime", c.each.String(), "-parallel", strconv.Itoa(c.jobs), t.Package)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	out, err := cmd.CombinedOutput()
	for _, m := range progress.FindAllStringSubmatch(string(out), -1) {
		elapsed, _ := time.ParseDuration(m[1])
		r.Seconds = elapsed.Seconds()
		r.Execs, _ = strconv.ParseInt(m[2], 10, 64)
		r.New, _ = strconv.Atoi(m[3])
		r.Corpus, _ = strconv.Atoi(m[4])
	}
	switch {
	case ctx.Err() != nil:
		return r, ctx.Err()
	case err != nil:
		r.Failed = string(out)
	case r.Execs == 0:
		return r, fmt.Errorf("%s.%s told no executions:\n%s", t.Package, t.Name, out)
	}
	return r, nil
}

func (r result) String() string {
	state := "no crash"
	if r.Failed != "" {
		state = "FAILED\n" + r.Failed
	}
	return fmt.Sprintf("%s.%s: %.1f min, %d executions, corpus %d (%d new): %s", r.short(), r.Name, r.Seconds/60, r.Execs, r.Corpus, r.New, state)
}

// short is the package within the repository.
func (t target) short() string {
	_, path, _ := strings.Cut(t.Package, "/sluice/")
	return path
}

// read is what the journal holds; the last line of a target counts.
func read(journal string) (map[target]result, error) {
	have := map[target]result{}
	file, err := os.Open(journal)
	if errors.Is(err, fs.ErrNotExist) {
		return have, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var r result
		if json.Unmarshal(lines.Bytes(), &r) == nil { // a line cut off by a crash counts for nothing
			have[r.target] = r
		}
	}
	return have, nil
}

func appendTo(journal string, r result) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(journal), 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(journal, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = file.Write(append(line, '\n'))
	return errors.Join(err, file.Close())
}

// conclude writes the page; crashes are an error.
func (c *campaign) conclude(ctx context.Context, results []result) error {
	var execs int64
	var seconds float64
	failed := 0
	for _, r := range results {
		execs, seconds = execs+r.Execs, seconds+r.Seconds
		if r.Failed != "" {
			failed++
		}
	}
	sum := fmt.Sprintf("%d targets, %.0f minutes, %d executions, %d with a crash", len(results), seconds/60, execs, failed)
	fmt.Println(sum)
	if c.out != "" {
		b := lab.Heading(ctx, "Fuzzing", "make fuzz")
		fmt.Fprintf(b, "\n%s. The corpus is what the fuzzer knows at the end, with what it learned in earlier campaigns; "+
			"the seeds among it run in `make test`.\n\n| target | package | minutes | executions | corpus | new | crashes |\n| --- | --- | ---: | ---: | ---: | ---: | ---: |\n", sum)
		for _, r := range results {
			crashes := 0
			if r.Failed != "" {
				crashes = 1 // the first ends a target's run
			}
			fmt.Fprintf(b, "| %s | %s | %.1f | %d | %d | %d | %d |\n", r.Name, r.short(), r.Seconds/60, r.Execs, r.Corpus, r.New, crashes)
		}
		if err := os.WriteFile(c.out, []byte(b.String()), 0o644); err != nil {
			return err
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d targets failed; the input is in testdata/fuzz of the package", failed)
	}
	return nil
}
