package bench

import (
	"testing"
	"time"

	"github.com/sluice-ml/sluice/internal/load"
	"github.com/sluice-ml/sluice/schemas"
)

// The outcome may be read before the producer has its confirmation.
func TestAnOutcomeMayComeBeforeTheConfirmation(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_700_000_000, 0)
	r := load.NewRecorder(load.RecorderConfig{Start: start, Duration: time.Second})
	s := newSources(r)
	for n := range int64(3) {
		if err := r.Sent(n, start, start); err != nil {
			t.Fatal(err)
		}
	}
	s.outcome(place{1, 7}, start.Add(5*time.Millisecond), false)
	s.outcome(place{1, 8}, start.Add(5*time.Millisecond), false) // another's record
	s.outcome(place{1, 7}, start.Add(7*time.Millisecond), false) // twice
	s.published(0, place{1, 7})
	s.published(1, place{2, 7})
	s.outcome(place{2, 7}, start.Add(9*time.Millisecond), true)
	s.outcome(place{2, 7}, start.Add(9*time.Millisecond), true)
	s.published(2, place{0, -1}) // the broker did not say where
	if c, want := r.Counts(), (load.Counts{Sent: 3, Received: 1, DeadLettered: 1, Duplicates: 2, Outstanding: 1}); c != want {
		t.Errorf("%+v, want %+v", c, want)
	}
	if got := r.Latency().Max(); got < 5*time.Millisecond || got > 6*time.Millisecond {
		t.Errorf("latency %v: it counts from the outcome, not from the confirmation", got)
	}
}

func TestSourcesAreBounded(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_700_000_000, 0)
	r := load.NewRecorder(load.RecorderConfig{Start: start, Duration: time.Second})
	s := newSources(r)
	for n := range int64(3 * remembered) {
		if err := r.Sent(n, start, start); err != nil {
			t.Fatal(err)
		}
		s.published(n, place{0, n})
		s.outcome(place{0, n}, start, false)
		s.outcome(place{1, n}, start, false) // another's
	}
	if c := r.Counts(); c.Received != 3*remembered {
		t.Errorf("%+v", c)
	}
	if len(s.numbers) > remembered || len(s.early) > remembered {
		t.Errorf("%d numbers and %d early ones", len(s.numbers), len(s.early))
	}
}

func TestSourceHeaders(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"in/3/42": true, "in/3": false, "inn/3/42": false, "in/x/42": false, "in/3/42/1": false, "": false,
	} {
		rec := schemas.Record{Headers: []schemas.Header{{Key: sourceHeader, Value: []byte(text)}}}
		if at, ok := sourceOf(&rec, "in", false); ok != want || ok && at != (place{3, 42}) {
			t.Errorf("%q: %v, %v", text, at, ok)
		}
	}
}
