package kafka

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-ml/sluice/internal/kafkawire"
)

// After a killed broker of a fault campaign a partition that had to be opened again
// waited up to half a minute more, for its pauses had grown with each failed try.
func TestAPartitionThatCannotBeOpenedIsTriedAgainSoonHoweverLongTheOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := &generation{openWake: make(chan struct{}, 1)}
		p := &partition{g: g, phase: opening, again: newBackoff(100*time.Millisecond, 2*time.Second), retry: newBackoff(250*time.Millisecond, maxRetryInterval)}
		began := time.Now()
		for time.Since(began) < 5*time.Minute {
			p.later(&kafkawire.NetError{API: "OffsetFetch", Addr: "broker:9092"})
			wait := time.Until(p.notBefore)
			if wait > 2500*time.Millisecond {
				t.Fatalf("after %v the next try is %v later", time.Since(began), wait)
			}
			time.Sleep(wait)
		}
		if p.trouble == nil || p.trouble.reason != reasonUnavailable {
			t.Errorf("trouble %+v", p.trouble)
		}
	})
}

// A delivery that failed begins a partition anew; a fetch that was under way and fails
// after that must not lead it past its opening: without an epoch it would be fetched
// and never decoded, until the next rebalance. Seed 284 of the simulator.
func TestAFailedFetchLeavesAPartitionAloneThatBeginsAnew(t *testing.T) {
	t.Parallel()
	client, err := kafkawire.NewClient(kafkawire.Config{Brokers: []string{"broker:9092"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	g := &generation{s: &Source{client: client, once: newOnceLog(slog.New(slog.DiscardHandler))}, openWake: make(chan struct{}, 1), routeWake: make(chan struct{}, 1)}
	for want, began := range map[phase]struct {
		phase phase
		at    int64
	}{opening: {opening, 7}, ranging: {ranging, 7}, routing: {fetching, 7}, fetching: {fetching, 8}} {
		p := &partition{g: g, phase: began.phase, fetchPos: began.at, inFetch: true, again: newBackoff(100*time.Millisecond, 2*time.Second)}
		(&fetcher{g: g}).failed(t.Context(), &request{parts: []wanted{{p, 7}}}, &kafkawire.NetError{API: "Fetch", Addr: "broker:9092"})
		if p.phase != want || p.inFetch {
			t.Errorf("%v at %d: now %v (fetched: %v), want %v", began.phase, began.at, p.phase, p.inFetch, want)
		}
	}
}
