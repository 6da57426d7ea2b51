package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os/exec"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// readAll hands every record of a topic up to its present end to f, read by
// franz-go in read_committed.
func (l *lab) readAll(ctx context.Context, topic string, f func(*kgo.Record) error) error {
	ends, err := l.admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return err
	}
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	if len(left) == 0 {
		return nil
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(l.brokers...), kgo.ConsumeTopics(topic),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer client.Close()
	for len(left) > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		for _, r := range fetches.Records() {
			if err := f(r); err != nil {
				return err
			}
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		}
	}
	return nil
}

// end is the sum of a topic's end offsets.
func (l *lab) end(ctx context.Context, topic string) (int64, error) {
	ends, err := l.admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return 0, err
	}
	sum := int64(0)
	ends.Each(func(o kadm.ListedOffset) { sum += o.Offset })
	return sum, ends.Error()
}

// lag is what the group has not committed of a topic.
func (l *lab) lag(ctx context.Context, group, topic string) (int64, error) {
	end, err := l.end(ctx, topic)
	if err != nil {
		return 0, err
	}
	offsets, err := l.admin.FetchOffsets(ctx, group)
	if err != nil {
		return 0, err
	}
	offsets.Each(func(o kadm.OffsetResponse) {
		if o.Topic == topic && o.At > 0 {
			end -= o.At
		}
	})
	return end, offsets.Error()
}

// caughtUp waits until the group's lag is 0, or until no progress was made for
// a minute.
func (l *lab) caughtUp(ctx context.Context, group, topic string) error {
	last, moved := int64(-1), time.Now()
	for {
		lag, err := l.lag(ctx, group, topic)
		if err == nil && lag == 0 {
			return nil
		}
		if err == nil && lag != last {
			last, moved = lag, time.Now()
		}
		if time.Since(moved) > time.Minute {
			return fmt.Errorf("group %s stands still with lag %d (last error: %w)", group, last, err)
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// tally is what an output topic holds.
type tally struct {
	counts               []int // by id
	records, unknown     int
	wrong                int
	worst                float64 // largest |d| - 1e-5*|ref|
	lost, extra, maximum int
}

// prediction is the shape of a json result.
type prediction struct {
	ID      string               `json:"id"`
	Outputs map[string][]float64 `json:"outputs"`
}

// tallyOutputs counts ids and compares outputs with the reference.
func (l *lab) tallyOutputs(ctx context.Context, topic string, n int, raw bool) (*tally, error) {
	want, err := l.expected()
	if err != nil {
		return nil, err
	}
	t := &tally{counts: make([]int, n)}
	got := make([]float64, 10)
	err = l.readAll(ctx, topic, func(r *kgo.Record) error {
		t.records++
		var i int
		values := got
		if raw {
			i = index(string(r.Key))
			for j := range got {
				if len(r.Value) == 40 {
					got[j] = float64(math.Float32frombits(binary.LittleEndian.Uint32(r.Value[4*j:])))
				}
			}
		} else {
			var p prediction
			if err := json.Unmarshal(r.Value, &p); err != nil {
				return fmt.Errorf("output %d/%d is not JSON: %w", r.Partition, r.Offset, err)
			}
			i, values = index(p.ID), p.Outputs["y"]
		}
		if i < 0 || i >= n || len(values) != 10 {
			t.unknown++
			return nil
		}
		t.counts[i]++
		t.compare(values, want[i])
		return nil
	})
	t.sum()
	return t, err
}

func (t *tally) compare(got []float64, want []float32) {
	bad := false
	for j, w := range want {
		over := math.Abs(got[j]-float64(w)) - 1e-5*math.Abs(float64(w))
		t.worst = max(t.worst, over)
		if !(over <= 1e-5) {
			bad = true
		}
	}
	if bad {
		t.wrong++
	}
}

func (t *tally) sum() {
	for _, c := range t.counts {
		if c == 0 {
			t.lost++
		}
		if c > 1 {
			t.extra += c - 1
		}
		t.maximum = max(t.maximum, c)
	}
}

func (t *tally) facts(extraBound int) []fact {
	return []fact{
		{"ids predicted", fmt.Sprintf("%d of %d, lost %d", len(t.counts)-t.lost, len(t.counts), t.lost), t.lost == 0 && t.unknown == 0},
		{"outputs unlike the reference", fmt.Sprintf("%d of %d (worst |d|-1e-5|ref| %.2g)", t.wrong, t.records, t.worst), t.wrong == 0},
		{"duplicates", fmt.Sprintf("%d (bound %d)", t.extra, extraBound), t.extra <= extraBound},
	}
}

func index(id string) int {
	if len(id) < 2 || id[0] != 'r' {
		return -1
	}
	i, err := strconv.Atoi(id[1:])
	if err != nil {
		return -1
	}
	return i
}

// kcatCount counts a topic's records with kcat, -1 where kcat is not installed.
func (l *lab) kcatCount(ctx context.Context, topic string) (int, error) {
	path, err := exec.LookPath("kcat")
	if err != nil {
		return -1, nil //nolint:nilerr // kcat is a second opinion: franz-go has counted already
	}
	out, err := exec.CommandContext(ctx, path, "-b", l.brokers[0], "-C", "-t", topic, "-o", "beginning", "-e", "-q", "-f", "%p %o\n").Output()
	if err != nil {
		return 0, fmt.Errorf("kcat -C -t %s: %w", topic, err)
	}
	return bytes.Count(out, []byte("\n")), nil
}
