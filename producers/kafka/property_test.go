package kafka

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/sluice-ml/sluice/internal/kafkawire"
)

// scenario is one run of the property test: what is produced and what goes wrong.
type scenario struct {
	partitions, perPartition int
	batchBytes               int
	linger                   time.Duration
	codec                    kafkawire.Codec
	faults                   []fault
	// gap between records, so that batches of all sizes arise.
	gap time.Duration
	// forget lets the broker lose the producer's state: duplicates may follow.
	forget bool
}

func (sc scenario) String() string {
	return fmt.Sprintf("%d partitions x %d, batch %d, linger %v, codec %d, gap %v, forget %v, faults %+v",
		sc.partitions, sc.perPartition, sc.batchBytes, sc.linger, sc.codec, sc.gap, sc.forget, sc.faults)
}

func genFault(forget bool) *rapid.Generator[fault] {
	return rapid.Custom(func(rt *rapid.T) fault {
		f := fault{delay: time.Duration(rapid.IntRange(0, 20).Draw(rt, "delay")) * time.Millisecond}
		kinds := 10
		if forget {
			kinds = 11
		}
		switch rapid.IntRange(0, kinds).Draw(rt, "kind") {
		case 0, 1, 2:
		case 3:
			f.lost = true
		case 4:
			f.lost, f.appended = true, true
		case 5:
			f.move = true
		case 6:
			f.code, f.appended = kafkawire.ErrRequestTimedOut, true
		case 7:
			f.code = kafkawire.ErrNotEnoughReplicas
		case 8:
			f.code = kafkawire.ErrMessageTooLarge
		case 9:
			f.delay = 11 * time.Second // past the client's patience
			f.appended = true
		case 10:
			f.throttle = 300 * time.Millisecond
		case 11:
			f.code = kafkawire.ErrOutOfOrderSequence
		}
		return f
	})
}

func genScenario(rt *rapid.T) scenario {
	forget := rapid.Bool().Draw(rt, "forget")
	return scenario{
		partitions:   rapid.IntRange(1, 4).Draw(rt, "partitions"),
		perPartition: rapid.IntRange(1, 60).Draw(rt, "records"),
		batchBytes:   rapid.SampledFrom([]int{100, 400, 2000, 1 << 18}).Draw(rt, "batch bytes"),
		linger:       rapid.SampledFrom([]time.Duration{0, time.Millisecond, 50 * time.Millisecond}).Draw(rt, "linger"),
		codec:        rapid.SampledFrom([]kafkawire.Codec{kafkawire.CodecNone, kafkawire.LZ4}).Draw(rt, "codec"),
		faults:       rapid.SliceOfN(genFault(forget), 0, 40).Draw(rt, "faults"),
		gap:          rapid.SampledFrom([]time.Duration{0, 200 * time.Microsecond, 5 * time.Millisecond}).Draw(rt, "gap"),
		forget:       forget,
	}
}

// run plays a scenario and returns what went wrong.
func (sc scenario) run(t *testing.T) (failure string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := newScripted(map[string]int{"out": sc.partitions})
		next := 0
		b.plan = func(_ string, _ int32, records int) fault {
			if next == len(sc.faults) {
				return fault{}
			}
			f := sc.faults[next]
			next++
			if f.code == kafkawire.ErrMessageTooLarge && records == 1 {
				f.code = 0 // a single record must get through in this test
			}
			return f
		}
		p, err := newProducer(b, ProducerConfig{BatchBytes: sc.batchBytes, Linger: sc.linger, Compression: sc.codec}, nil)
		if err != nil {
			t.Fatal(err)
		}
		f := newFates()
		for i := range sc.perPartition {
			for part := range sc.partitions {
				value := fmt.Sprintf("%d/%d", part, i)
				p.Produce(&Record{Topic: "out", Partition: int32(part), Timestamp: 1000, Value: []byte(value)}, f.done(value))
			}
			time.Sleep(sc.gap)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := p.Flush(ctx); err != nil {
			failure = err.Error()
		}
		_ = p.Close(ctx)
		time.Sleep(time.Minute) // late copies land
		synctest.Wait()
		failure += sc.judge(b, p, f)
	})
	return failure
}

// judge compares the logs with what was produced.
func (sc scenario) judge(b *scripted, p *Producer, f *fates) string {
	var wrong []string
	wrong = append(wrong, b.broken...)
	if !b.unchanged() {
		wrong = append(wrong, "the bytes of an unanswered request were reused")
	}
	repeats := 0
	for part := range sc.partitions {
		got := b.values(part)
		next := 0
		for offset, v := range got {
			i, _ := strconv.Atoi(v[strings.IndexByte(v, '/')+1:])
			switch {
			case i == next:
				next++
			case i < next:
				repeats++
			default:
				wrong = append(wrong, fmt.Sprintf("partition %d: %s at %d, before %d", part, v, offset, next))
				next = i + 1
			}
		}
		if next != sc.perPartition {
			wrong = append(wrong, fmt.Sprintf("partition %d has %d of %d records", part, next, sc.perPartition))
		}
		for i := range sc.perPartition {
			value := fmt.Sprintf("%d/%d", part, i)
			err, ok := f.get(value)
			at := f.at[value][1]
			if !ok || err != nil {
				wrong = append(wrong, fmt.Sprintf("%s: completed %v, error %v", value, ok, err))
			} else if at >= 0 && !slices.Contains(got[at:at+1], value) {
				wrong = append(wrong, fmt.Sprintf("%s is not at its offset %d", value, at))
			}
		}
	}
	if counted := int(p.meters.maybeDuplicate.Count()); repeats > counted {
		wrong = append(wrong, fmt.Sprintf("%d repeated records, %d counted as possible", repeats, counted))
	}
	if p.BufferedBytes() != 0 {
		wrong = append(wrong, fmt.Sprintf("%d bytes left in the account", p.BufferedBytes()))
	}
	return strings.Join(wrong, "\n")
}

// Nothing is lost, nothing is repeated unless counted, and every partition keeps
// its order, whatever the broker does.
func TestNoLossNoRepeatNoReorderUnderFaults(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		sc := genScenario(rt)
		if failure := sc.run(t); failure != "" {
			rt.Fatalf("%s\n%v", failure, sc)
		}
	})
}
