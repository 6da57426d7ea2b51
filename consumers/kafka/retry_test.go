package kafka

import (
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
