package kafka

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-ml/sluice/internal/kafkawire"
)

// once answers the first batch of out/0 with a fault and the rest without.
func once(f fault) func(string, int32, int) fault {
	used := false
	return func(_ string, partition int32, _ int) fault {
		if used || partition != 0 {
			return fault{}
		}
		used = true
		return f
	}
}

// Every code that is retried is retried with the same bytes, at the same place.
func TestRetriableCodesEndInOneCopy(t *testing.T) {
	for code, r := range actions {
		if r.action != again && r.action != relocate && r.action != persist {
			continue
		}
		for _, appended := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s appended %v", code.Name(), appended), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := newScripted(map[string]int{"out": 1})
					b.plan = once(fault{code: code, appended: appended})
					p, f := start(t, b, ProducerConfig{}), newFates()
					produce(p, f, "out", 0, "v", 3)
					pass(5 * time.Second)
					if got := b.values(0); !slices.Equal(got, []string{"v0", "v1", "v2"}) {
						t.Errorf("log has %v", got)
					}
					if err, ok := f.get("v2"); err != nil || !ok {
						t.Errorf("completed %v with %v", ok, err)
					}
				})
			})
		}
	}
}

func TestDuplicateSequenceIsSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newScripted(map[string]int{"out": 1})
		b.plan = once(fault{code: kafkawire.ErrDuplicateSequence, appended: true})
		p, f := start(t, b, ProducerConfig{}), newFates()
		produce(p, f, "out", 0, "a", 1)
		pass(time.Second)
		produce(p, f, "out", 0, "b", 1)
		pass(time.Second)
		if got := b.values(0); !slices.Equal(got, []string{"a0", "b0"}) {
			t.Errorf("log has %v", got)
		}
	})
}

func TestUnknownSequenceGetsANewProducerID(t *testing.T) {
	for _, code := range []kafkawire.ErrorCode{
		kafkawire.ErrOutOfOrderSequence, kafkawire.ErrInvalidProducerEpoch,
		kafkawire.ErrInvalidProducerIDMapping, kafkawire.ErrUnknownProducerID,
	} {
		t.Run(code.Name(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newScripted(map[string]int{"out": 2})
				p, f := start(t, b, ProducerConfig{}), newFates()
				produce(p, f, "out", 0, "a", 3)
				produce(p, f, "out", 1, "other", 3)
				pass(time.Second)
				b.set(func() { b.plan = once(fault{code: code}) })
				produce(p, f, "out", 0, "b", 3)
				pass(time.Second)
				produce(p, f, "out", 0, "c", 3)
				produce(p, f, "out", 1, "other2-", 3)
				pass(time.Second)

				want := []string{"a0", "a1", "a2", "b0", "b1", "b2", "c0", "c1", "c2"}
				if got := b.values(0); !slices.Equal(got, want) {
					t.Errorf("log has %v", got)
				}
				if len(b.values(1)) != 6 || b.initIDs != 2 {
					t.Errorf("the other partition has %d of 6 records, %d producer ids", len(b.values(1)), b.initIDs)
				}
				if n := p.meters.maybeDuplicate.Count(); n != 0 {
					t.Errorf("%d records counted as perhaps repeated, but none was in doubt", n)
				}
			})
		})
	}
}

func TestReplacedProducerIDCountsWhatWasInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newScripted(map[string]int{"out": 1})
		answers := []fault{{lost: true, appended: true}, {code: kafkawire.ErrOutOfOrderSequence}}
		b.plan = func(string, int32, int) (f fault) {
			if len(answers) > 0 {
				f, answers = answers[0], answers[1:]
			}
			return f
		}
		p, f := start(t, b, ProducerConfig{}), newFates()
		produce(p, f, "out", 0, "v", 3)
		pass(5 * time.Second)
		if got := len(b.values(0)); got != 6 {
			t.Fatalf("the script wrote %d records, want 3 twice", got)
		}
		if n := p.meters.maybeDuplicate.Count(); n != 3 {
			t.Errorf("%d records counted as perhaps repeated, want 3", n)
		}
	})
}

func TestTooLargeBatchIsSplitToTheGuiltyRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newScripted(map[string]int{"out": 1})
		b.maxBytes = 500
		p, f := start(t, b, ProducerConfig{Linger: time.Millisecond}), newFates()
		produce(p, f, "out", 0, "a", 20)
		big := make([]byte, 600)
		p.Produce(&Record{Topic: "out", Value: big}, f.done("big"))
		produce(p, f, "out", 0, "b", 20)
		pass(5 * time.Second)

		if err, _ := f.get("big"); !errors.Is(err, ErrTooLarge) {
			t.Errorf("the large record ended with %v", err)
		}
		got := b.values(0)
		if len(got) != 40 || got[0] != "a0" || got[20] != "b0" || got[39] != "b19" {
			t.Errorf("log has %d records: %v", len(got), got)
		}
	})
}

func TestRefusedTimestampIsRetriedWithNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newScripted(map[string]int{"out": 1})
		now := time.Now().UnixMilli()
		b.refuseTimestampsBefore = now - 1000
		p, f := start(t, b, ProducerConfig{}), newFates()
		produce(p, f, "out", 0, "old", 3)
		pass(time.Second)
		b.set(func() {
			b.refuseTimestampsBefore = 0
			b.plan = once(fault{code: kafkawire.ErrInvalidTimestamp, named: []int32{1}})
		})
		produce(p, f, "out", 0, "one", 3)
		pass(time.Second)

		entries := b.logs["out"][0].entries
		if len(entries) != 6 {
			t.Fatalf("log has %d of 6 records", len(entries))
		}
		for i, e := range entries {
			if retimed := e.ts >= now; retimed != (i < 3 || i == 4) {
				t.Errorf("%s has timestamp %d", e.value, e.ts)
			}
		}
	})
}

func TestRefusedRecordFailsAlone(t *testing.T) {
	for name, named := range map[string][]int32{"named": {2}, "not named": nil, "named wrongly": {99}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newScripted(map[string]int{"out": 1})
				left := map[int]bool{5: true, 3: true, 2: true, 1: true} // sizes that hold record 2
				b.plan = func(_ string, _ int32, records int) fault {
					if !left[records] {
						return fault{}
					}
					delete(left, records)
					if named != nil && named[0] == 2 {
						clear(left)
					}
					return fault{code: kafkawire.ErrInvalidRecord, named: named}
				}
				p, f := start(t, b, ProducerConfig{Linger: time.Millisecond}), newFates()
				produce(p, f, "out", 0, "v", 5)
				pass(5 * time.Second)
				refused := 0
				for i := range 5 {
					if err, _ := f.get(fmt.Sprint("v", i)); errors.Is(err, ErrRefused) {
						refused++
					}
				}
				if refused != 1 || len(b.values(0)) != 4 {
					t.Errorf("%d refused, log has %v", refused, b.values(0))
				}
			})
		})
	}
}

func TestRecordThatFailsWhileInDoubtTakesItsSequenceAlong(t *testing.T) {
	for code, want := range map[kafkawire.ErrorCode]error{
		kafkawire.ErrMessageTooLarge: ErrTooLarge, kafkawire.ErrInvalidRecord: ErrRefused,
	} {
		t.Run(code.Name(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newScripted(map[string]int{"out": 1})
				// In the log, unanswered; before the retry the topic's settings change.
				answers := []fault{{lost: true, appended: true}, {code: code}}
				b.plan = func(string, int32, int) (f fault) {
					if len(answers) > 0 {
						f, answers = answers[0], answers[1:]
					}
					return f
				}
				p, f := start(t, b, ProducerConfig{}), newFates()
				produce(p, f, "out", 0, "a", 1)
				pass(5 * time.Second)
				produce(p, f, "out", 0, "b", 1)
				pass(5 * time.Second)

				if err, _ := f.get("a0"); !errors.Is(err, want) {
					t.Errorf("the refused record ended with %v, want %v", err, want)
				}
				if got := b.values(0); !slices.Contains(got, "b0") {
					t.Errorf("log has %v: the next record was taken for a repeat of the first", got)
				}
				if n := p.meters.maybeDuplicate.Count(); n != 1 {
					t.Errorf("%d records counted as in doubt, want 1", n)
				}
			})
		})
	}
}

func TestThrottledLeaderIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newScripted(map[string]int{"out": 1})
		b.plan = once(fault{throttle: 3 * time.Second})
		p, f := start(t, b, ProducerConfig{}), newFates()
		produce(p, f, "out", 0, "a", 1)
		pass(time.Second)
		produce(p, f, "out", 0, "b", 1)
		pass(time.Second)
		if f.count() != 1 {
			t.Fatalf("%d records written while throttled, want 1", f.count())
		}
		pass(2 * time.Second)
		if f.count() != 2 {
			t.Errorf("%d records written after the throttle, want 2", f.count())
		}
	})
}

// An outage is no fault of the records: retried without end, in order.
func TestOutageIsRetriedWithoutEnd(t *testing.T) {
	for name, f := range map[string]fault{
		"no network":        {lost: true},
		"too few replicas":  {code: kafkawire.ErrNotEnoughReplicas},
		"no leader":         {code: kafkawire.ErrLeaderNotAvailable},
		"replicas are late": {code: kafkawire.ErrRequestTimedOut, appended: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newScripted(map[string]int{"out": 1})
				over := time.Now().Add(time.Hour)
				b.plan = func(string, int32, int) fault {
					if time.Now().After(over) {
						return fault{}
					}
					return f
				}
				p, fates := start(t, b, ProducerConfig{}), newFates()
				produce(p, fates, "out", 0, "v", 5)
				pass(59 * time.Minute)
				if fates.count() != 0 {
					t.Fatalf("%d records gave up during the outage", fates.count())
				}
				if b.sent() > 2*3600 {
					t.Errorf("%d requests in an hour: a hot loop", b.sent())
				}
				pass(2 * time.Minute)
				if got := b.values(0); !slices.Equal(got, []string{"v0", "v1", "v2", "v3", "v4"}) {
					t.Errorf("log has %v", got)
				}
			})
		})
	}
}
