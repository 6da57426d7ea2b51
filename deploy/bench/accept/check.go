package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"

	"github.com/sluice-ml/sluice/deploy/bench/lab"
)

func tallyFacts(t *lab.Tally, n, extraBound int) []fact {
	return []fact{
		{"ids predicted", fmt.Sprintf("%d of %d, lost %d", n-t.Lost, n, t.Lost), t.Lost == 0 && t.Unknown == 0},
		{"outputs unlike the reference", fmt.Sprintf("%d of %d (worst |d|-1e-5|ref| %.2g)", t.Wrong, t.Records, t.Worst), t.Wrong == 0},
		{"duplicates", fmt.Sprintf("%d (bound %d)", t.Extra, extraBound), t.Extra <= extraBound},
	}
}

// kcatCount counts a topic's records with kcat, -1 where kcat is not installed.
func (l *campaign) kcatCount(ctx context.Context, topic string) (int, error) {
	path, err := exec.LookPath("kcat")
	if err != nil {
		return -1, nil //nolint:nilerr // kcat is a second opinion: franz-go has counted already
	}
	out, err := exec.CommandContext(ctx, path, "-b", l.Brokers[0], "-C", "-t", topic, "-o", "beginning", "-e", "-q", "-f", "%p %o\n").Output()
	if err != nil {
		return 0, fmt.Errorf("kcat -C -t %s: %w", topic, err)
	}
	return bytes.Count(out, []byte("\n")), nil
}
