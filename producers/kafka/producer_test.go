package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-ml/sluice/internal/kafkawire"
	"github.com/sluice-ml/sluice/schemas"
)

func TestLingerGathersOneBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newScripted(map[string]int{"out": 1})
		var sizes []int
		b.plan = func(_ string, _ int32, records int) fault {
			sizes = append(sizes, records)
			return fault{}
		}
		p, f := start(t, b, ProducerConfig{Linger: 10 * time.Millisecond}), newFates()
		produce(p, f, "out", 0, "first", 1)
		pass(time.Millisecond)
		if !slices.Equal(sizes, []int{1}) {
			t.Errorf("batches of %v records, want the first record after a silence at once", sizes)
		}
		begun := time.Now()
		for i := range 5 {
			p.Produce(&Record{Topic: "out", Value: []byte{byte(i)}}, f.done(strconv.Itoa(i)))
			pass(time.Millisecond)
		}
		for f.count() < 6 {
			pass(time.Millisecond)
		}

		if !slices.Equal(sizes, []int{1, 5}) {
			t.Errorf("batches of %v records, want one of 5 after the first", sizes)
		}
		if took := time.Since(begun); took < 9*time.Millisecond || took > 11*time.Millisecond {
			t.Errorf("sent after %v, want 10ms from the request before", took)
		}
	})
}

func TestRecordsWaitForTheAnswerUnderWayButNotForASlowOne(t *testing.T) {
	for name, c := range map[string]struct{ answer, want time.Duration }{
		"the answer comes": {3 * time.Millisecond, 3 * time.Millisecond},
		"the answer stays": {time.Second, (1 + patience) * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newScripted(map[string]int{"out": 4}) // 3 nodes: 0 and 3 share one
				began := time.Now()
				var sent []time.Duration
				b.plan = func(string, int32, int) fault {
					sent = append(sent, time.Since(began).Round(time.Millisecond))
					return fault{delay: c.answer}
				}
				p, f := start(t, b, ProducerConfig{Linger: time.Millisecond}), newFates()
				produce(p, f, "out", 0, "first", 1)
				pass(time.Millisecond)
				produce(p, f, "out", 3, "second", 1)
				for f.count() < 2 {
					pass(time.Millisecond)
				}
				if len(sent) != 2 || sent[0] != 0 || sent[1] != c.want {
					t.Errorf("requests at %v, want at 0 and %v", sent, c.want)
				}
			})
		})
	}
}

func TestNoLingerSendsAtOnceAndBatchesWhileBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newScripted(map[string]int{"out": 1})
		var sizes []int
		b.plan = func(_ string, _ int32, records int) fault {
			sizes = append(sizes, records)
			return fault{delay: 10 * time.Millisecond}
		}
		p, f := start(t, b, ProducerConfig{}), newFates()
		produce(p, f, "out", 0, "first", 1)
		pass(time.Millisecond)
		for i := range 7 {
			produce(p, f, "out", 0, fmt.Sprint("more", i), 1)
			pass(time.Millisecond)
		}
		pass(time.Second)

		if !slices.Equal(sizes, []int{1, 7}) {
			t.Errorf("batches of %v records, want 1 at once and 7 when the answer came", sizes)
		}
	})
}

func TestBatchBytesNeverPassTheTopicsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newScripted(map[string]int{"out": 1})
		b.maxBytes = 1000
		b.config["max.message.bytes"] = "1000"
		p, f := start(t, b, ProducerConfig{Linger: time.Millisecond}), newFates()
		produce(p, f, "out", 0, "lobby", 1) // before the limit is known
		pass(time.Second)
		refused := 0
		b.plan = func(string, int32, int) fault { refused++; return fault{} }
		produce(p, f, "out", 0, "v", 500)
		pass(time.Second)

		if got := len(b.values(0)); got != 501 {
			t.Fatalf("%d of 501 records written", got)
		}
		if n := p.meters.retries.With("MESSAGE_TOO_LARGE").Count(); n != 0 {
			t.Errorf("%d batches were too large for the topic", n)
		}
	})
}

func TestOneRequestPerLeaderCarriesItsPartitions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newScripted(map[string]int{"out": 6, "dead": 3}) // 3 nodes
		p, f := start(t, b, ProducerConfig{Linger: 5 * time.Millisecond}), newFates()
		for i := range 6 {
			produce(p, f, "out", int32(i), fmt.Sprint("a", i), 1)
		}
		for i := range 3 {
			produce(p, f, "dead", int32(i), fmt.Sprint("d", i), 1)
		}
		pass(time.Second)

		// The first records of each leader leave at once, with or without company.
		if f.count() != 9 || b.sent() > 6 {
			t.Errorf("%d records in %d requests, want 9 in 3 to 6", f.count(), b.sent())
		}
	})
}

func TestKeysGoWhereJavaPutsThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newScripted(map[string]int{"out": 8})
		p := start(t, b, ProducerConfig{})
		// org.apache.kafka.common.utils.Utils: toPositive(murmur2(key)) % 8
		want := map[string]int32{"21": 4, "foobar": 6, "a-little-bit-long-string": 0, "": 1}
		f := newFates()
		for _, when := range []string{"through the lobby", "straight"} {
			for key := range want {
				p.Produce(&Record{Topic: "out", Partition: ByKey, Key: []byte(key)}, f.done(when+key))
			}
			pass(time.Second)
			for key, partition := range want {
				if got := f.at[when+key][0]; got != int64(partition) {
					t.Errorf("%s: key %q went to partition %d, want %d", when, key, got, partition)
				}
			}
		}
	})
}

func TestRecordsWithoutKeyStickToAPartitionForABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newScripted(map[string]int{"out": 3})
		p, f := start(t, b, ProducerConfig{Linger: 5 * time.Millisecond}), newFates()
		produce(p, f, "out", 0, "known", 1)
		pass(time.Second)
		var batches [][2]int // partition, records
		b.plan = func(_ string, partition int32, records int) fault {
			batches = append(batches, [2]int{int(partition), records})
			return fault{}
		}
		const rounds, each = 6, 10
		for round := range rounds {
			produce(p, f, "out", ByKey, fmt.Sprintf("r%d-", round), each)
			pass(time.Second)
		}

		// The first of a round may leave before its fellows are there.
		total := 0
		for i, batch := range batches {
			total += batch[1]
			if i > 0 && batch[0] == batches[i-1][0] {
				t.Errorf("two batches in a row to one partition: %v", batches)
			}
		}
		if total != rounds*each || len(batches) > 2*rounds {
			t.Errorf("%d records in the batches %v, want %d in at most two a round", total, batches, rounds*each)
		}
	})
}

func TestNoRecordWithoutKeyBeginsABatchWhereTheTurnHasMovedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newScripted(map[string]int{"out": 2})
		p, f := start(t, b, ProducerConfig{}), newFates()
		produce(p, f, "out", 0, "known", 1)
		pass(time.Second)
		to := p.topic("out")
		parts := *to.parts.Load()
		rec := &Record{Topic: "out", Partition: ByKey, Value: []byte("late")}
		to.sticky.Store(0)
		late := to.pick(parts, rec) // and then, before the append, its batch is closed
		to.turn(late.id)
		for _, c := range []struct {
			key   []byte
			moved bool
		}{{nil, true}, {[]byte("k"), false}} {
			rec.Key = c.key
			late.mu.Lock()
			sig, err := late.append(p, rec, 1, completionFunc(f.done("late")), newGeneration)
			late.mu.Unlock()
			p.notify(late, sig)
			if sig.moved != c.moved || err != nil {
				t.Errorf("key %q: moved %v, %v, want moved %v", c.key, sig.moved, err, c.moved)
			}
		}
		pass(time.Second)
		to.sticky.Store(0)

		// The record that does not fit into a batch opens the next partition's.
		big := make([]byte, to.batchBytes.Load()*2/3)
		for i := range 4 {
			p.Produce(&Record{Topic: "out", Partition: ByKey, Timestamp: 1000, Value: big}, f.done(fmt.Sprint("big", i)))
		}
		pass(time.Second)
		for i := range 4 {
			if at := f.at[fmt.Sprint("big", i)]; at[0] != int64(i%2) {
				t.Errorf("record %d went to partition %d, want %d", i, at[0], i%2)
			}
		}
	})
}

func TestSamePartitionIsTakenModuloTheCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newScripted(map[string]int{"out": 3})
		p, f := start(t, b, ProducerConfig{}), newFates()
		for _, when := range []string{"unknown", "known"} {
			produce(p, f, "out", sameBase-7, when, 1)
			pass(time.Second)
		}
		if got := b.values(1); len(got) != 2 {
			t.Errorf("partition 7 modulo 3 has %v, want 2 records", got)
		}
	})
}

func TestCallerMayReuseTheRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newScripted(map[string]int{"out": 1})
		p, f := start(t, b, ProducerConfig{}), newFates()
		value := []byte("a")
		rec := Record{Topic: "out", Value: value, Headers: []schemas.Header{{Key: "h", Value: value}}}
		for i := range 2 {
			value[0] = byte('a' + i)
			p.Produce(&rec, f.done(strconv.Itoa(i)))
			value[0] = 'x'
		}
		pass(time.Second)
		if got := b.values(0); !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("wrote %v, want [a b]", got)
		}
	})
}

func TestFlushDoesNotWaitForWhatComesLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newScripted(map[string]int{"out": 2})
		hold := true
		b.plan = func(_ string, partition int32, _ int) fault {
			if partition == 1 && hold {
				return fault{code: kafkawire.ErrNotEnoughReplicas}
			}
			return fault{delay: 20 * time.Millisecond}
		}
		p, f := start(t, b, ProducerConfig{Linger: time.Hour}), newFates()
		produce(p, f, "out", 0, "before", 3)
		go func() {
			time.Sleep(time.Millisecond)
			produce(p, f, "out", 1, "after", 1)
		}()
		begun := time.Now()
		if err := p.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if f.count() != 3 || time.Since(begun) > time.Second {
			t.Errorf("flush ended with %d records after %v", f.count(), time.Since(begun))
		}

		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := p.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("flush of a stuck partition: %v", err)
		}
		b.set(func() { hold = false })
	})
}

func TestCloseFailsWhatIsLeftAndWhatComesAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newScripted(map[string]int{"out": 1})
		b.plan = func(string, int32, int) fault { return fault{code: kafkawire.ErrNotEnoughReplicas} }
		p, f := start(t, b, ProducerConfig{}), newFates()
		produce(p, f, "out", 0, "a", 3)
		produce(p, f, "nowhere", 0, "b", 1)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := p.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("close: %v", err)
		}
		produce(p, f, "out", 0, "late", 1)
		for _, value := range []string{"a0", "a1", "a2", "b0", "late0"} {
			if err, ok := f.get(value); !errors.Is(err, ErrClosed) {
				t.Errorf("%s: completed %v with %v, want ErrClosed", value, ok, err)
			}
		}
		if p.BufferedBytes() != 0 {
			t.Errorf("%d bytes are still counted", p.BufferedBytes())
		}
	})
}

func TestChangedPartitionCountKeepsTheRuleOfTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newScripted(map[string]int{"out": 2})
		p, f := start(t, b, ProducerConfig{}), newFates()
		key := []byte("k")
		send := func(value string) {
			p.Produce(&Record{Topic: "out", Partition: ByKey, Key: key, Value: []byte(value)}, f.done(value))
			pass(5 * time.Second)
		}
		send("a")
		b.set(func() {
			more := newScripted(map[string]int{"out": 7}).logs["out"][2:]
			b.logs["out"] = append(b.logs["out"], more...)
			for _, l := range b.logs["out"] {
				l.leader = 2 // so that the producer asks again
			}
		})
		send("b")
		if f.at["a"][0] != f.at["b"][0] {
			t.Errorf("the key moved from partition %d to %d", f.at["a"][0], f.at["b"][0])
		}
	})
}
