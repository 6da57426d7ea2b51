//go:build integration

package main

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluice-ml/sluice/internal/kafkatest"
)

// A real broker cannot refuse one partition of a topic on demand, so this runs on
// kfake; it is an integration test because the producer's patience is in real time.
func TestUnwritableOutputPartitionHoldsNoOther(t *testing.T) {
	t.Parallel()
	const partitions, each = 4, 1000
	cluster, brokers := kafkatest.Kfake(t)
	w := newWorldAt(t, brokers, partitions)
	s := start(t, w.with("output.partition=same", "input.max_in_flight=64")...)
	s.await("ready") // it starts with all writable: the start check would refuse
	bad := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: w.out, Partitions: []int32{1}, Err: kerr.TopicAuthorizationFailed, Count: -1})
	w.put(w.rows(0, partitions*each)...)

	// All of the healthy ones' records come, though only 64 may be in flight and
	// the bad partition has its 1000 waiting.
	eventually(t, "the healthy partitions are done", func() bool { return len(w.outputs()) == (partitions-1)*each })
	kafkatest.Eventually(t, 30*time.Second, "one partition stands", func(context.Context) bool {
		return metric(t, s.base(), `sluice_stopped_partitions{reason="output"}`) == 1 //nolint:contextcheck // the test's own context bounds it
	})
	more := w.rows(partitions*each, partitions*each)
	w.put(more...)
	eventually(t, "the healthy partitions go on", func() bool { return len(w.outputs()) == 2*(partitions-1)*each })

	bad.Remove()
	w.settled()
	s.end(exitOK)
	if outputs := w.outputs(); len(outputs) != 2*partitions*each || len(copies(outputs)) != len(outputs) || len(w.letters()) != 0 {
		t.Errorf("%d outputs of %d ids, %d dead letters; want %d, each once\n%s", len(outputs), len(copies(outputs)), len(w.letters()), 2*partitions*each, s.log)
	}
}
