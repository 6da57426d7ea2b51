package kafka

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-ml/sluice/internal/kafkawire"
)

func TestMissingTopicGivesUpAfterTheGraceAndRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newScripted(map[string]int{"healthy": 1})
		p, f := start(t, b, ProducerConfig{}), newFates()
		produce(p, f, "missing", 0, "a", 10)
		produce(p, f, "healthy", 0, "ok", 10)
		pass(9 * time.Second)
		if f.count() != 10 {
			t.Fatalf("%d records have their fate within the grace, want the healthy topic's 10", f.count())
		}
		pass(2500 * time.Millisecond)

		err, _ := f.get("a9")
		if !errors.Is(err, ErrUnwritable) || !errors.Is(err, kafkawire.ErrUnknownTopicOrPartition) || !strings.Contains(err.Error(), "--create --topic missing") {
			t.Fatalf("after the grace: %v", err)
		}

		pass(time.Minute) // the next record is a probe
		b.set(func() { b.logs["missing"] = newScripted(map[string]int{"x": 1}).logs["x"] })
		produce(p, f, "missing", 0, "c", 1)
		pass(3 * time.Second)
		if err, ok := f.get("c0"); err != nil || !ok {
			t.Errorf("after the topic was made: completed %v with %v", ok, err)
		}
		if n := p.meters.unwritable.Value(); n != 0 {
			t.Errorf("%v partitions counted as unwritable after the recovery", n)
		}
	})
}

func TestUnauthorisedPartitionRefusesAtOnceUntilAProbeSucceeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newScripted(map[string]int{"out": 2})
		denied := true
		b.plan = func(_ string, partition int32, _ int) fault {
			if partition == 0 && denied {
				return fault{code: kafkawire.ErrTopicAuthorization}
			}
			return fault{}
		}
		p, f := start(t, b, ProducerConfig{}), newFates()
		produce(p, f, "out", 0, "a", 100)
		pass(12 * time.Second)
		if err, _ := f.get("a99"); !errors.Is(err, ErrUnwritable) || f.count() != 100 {
			t.Fatalf("%d of 100 gave up: %v", f.count(), err)
		}

		asked := b.sent()
		produce(p, f, "out", 0, "b", 1) // either refused at once or a probe that fails fast
		produce(p, f, "out", 1, "ok", 1)
		pass(100 * time.Millisecond)
		produce(p, f, "out", 0, "c", 50)
		pass(100 * time.Millisecond)
		if err, _ := f.get("c49"); !errors.Is(err, ErrUnwritable) {
			t.Errorf("while open: %v", err)
		}
		if err, _ := f.get("ok0"); err != nil {
			t.Errorf("the healthy partition: %v", err)
		}
		if b.sent() > asked+2 {
			t.Errorf("%d requests for records that fail at once", b.sent()-asked)
		}

		b.set(func() { denied = false })
		pass(6 * time.Second)
		produce(p, f, "out", 0, "d", 3)
		pass(time.Second)
		if err, ok := f.get("d2"); err != nil || !ok {
			t.Errorf("after the ACL came: completed %v with %v", ok, err)
		}
	})
}

func TestNoProducerIDGivesUpWithTheACL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newScripted(map[string]int{"out": 1})
		b.initID = kafkawire.ErrClusterAuthorization
		p, f := start(t, b, ProducerConfig{}), newFates()
		produce(p, f, "out", 0, "a", 1)
		pass(15 * time.Second)
		if err, _ := f.get("a0"); !errors.Is(err, ErrUnwritable) || !strings.Contains(err.Error(), "IdempotentWrite") {
			t.Errorf("completed with %v", err)
		}
	})
}

func TestGivingUpOnADoubtfulBatchCountsItAndRestartsTheSequence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newScripted(map[string]int{"out": 1})
		first, denied := true, true
		b.plan = func(string, int32, int) fault {
			switch {
			case first:
				first = false
				return fault{lost: true, appended: true}
			case denied:
				return fault{code: kafkawire.ErrTopicAuthorization}
			}
			return fault{}
		}
		p, f := start(t, b, ProducerConfig{}), newFates()
		produce(p, f, "out", 0, "a", 4)
		pass(15 * time.Second)
		b.set(func() { denied = false })
		pass(6 * time.Second)
		produce(p, f, "out", 0, "b", 2)
		pass(time.Second)

		if n := p.meters.maybeDuplicate.Count(); n != 4 {
			t.Errorf("%d records counted as perhaps repeated, want 4", n)
		}
		// With the old sequence the broker would take b for a, and not store it.
		if got := b.values(0); len(got) != 6 || got[4] != "b0" {
			t.Errorf("log has %v", got)
		}
	})
}
