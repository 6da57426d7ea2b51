package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-ml/sluice/deploy/bench/lab"
)

// arrival is an output as a reader in read_committed received it.
type arrival struct {
	at        time.Time
	id        int
	partition int32 // of the output: its input's, for both go by the key
}

// watch follows the outputs while a measuring kind runs. Safe for concurrent use.
type watch struct {
	mu        sync.Mutex
	published []time.Time // by id: before it was sent
	begun     int         // the ids before do not count
	arrivals  []arrival
}

// publish notes the next ids.
func (w *watch) publish(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	for range n {
		w.published = append(w.published, now)
	}
}

// begin lets the ids so far count for nothing.
func (w *watch) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.begun = len(w.published)
}

// follow reads the output topic until ctx is done.
func (w *watch) follow(ctx context.Context, brokers []string, topic string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topic), kgo.FetchMaxWait(100*time.Millisecond),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer client.Close()
	for ctx.Err() == nil {
		fetches := client.PollFetches(ctx)
		now := time.Now()
		w.mu.Lock()
		for rec := range fetches.RecordsAll() {
			if id, ok := outputID(rec.Value); ok {
				w.arrivals = append(w.arrivals, arrival{now, id, rec.Partition})
			}
		}
		w.mu.Unlock()
	}
	return nil
}

// outputID is the id of an output. The usual form is read by hand: the reader must not
// fall behind at the rates that the members reach.
func outputID(value []byte) (id int, ok bool) {
	rest, ok := bytes.CutPrefix(value, []byte(`{"id":`))
	if end := bytes.IndexByte(rest, ','); ok && end > 0 {
		if id, err := strconv.Atoi(string(rest[:end])); err == nil {
			return id, true
		}
	}
	var result struct{ ID *int }
	if json.Unmarshal(value, &result) != nil || result.ID == nil {
		return 0, false
	}
	return *result.ID, true
}

// first waits for the first output, in one of the partitions (nil: any), of a record
// that was published after a moment, and gives the time from then. So what was under
// way at that moment does not count.
func (w *watch) first(ctx context.Context, moment time.Time, partitions []int32) (time.Duration, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 2*time.Minute, fmt.Errorf("no new output of partitions %v", partitions))
	defer cancel()
	for next := 0; ; {
		w.mu.Lock()
		for ; next < len(w.arrivals); next++ {
			a := w.arrivals[next]
			if a.id >= 0 && a.id < len(w.published) && w.published[a.id].After(moment) && (partitions == nil || slices.Contains(partitions, a.partition)) {
				w.mu.Unlock()
				return a.at.Sub(moment), nil
			}
		}
		w.mu.Unlock()
		if err := lab.Pause(ctx, 5*time.Millisecond); err != nil {
			return 0, err
		}
	}
}

// pauses are, by partition, the longest times without an output from one moment to
// another.
func (w *watch) pauses(from, to time.Time) map[int32]time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	last, longest := map[int32]time.Time{}, map[int32]time.Duration{}
	for p := range int32(lab.Partitions) {
		last[p] = from
	}
	for _, a := range w.arrivals {
		if a.at.After(from) && a.at.Before(to) {
			longest[a.partition] = max(longest[a.partition], a.at.Sub(last[a.partition]))
			last[a.partition] = a.at
		}
	}
	for p, at := range last {
		longest[p] = max(longest[p], to.Sub(at))
	}
	return longest
}

// latencies are the seconds from publishing to the first receipt, sorted.
func (w *watch) latencies() []float64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := make([]bool, len(w.published))
	var seconds []float64
	for _, a := range w.arrivals {
		if a.id >= w.begun && a.id < len(seen) && !seen[a.id] {
			seen[a.id] = true
			seconds = append(seconds, a.at.Sub(w.published[a.id]).Seconds())
		}
	}
	slices.Sort(seconds)
	return seconds
}
