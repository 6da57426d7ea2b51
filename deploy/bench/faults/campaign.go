package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-ml/sluice/deploy/bench/lab"
)

// The delivery levels: the first allows nothing twice.
const (
	exactlyOnce = "exactly-once"
	atLeastOnce = "at-least-once"
)

// campaign is what the flags say.
type campaign struct {
	lab.Lab

	records, rate, harms, poison int
	restart, work, out           string
	failing                      string
	sets                         []string
	resume                       bool
	delivery                     string // of the run under way
}

// all makes every run; a violation is an error at the end.
func (c *campaign) all(ctx context.Context, kinds []string, seeds string, deliveries []string) error {
	list, err := parseSeeds(seeds)
	if err != nil {
		return err
	}
	chosen, err := kindsNamed(kinds)
	if err != nil {
		return err
	}
	for _, d := range deliveries {
		if d != exactlyOnce && d != atLeastOnce {
			return fmt.Errorf("-delivery %q: want %s or %s", d, exactlyOnce, atLeastOnce)
		}
	}
	if err := c.Open(); err != nil {
		return err
	}
	defer c.Close(ctx)
	like := c.surroundings(ctx)
	var errs []error
	for _, seed := range list {
		for _, h := range chosen {
			for _, c.delivery = range deliveries {
				res := like
				res.Kind, res.Title, res.Seed, res.Delivery, res.When = h.name, h.title, seed, c.delivery, time.Now().UTC()
				errs = append(errs, c.record(ctx, h, &res))
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
			}
		}
	}
	if c.out != "" {
		errs = append(errs, c.page())
	}
	return errors.Join(errs...)
}

// record makes one run, unless it was made before, prints and keeps what it gave.
func (c *campaign) record(ctx context.Context, h harm, res *result) error {
	if c.resume && res.finished(c.work) {
		return nil
	}
	err := c.one(ctx, h, res)
	if ctx.Err() != nil {
		return nil // interrupted: it says nothing
	}
	if res.Verdict == "" {
		res.Verdict, res.Error = stopped, fmt.Sprint(err)
	}
	fmt.Print(res.section())
	if err != nil {
		err = fmt.Errorf("%s, %s, seed %d: %w", res.Kind, res.Delivery, res.Seed, err)
	}
	return errors.Join(err, res.save(c.work))
}

// surroundings is a result with what all runs have in common.
func (c *campaign) surroundings(ctx context.Context) result {
	like := result{Records: c.records, Rate: c.rate, Command: lab.Arguments(), Broker: "unknown"}
	for _, f := range lab.Surroundings(ctx, &c.Lab) {
		switch f[0] {
		case "commit":
			like.Commit = f[1]
		case "service":
			like.Service = f[1]
		case "machine":
			like.Machine = f[1]
		}
	}
	if versions, err := c.Admin.ApiVersions(ctx); err == nil {
		for _, v := range versions {
			like.Broker = "Kafka, by its protocol " + v.VersionGuess()
		}
	}
	return like
}

// page writes the page of the work folder.
func (c *campaign) page() error {
	all, err := readResults(c.work)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	writePage(&text, all)
	if c.out == "" {
		_, err := os.Stdout.Write(text.Bytes())
		return err
	}
	if err := os.MkdirAll(filepath.Dir(c.out), 0o755); err != nil {
		return err
	}
	return os.WriteFile(c.out, text.Bytes(), 0o644)
}

// parseSeeds reads 1,2,7 or 1-10.
func parseSeeds(text string) (seeds []uint64, err error) {
	for part := range strings.SplitSeq(text, ",") {
		low, high, isRange := strings.Cut(part, "-")
		first, err := strconv.ParseUint(low, 10, 64)
		last := first
		if err == nil && isRange {
			last, err = strconv.ParseUint(high, 10, 64)
		}
		if err != nil || last < first || last-first > 100_000 {
			return nil, fmt.Errorf("-seeds %q: want numbers or ranges of them, 1,2,5-10", text)
		}
		for seed := first; seed <= last; seed++ {
			seeds = append(seeds, seed)
		}
	}
	return seeds, nil
}

func kindsNamed(names []string) (chosen []harm, err error) {
	for _, name := range names {
		i := slices.IndexFunc(harms, func(h harm) bool { return h.name == name })
		if i < 0 {
			return nil, fmt.Errorf("-kinds %q: none of %s", name, strings.Join(kindNames(), ", "))
		}
		chosen = append(chosen, harms[i])
	}
	return chosen, nil
}
