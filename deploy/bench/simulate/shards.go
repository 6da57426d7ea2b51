package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// result is a line of the journal, as the simulator writes it.
type result struct {
	Seed       int            `json:"seed"`
	Protocol   string         `json:"protocol"`
	Faults     int            `json:"faults"`
	Kinds      map[string]int `json:"kinds"`
	Records    int            `json:"records"`
	Outputs    int            `json:"outputs"`
	Letters    int            `json:"letters"`
	Twice      int            `json:"twice"`
	Aborted    int            `json:"aborted"`
	Processes  int            `json:"processes"`
	Virtual    float64        `json:"virtual_seconds"`
	Violations []string       `json:"violations"`
}

// build makes the test binary, with an overlay of changed files where one is given.
func build(ctx context.Context, binary, overlay string) error {
	args := []string{"test", "-c", "-o", binary}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	out, err := exec.CommandContext(ctx, "go", append(args, tested)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("build %s: %w\n%s", tested, err, out)
	}
	return nil
}

// seedsFrom runs a row of seeds in one process and appends their results to a journal.
// Its output is returned with an error, which violations are as well.
func (c *campaign) seedsFrom(ctx context.Context, first, n int, journal string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, c.binary, append([]string{
		"-test.run", "^TestSimulation$", "-test.parallel", strconv.Itoa(c.jobs), "-test.timeout", "20m",
	}, args...)...)
	cmd.Dir = tested
	cmd.Env = append(os.Environ(), "SLUICE_TEST_FIRST_SEED="+strconv.Itoa(first), "SLUICE_TEST_SEEDS="+strconv.Itoa(n),
		"SLUICE_TEST_JOURNAL="+journal, "SLUICE_TEST_DELIVERY="+c.delivery, "GOGC=400") // worlds are small and short-lived
	return cmd.CombinedOutput()
}

// replay shows one seed whole.
func (c *campaign) replay(ctx context.Context) error {
	out, err := c.seedsFrom(ctx, c.first, 1, "", "-test.v")
	_, _ = os.Stdout.Write(out)
	return err
}

// readJournal is the results by seed; a file that is not there has none.
func readJournal(path string) (map[int]result, error) {
	all := map[int]result{}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r result
		if json.Unmarshal(lines.Bytes(), &r) == nil { // the last line of a killed process may be half
			all[r.Seed] = r
		}
	}
	return all, lines.Err()
}

// all runs the seeds that the journal does not have.
func (c *campaign) all(ctx context.Context) error {
	journal, err := filepath.Abs(c.journal)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(journal), 0o755)
	}
	if err != nil {
		return err
	}
	if err := endLine(journal); err != nil {
		return err
	}
	began, ran := time.Now(), 0
	for next := c.first; next < c.first+c.seeds && ctx.Err() == nil; {
		have, err := readJournal(journal)
		if err != nil {
			return err
		}
		first, n := c.missing(have, next)
		if n == 0 {
			break
		}
		next = first + n
		out, runErr := c.seedsFrom(ctx, first, n, journal)
		if have, err = readJournal(journal); err != nil {
			return err
		}
		if err := c.again(ctx, have, first, n, journal, runErr); err != nil {
			return err
		}
		ran += n
		fmt.Printf("seeds %d to %d: %v\n", first, next-1, tally(have, first, n))
		if runErr != nil {
			fmt.Printf("%s\n", out)
		}
	}
	have, err := readJournal(journal)
	if err != nil {
		return err
	}
	return c.conclude(ctx, have, ran, time.Since(began))
}

// missing is the next row of seeds that have no result.
func (c *campaign) missing(have map[int]result, from int) (first, n int) {
	end := c.first + c.seeds
	for first = from; first < end; first++ {
		if _, ok := have[first]; !ok {
			break
		}
	}
	for n = 0; n < c.shard && first+n < end; n++ {
		if _, ok := have[first+n]; ok {
			break
		}
	}
	return first, n
}

// again runs the seeds of a process that died alone: the one that kills it a second
// time is a violation.
func (c *campaign) again(ctx context.Context, have map[int]result, first, n int, journal string, died error) error {
	for seed := first; seed < first+n && died != nil && ctx.Err() == nil; seed++ {
		if _, ok := have[seed]; ok {
			continue
		}
		out, err := c.seedsFrom(ctx, seed, 1, journal)
		now, readErr := readJournal(journal)
		if readErr != nil {
			return readErr
		}
		if r, ok := now[seed]; ok {
			have[seed] = r
			continue
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		r := result{Seed: seed, Violations: []string{fmt.Sprintf("the process died: %v: %s", err, bytes.TrimSpace(out[:min(len(out), 500)]))}}
		have[seed] = r
		if err := appendTo(journal, r); err != nil {
			return err
		}
	}
	return nil
}

// endLine ends the half line that a killed process may have left, so that it spoils no
// other.
func endLine(journal string) error {
	text, err := os.ReadFile(journal)
	if errors.Is(err, fs.ErrNotExist) || err == nil && (len(text) == 0 || text[len(text)-1] == '\n') {
		return nil
	}
	if err != nil {
		return err
	}
	return os.WriteFile(journal, append(text, '\n'), 0o644)
}

func appendTo(journal string, r result) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(journal, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(append(line, '\n'))
	return errors.Join(err, f.Close())
}
