// Command faults runs fault campaigns on a real Kafka: two processes of a group,
// records coming in, and one kind of harm again and again. What came out is read by
// franz-go in read_committed and compared with what must. It writes raw counts, one
// section a run. KAFKA_BROKERS names the broker; `make faults` starts one.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sluice-ml/sluice/deploy/bench/lab"
)

// exactlyOnce is the delivery level that allows nothing twice.
const exactlyOnce = "exactly-once"

// campaign is what the flags say.
type campaign struct {
	lab.Lab

	records, rate, harms, poison int
	delivery, restart, out       string
	failing                      string
	sets                         []string
}

func main() {
	c := &campaign{}
	kinds := flag.String("kinds", "kill,term,freeze,churn,cut,broker,steps", "kinds of harm, each a run: "+strings.Join(kindNames(), ", "))
	seeds := flag.String("seeds", "1", "seeds, each a run of every kind")
	sets := flag.String("set", "", "further settings of the service, path=value, separated by blanks")
	flag.IntVar(&c.records, "records", 100_000, "records of a run")
	flag.IntVar(&c.rate, "rate", 2500, "records a second")
	flag.IntVar(&c.harms, "harms", 12, "how often a run is harmed, at least")
	flag.IntVar(&c.poison, "poison", 997, "each n-th record cannot be decoded; 0 for none")
	flag.StringVar(&c.delivery, "delivery", exactlyOnce, "delivery level: exactly-once or at-least-once")
	flag.StringVar(&c.restart, "restart-broker", "", "shell command that kills the broker with SIGKILL and starts it again")
	flag.StringVar(&c.out, "out", "", "results file to append to (default: stdout only)")
	flag.StringVar(&c.Bin, "bin", "bin/sluice", "the service binary")
	flag.StringVar(&c.failing, "failing-bin", "bin/sluice-failpoint", "the service built with the tag failpoint, for steps")
	flag.StringVar(&c.Zoo, "zoo", "pipeline/onnx/testdata/zoo", "folder of the model zoo")
	flag.Parse()
	c.sets = strings.Fields(*sets)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := c.all(ctx, strings.Split(*kinds, ","), strings.Split(*seeds, ","))
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		os.Exit(1)
	}
}

// all makes every run; a violation is an error at the end.
func (c *campaign) all(ctx context.Context, kinds, seeds []string) error {
	if err := c.Open(); err != nil {
		return err
	}
	defer c.Close(ctx)
	if err := c.heading(ctx); err != nil {
		return err
	}
	var errs []error
	for _, seed := range seeds {
		n, err := strconv.ParseUint(seed, 10, 64)
		if err != nil {
			return fmt.Errorf("-seeds %q: %w", seed, err)
		}
		for _, name := range kinds {
			i := slices.IndexFunc(harms, func(h harm) bool { return h.name == name })
			if i < 0 {
				return fmt.Errorf("-kinds %q: none of %s", name, strings.Join(kindNames(), ", "))
			}
			if err := c.one(ctx, harms[i], n); err != nil {
				errs = append(errs, fmt.Errorf("%s, seed %d: %w", name, n, err))
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
		}
	}
	return errors.Join(errs...)
}

func (c *campaign) heading(ctx context.Context) error {
	text := fmt.Sprintf("# Fault campaigns on a real Kafka, %s\n\nMade by `make faults`; broker, load, both processes and the checker share the machine's cores.\n\n- when: %s\n",
		c.delivery, time.Now().UTC().Format(time.RFC3339))
	for _, f := range lab.Surroundings(ctx, &c.Lab) {
		if f[0] != "Python" {
			text += fmt.Sprintf("- %s: %s\n", f[0], f[1])
		}
	}
	return c.write(text + fmt.Sprintf("- arguments: %s\n", lab.Arguments()))
}

// write prints a section and appends it to the results.
func (c *campaign) write(text string) error {
	fmt.Print(text)
	if c.out == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(c.out), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(c.out, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}
