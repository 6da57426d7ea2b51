package kafka

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestRecordsThatAreLateAlreadyWaitForCompany(t *testing.T) {
	for name, c := range map[string]struct{ linger, waited, want time.Duration }{
		"fresh":        {time.Millisecond, 0, time.Millisecond},
		"on its way":   {time.Millisecond, 2 * time.Millisecond, time.Millisecond},
		"late":         {time.Millisecond, 12 * time.Millisecond, 6 * time.Millisecond},
		"very late":    {time.Millisecond, time.Minute, late * time.Millisecond},
		"not to wait":  {0, time.Minute, 0},
		"clock behind": {time.Millisecond, -time.Minute, time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newScripted(map[string]int{"out": 1})
				began := time.Now()
				var sent []time.Duration
				b.plan = func(string, int32, int) fault {
					sent = append(sent, time.Since(began))
					return fault{}
				}
				p, f := start(t, b, ProducerConfig{Linger: c.linger}), newFates()
				produce(p, f, "out", 0, "first", 1)
				synctest.Wait()
				p.Produce(&Record{Topic: "out", Value: []byte("second"), Waited: c.waited}, func(int32, int64, error) {})
				for range 12 {
					pass(time.Millisecond)
				}
				if len(sent) != 2 || sent[1] != c.want {
					t.Errorf("requests at %v, want the second at %v", sent, c.want)
				}
			})
		})
	}
}

// Load shows in the time that items have been under way: then their outputs wait longer
// for company than the linger says.
func TestOutputsOfItemsThatWaitedWaitForCompany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newScripted(map[string]int{"out": 1})
		began := time.Now()
		var sent []time.Duration
		b.plan = func(string, int32, int) fault {
			sent = append(sent, time.Since(began))
			return fault{}
		}
		cfg := testConfig()
		cfg.Linger = time.Millisecond
		s := startSink(t, b, cfg)
		send(t, s, newItem("in", 0, 1))
		synctest.Wait()
		began = time.Now()
		late := newItem("in", 0, 2)
		late.FetchedAt = time.Now().Add(-8 * time.Millisecond).UnixNano()
		send(t, s, late)
		pass(20 * time.Millisecond)
		if len(sent) != 2 || sent[1] != 4*time.Millisecond {
			t.Errorf("requests at %v, want the second after 4ms", sent)
		}
	})
}
