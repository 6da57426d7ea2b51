// Command simulate runs the seeds of consumers/kafka's simulator by the thousand:
// worlds in virtual time, each under a plan of 5 to 50 faults. It needs no broker, goes
// on where it was stopped (-journal), and writes a results page. With -mutations it
// breaks the code on purpose instead, and tells how many seeds it took to notice.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
)

// tested is the package with the simulator.
const tested = "./consumers/kafka"

// campaign is what the flags say.
type campaign struct {
	first, seeds, shard, jobs int
	journal, out              string
	delivery                  string
	mutations                 string
	loud                      bool
	binary                    string
}

func main() {
	c := &campaign{}
	flag.IntVar(&c.first, "first", 0, "first seed")
	flag.IntVar(&c.seeds, "seeds", 1000, "how many; with -mutations: at most so many for each")
	flag.IntVar(&c.shard, "shard", 100, "seeds of one test process")
	flag.IntVar(&c.jobs, "jobs", runtime.NumCPU(), "seeds at once")
	flag.StringVar(&c.delivery, "delivery", exactlyOnce, exactlyOnce+" or "+atLeastOnce)
	flag.StringVar(&c.journal, "journal", "", "one line a seed; seeds that are there are not run again (default bin/simulate-DELIVERY.jsonl)")
	flag.StringVar(&c.out, "out", "", "results page (default: only the summary on stdout)")
	flag.StringVar(&c.mutations, "mutations", "", "break the code on purpose: all, or names separated by commas")
	flag.BoolVar(&c.loud, "v", false, "run the first seed only, with its plan and log")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := c.run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "simulate:", err)
		os.Exit(1)
	}
}

// The delivery levels.
const (
	exactlyOnce = "exactly-once"
	atLeastOnce = "at-least-once"
)

func (c *campaign) run(ctx context.Context) error {
	if c.delivery != exactlyOnce && c.delivery != atLeastOnce {
		return fmt.Errorf("-delivery %q: want %s or %s", c.delivery, exactlyOnce, atLeastOnce)
	}
	if c.mutations != "" && c.delivery != exactlyOnce {
		return fmt.Errorf("-mutations are of %s", exactlyOnce)
	}
	c.journal = cmp.Or(c.journal, filepath.Join("bin", "simulate-"+c.delivery+".jsonl"))
	dir, err := os.MkdirTemp("", "simulate")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if c.mutations != "" {
		return c.mutate(ctx, dir)
	}
	c.binary = filepath.Join(dir, "simulate.test")
	if err := build(ctx, c.binary, ""); err != nil {
		return err
	}
	if c.loud {
		return c.replay(ctx)
	}
	return c.all(ctx)
}

// write puts a page where -out says.
func (c *campaign) write(page string) error {
	if c.out == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(c.out), 0o755); err != nil {
		return err
	}
	return os.WriteFile(c.out, []byte(page), 0o644)
}

var errFound = errors.New("violations")
