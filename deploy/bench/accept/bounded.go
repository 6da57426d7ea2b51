package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-ml/sluice/deploy/bench/lab"
)

const (
	// waiting is how many small records wait in point 6.
	waiting = 2_000_000
	// statedLimit is the README's bound on resident memory for default settings
	// and a small model; the cgroup gets 1.2 times it.
	statedLimit = 512 << 20
)

// bounded is point 6: a model of some milliseconds a row, two million records
// waiting, a memory cgroup, and a broker that is restarted hard meanwhile.
func bounded(ctx context.Context, l *campaign) ([]fact, error) {
	in, out, dlq, err := l.Topics(ctx, "p6", "")
	if err != nil {
		return nil, err
	}
	began := time.Now()
	x := strings.TrimSuffix(strings.Repeat("0.5,", 256), ",")
	if err := l.Load(ctx, in, waiting, func(i int) []byte {
		return fmt.Appendf(nil, `{"id":"r%d","n":100,"x":[%s]}`, i, x)
	}); err != nil {
		return nil, err
	}
	loaded := float64(waiting) / time.Since(began).Seconds()
	cgroup, err := memoryCgroup(l.ID, statedLimit*12/10)
	if err != nil {
		return nil, err
	}
	defer os.Remove(cgroup.path) //nolint:errcheck // an empty cgroup left behind holds nothing
	s := lab.Setup{
		Name: "p6", Input: in, Output: out, DLQ: dlq, Group: l.ID + ".p6",
		Model: l.Model("slow_loop.onnx"), ModelName: "slow",
	}
	v, err := l.Start(ctx, s, cgroup.path)
	if err != nil {
		return nil, err
	}
	defer v.Kill()
	if err := l.moving(ctx, out, v); err != nil {
		return nil, err
	}
	before, ran := time.Now(), time.Duration(0)
	if err := lab.Pause(ctx, 30*time.Second); err != nil {
		return nil, err
	}
	facts, err := l.restartBroker(ctx, out)
	if err != nil {
		return facts, err
	}
	if err := lab.Pause(ctx, 20*time.Second); err != nil {
		return facts, err
	}
	ran = time.Since(before)
	made, err := l.End(ctx, out)
	if err != nil {
		return facts, err
	}
	rate := float64(made) / ran.Seconds()
	facts = append(facts, fact{"input waiting, load rate over model rate", fmt.Sprintf("%d records, %.0f/s over %.0f/s = %.0fx", waiting, loaded, rate, loaded/rate), loaded/rate >= 100})
	peak := v.Peak()
	facts = append(facts, fact{"peak resident memory", fmt.Sprintf("%d MiB, stated limit %d MiB, cgroup %d MiB", peak>>20, statedLimit>>20, cgroup.limit>>20), peak > 0 && peak <= statedLimit})
	facts = append(facts, cgroup.fact())
	facts = append(facts, stopAll([]*lab.Process{v})...)
	more, err := l.prefix(ctx, s)
	l.Drop(ctx, in, out, dlq)
	return append(facts, more...), err
}

// restartBroker kills the broker, starts it again and waits until outputs move.
func (l *campaign) restartBroker(ctx context.Context, out string) ([]fact, error) {
	if l.restart == "" {
		return nil, errors.New("-restart-broker is not set")
	}
	before, err := l.End(ctx, out)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if _, err := lab.Command(ctx, "sh", "-c", l.restart); err != nil {
		return nil, err
	}
	back := time.Since(began)
	limit, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		now, err := l.End(limit, out)
		if err == nil && now > before+100 {
			return []fact{{"broker killed and started again", fmt.Sprintf("port back after %s, outputs again after %s, the same process of ours", back.Round(time.Millisecond), time.Since(began).Round(time.Millisecond)), true}}, nil
		}
		if err := lab.Pause(limit, 100*time.Millisecond); err != nil {
			return nil, fmt.Errorf("no outputs after the broker came back: %w", err)
		}
	}
}

// prefix checks that every record below the committed offsets has an outcome.
func (l *campaign) prefix(ctx context.Context, s lab.Setup) ([]fact, error) {
	committed := map[int32]int64{}
	offsets, err := l.Admin.FetchOffsets(ctx, s.Group)
	if err != nil {
		return nil, err
	}
	total := 0
	offsets.Each(func(o kadm.OffsetResponse) { committed[o.Partition] = o.At; total += int(o.At) })
	seen, records := map[string]bool{}, 0
	if err := l.ReadAll(ctx, s.Output, func(r *kgo.Record) error {
		records++
		for _, h := range r.Headers {
			if h.Key == "x-source" {
				seen[string(h.Value)] = true
			}
		}
		return nil
	}); err != nil {
		return nil, err
	}
	lost := 0
	for p, end := range committed {
		for o := range end {
			if !seen[fmt.Sprintf("%s/%d/%d", s.Input, p, o)] {
				lost++
			}
		}
	}
	return []fact{
		{"committed records without an outcome", fmt.Sprintf("%d of %d", lost, total), lost == 0 && total > 0},
		{"outcomes twice", fmt.Sprint(records - len(seen)), records-len(seen) <= 2*maxInFlight},
	}, nil
}

// cgroup is a memory cgroup without swap, version 1 or 2.
type cgroup struct {
	path  string
	limit int64
	v2    bool
}

func memoryCgroup(name string, limit int64) (*cgroup, error) {
	g := &cgroup{path: filepath.Join("/sys/fs/cgroup/memory", "sluice-"+name), limit: limit}
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		g.path, g.v2 = filepath.Join("/sys/fs/cgroup", "sluice-"+name), true
	}
	if err := os.Mkdir(g.path, 0o755); err != nil {
		return nil, fmt.Errorf("make a memory cgroup (root is needed): %w", err)
	}
	file := map[bool]string{false: "memory.limit_in_bytes", true: "memory.max"}[g.v2]
	if err := os.WriteFile(filepath.Join(g.path, file), []byte(strconv.FormatInt(limit, 10)), 0o644); err != nil {
		return nil, err
	}
	swap := map[bool][2]string{false: {"memory.swappiness", "0"}, true: {"memory.swap.max", "0"}}[g.v2]
	return g, os.WriteFile(filepath.Join(g.path, swap[0]), []byte(swap[1]), 0o644)
}

// fact tells whether the kernel killed anything in the cgroup.
func (g *cgroup) fact() fact {
	file := map[bool]string{false: "memory.oom_control", true: "memory.events"}[g.v2]
	data, err := os.ReadFile(filepath.Join(g.path, file))
	kills := "none recorded"
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "oom_kill "); ok {
			kills = strings.TrimSpace(rest)
		}
	}
	return fact{"killed for memory by the cgroup", kills, err == nil && (kills == "0" || kills == "none recorded")}
}
