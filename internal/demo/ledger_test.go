package demo

import (
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"
)

func known(sequence int64, label int) answer {
	return answer{sequence: sequence, label: label, known: true}
}

func TestGeneratorWaitsForRoom(t *testing.T) {
	t.Parallel()
	images, err := heldOut()
	if err != nil {
		t.Fatal(err)
	}
	l, now := newLedger(images), time.Now()

	if _, given, _ := l.reserve(maxOutstanding+5, now); given != maxOutstanding {
		t.Fatalf("%d given, want %d", given, maxOutstanding)
	}
	_, given, wait := l.reserve(1, now)
	if given != 0 {
		t.Fatal("more than the limit was given")
	}
	// The second sequence is settled before the first: still no room, in order.
	l.arrived([]answer{known(1, 0)}, now)
	<-wait
	if _, given, _ = l.reserve(1, now); given != 0 {
		t.Error("a slot was given twice")
	}
	l.arrived([]answer{known(0, 0)}, now)
	if first, given, _ := l.reserve(5, now); first != maxOutstanding || given != 2 {
		t.Errorf("given %d from %d, want 2 from %d", given, first, maxOutstanding)
	}
}

func TestLedgerTellsOutcomesApart(t *testing.T) {
	t.Parallel()
	images, err := heldOut()
	if err != nil {
		t.Fatal(err)
	}
	l, now := newLedger(images), time.Now()
	l.reserve(4, now)

	l.arrived([]answer{
		known(0, images[0].Label), // right
		known(1, 99),              // wrong
		known(1, 99),              // again
		{sequence: 2, dead: true, known: true},
		known(77, 0), // never published
		{},           // not understood
	}, now.Add(time.Second))

	got := l.tally()
	if got.predicted != 2 || got.correct != 1 || got.duplicated != 1 || got.deadLettered != 1 || got.unknown != 2 || got.lost() != 1 {
		t.Errorf("%+v", got)
	}
	if got.mistake == nil || got.mistake.Label != 99 || len(got.recent) != 2 {
		t.Errorf("mistake %+v, %d recent", got.mistake, len(got.recent))
	}
	if p50 := got.latency.quantile(0.5); p50 < 950*time.Millisecond || p50 > 1050*time.Millisecond {
		t.Errorf("p50 %v, want 1 s", p50)
	}
}

func TestLateRepeatOfAReusedSlotIsARepeat(t *testing.T) {
	t.Parallel()
	images, err := heldOut()
	if err != nil {
		t.Fatal(err)
	}
	l, now := newLedger(images), time.Now()
	l.reserve(1, now)
	l.arrived([]answer{known(0, 0)}, now)
	l.reserve(maxOutstanding, now) // its last one uses slot 0 again

	l.arrived([]answer{known(0, 0)}, now)

	if got := l.tally(); got.duplicated != 1 || got.predicted != 1 {
		t.Errorf("predicted %d, twice %d; want 1 and 1", got.predicted, got.duplicated)
	}
}

func TestQuantilesAreWithinAnEighthOfTheTruth(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Int64Range(0, int64(time.Hour/time.Microsecond)), 1, 100).Draw(t, "microseconds")
		var l latencies
		for _, v := range values {
			l.add(time.Duration(v) * time.Microsecond)
		}
		slices.Sort(values)
		q := rapid.Float64Range(0, 0.999).Draw(t, "q")
		want := float64(values[int64(q*float64(len(values)))])
		if got := float64(l.quantile(q)) / 1e3; got < want-want/8-1 || got > want+want/8+1 {
			t.Fatalf("quantile %v of %v is %v us, want %v", q, values, got, want)
		}
	})
}

func TestWindowHoldsOnlyWhatIsNew(t *testing.T) {
	t.Parallel()
	var l latencies
	l.add(time.Second)
	earlier := l
	l.add(time.Millisecond)
	if got := l.since(&earlier).quantile(0.99); got > 2*time.Millisecond {
		t.Errorf("p99 of the window is %v", got)
	}
}

func TestRecordsAreUnderstood(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		topic, value string
		want         answer
	}{
		{outputTopic, `{"id":12,"model":"digits","version":"1","outputs":{"label":3,"probabilities":[1]}}`, known(12, 3)},
		{deadLetterTopic, `{"id":7,"image":[1]}`, answer{sequence: 7, dead: true, known: true}},
		{outputTopic, `{"id":12}`, answer{sequence: 12}},
		{outputTopic, `{"id":"x","outputs":{"label":3}}`, answer{label: 3}},
		{outputTopic, `{"id":12`, answer{}},
	} {
		got := parse(&kgo.Record{Topic: c.topic, Value: []byte(c.value)})
		got.value = nil
		if got.sequence != c.want.sequence || got.label != c.want.label || got.known != c.want.known || got.dead != c.want.dead {
			t.Errorf("%s: %+v, want %+v", c.value, got, c.want)
		}
	}
}

func TestImagesCarryATraceContext(t *testing.T) {
	t.Parallel()
	format := regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-01$`)
	first, second := string(traceparent()), string(traceparent())
	if !format.MatchString(first) || first == second {
		t.Errorf("%q and %q", first, second)
	}
}

func TestPayloadIsTheHeldOutImage(t *testing.T) {
	t.Parallel()
	images, err := heldOut()
	if err != nil {
		t.Fatal(err)
	}
	got := string(images[0].payload(42))
	if want := `{"id":42,"image":[0,0,0,15,12,1,`; got[:len(want)] != want || got[len(got)-2:] != "]}" {
		t.Errorf("payload %s", got)
	}
}
