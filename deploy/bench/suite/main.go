// Command suite runs the tests that need a broker on several versions of Apache Kafka,
// one after the other, and writes a results page: how many passed, what failed, what was
// skipped and why.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/sluice-ml/sluice/deploy/bench/lab"
)

func main() {
	c := campaign{}
	versions := flag.String("versions", "3.9.1,4.3.0", "versions of Kafka, by comma")
	flag.StringVar(&c.broker, "broker", filepath.Join("deploy", "kafka", "broker.sh"), "the script that runs a broker of $KAFKA_VERSION")
	flag.StringVar(&c.packages, "packages", "./...", "what is tested")
	flag.StringVar(&c.out, "out", "", "results page (default: stdout)")
	flag.Parse()
	c.versions = strings.Split(*versions, ",")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := c.run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "suite:", err)
		os.Exit(1)
	}
}

// campaign is what the flags say.
type campaign struct {
	versions              []string
	broker, packages, out string
}

func (c *campaign) run(ctx context.Context) error {
	page := lab.Heading(ctx, "The tests that need a broker, by its version", "make suite")
	page.WriteString("\n`go test -tags integration`, tests and their subtests; those that need no broker are among them.\n" +
		"\n| Kafka | passed | failed | skipped | minutes |\n| --- | ---: | ---: | ---: | ---: |\n")
	var notes strings.Builder
	var errs []error
	for _, version := range c.versions {
		t, err := c.test(ctx, version)
		if err != nil {
			errs = append(errs, fmt.Errorf("kafka %s: %w", version, err))
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		line := fmt.Sprintf("| %s | %d | %d | %d | %.1f |\n", version, t.passed, len(t.failed), len(t.skipped), t.took.Minutes())
		fmt.Print(line)
		page.WriteString(line)
		notes.WriteString(t.notes(version))
	}
	page.WriteString(notes.String())
	if c.out == "" {
		fmt.Print(page.String())
		return errors.Join(errs...)
	}
	return errors.Join(append(errs, os.WriteFile(c.out, []byte(page.String()), 0o644))...)
}

// tally is what came of the tests on one version.
type tally struct {
	passed          int
	failed, skipped []string // the test; of a skipped one with its reason
	took            time.Duration
}

// notes names what did not pass.
func (t *tally) notes(version string) (text string) {
	for _, f := range t.failed {
		text += fmt.Sprintf("\nFailed on %s: %s\n", version, f)
	}
	for _, s := range t.skipped {
		text += fmt.Sprintf("\nSkipped on %s: %s\n", version, s)
	}
	return text
}

// test runs everything on a broker of that version. An error is a failed test, or none
// that ran.
func (c *campaign) test(ctx context.Context, version string) (*tally, error) {
	cmd := exec.CommandContext(ctx, c.broker, "with", "--", "go", "test", "-json", "-count=1", "-timeout=20m", "-tags", "demo,integration", c.packages)
	cmd.Env = append(os.Environ(), "KAFKA_VERSION="+version)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return &tally{}, err
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return &tally{}, err
	}
	t, err := count(out)
	err = errors.Join(err, cmd.Wait())
	t.took = time.Since(began)
	if err == nil && t.passed == 0 {
		err = errors.New("no test ran")
	}
	return t, err
}

// count reads the events of go test -json.
func count(events io.Reader) (*tally, error) {
	t := &tally{}
	said := map[string]string{} // the last line of each test, but for go test's own
	for dec := json.NewDecoder(events); ; {
		var e struct{ Action, Package, Test, Output string }
		if err := dec.Decode(&e); errors.Is(err, io.EOF) {
			slices.Sort(t.failed)
			slices.Sort(t.skipped)
			return t, nil
		} else if err != nil {
			return t, fmt.Errorf("read go test -json: %w", err)
		}
		name := e.Package + "." + e.Test
		switch {
		case e.Action == "fail" && e.Test == "":
			t.failed = append(t.failed, e.Package+": "+said[name]) // also one that does not build
		case e.Action == "output":
			if line := strings.TrimSpace(e.Output); line != "" && !strings.HasPrefix(line, "--- ") && !strings.HasPrefix(line, "=== ") && !strings.HasPrefix(line, "FAIL") {
				said[name] = line
			}
		case e.Test == "":
		case e.Action == "pass":
			t.passed++
		case e.Action == "fail":
			t.failed = append(t.failed, name+": "+said[name])
		case e.Action == "skip":
			t.skipped = append(t.skipped, name+": "+said[name])
		}
	}
}
