package load

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
	"pgregory.net/rapid"
)

var start = time.Unix(1_700_000_000, 0)

func at(ms int64) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }

func TestEachRecordHasOneFate(t *testing.T) {
	t.Parallel()
	r := NewRecorder(RecorderConfig{Start: start, Warmup: 2 * time.Millisecond, Duration: time.Second})
	for n := range int64(7) {
		if err := r.Sent(n, at(n), at(n)); err != nil {
			t.Fatal(err)
		}
	}
	r.Arrived(1, at(4), false)  // due in the warm-up
	r.Arrived(3, at(13), false) // 10 ms
	r.Arrived(3, at(90), false) // again
	r.Arrived(2, at(22), false) // 20 ms, out of order
	r.Arrived(4, at(50), true)  // dead letter
	r.Arrived(4, at(51), false) // and predicted after all
	r.Refused(5)
	r.Refused(5)
	if r.Arrived(7, at(60), false) || r.Arrived(-1, at(60), false) {
		t.Error("a record that was never sent is known")
	}
	if c, want := r.Counts(), (Counts{Sent: 7, Received: 3, DeadLettered: 1, Refused: 1, Duplicates: 2, Outstanding: 2}); c != want {
		t.Errorf("counts %+v, want %+v", c, want)
	}
	r.Finish(at(106)) // 0 and 6 are lost; 6 is 100 ms old, 0 was due in the warm-up
	if c, want := r.Counts(), (Counts{Sent: 7, Received: 3, DeadLettered: 1, Refused: 1, Duplicates: 2, Lost: 2}); c != want {
		t.Errorf("counts %+v, want %+v", c, want)
	}
	l := r.Latency()
	if l.Count() != 3 || !about(l.Percentile(50), 20*time.Millisecond) || !about(l.Max(), 100*time.Millisecond) || !about(l.Percentile(1), 10*time.Millisecond) {
		t.Errorf("%d latencies, from %v over %v to %v", l.Count(), l.Percentile(1), l.Percentile(50), l.Max())
	}
}

// about is equal up to the histogram's three digits.
func about(got, want time.Duration) bool { return got >= want*999/1000 && got <= want*1002/1000 }

// A record that is lost early must not use up the room of all that come after.
func TestALostRecordHoldsNoOther(t *testing.T) {
	t.Parallel()
	r := NewRecorder(RecorderConfig{Start: start, Duration: time.Hour, MaxOutstanding: 1024})
	for n := range int64(100_000) {
		if err := r.Sent(n, at(n), at(n)); err != nil {
			t.Fatalf("record %d: %v", n, err)
		}
		if n%1000 != 0 {
			r.Arrived(n, at(n+1), false)
		}
	}
	if len(r.window.due) > 1024 || len(r.window.overdue) > 100 {
		t.Errorf("%d slots and %d overdue", len(r.window.due), len(r.window.overdue))
	}
	r.Arrived(3000, at(103_000), false) // late is not lost
	r.Arrived(3000, at(103_000), false)
	if c := r.Counts(); c.Outstanding != 99 || c.Received != 99_901 || c.Duplicates != 1 {
		t.Errorf("counts %+v", c)
	}
	if longest := r.Latency().Max(); !about(longest, 100*time.Second) {
		t.Errorf("longest %v", longest)
	}
}

func TestTheWindowIsBounded(t *testing.T) {
	t.Parallel()
	r := NewRecorder(RecorderConfig{Start: start, Duration: time.Hour, MaxOutstanding: 3000})
	var n int64
	for ; ; n++ {
		if err := r.Sent(n, start, start); err != nil {
			if !errors.Is(err, ErrBacklog) {
				t.Error(err)
			}
			break
		}
	}
	if n != 2048+overdueLimit {
		t.Errorf("%d outstanding were taken", n)
	}
	r.Arrived(n-1, start, false)
	r.Arrived(0, start, false)
	if c := r.Counts(); c.Received != 2 || c.Sent != n {
		t.Errorf("counts %+v", c)
	}
}

// The window against a plain map.
func TestTheWindowIsAMap(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w, model, done := newWindow(16), map[int64]int64{}, map[int64]bool{}
		var next int64
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "push") {
				w.push(next * 10)
				model[next] = next * 10
				next++
				continue
			}
			n := rapid.Int64Range(-1, next).Draw(t, "number")
			due, known, first := w.settle(n)
			wantDue, outstanding := model[n]
			if known != (n >= 0 && n < next) || first != outstanding || (first && due != wantDue) {
				t.Fatalf("settle %d: %d, %v, %v; want %d, outstanding %v, settled %v", n, due, known, first, wantDue, outstanding, done[n])
			}
			delete(model, n)
			done[n] = true
		}
		left := map[int64]bool{}
		w.outstanding(func(due int64) { left[due] = true })
		if len(left) != len(model) {
			t.Fatalf("%d outstanding, want %d", len(left), len(model))
		}
	})
}

func TestHistogramsAreReadByOthers(t *testing.T) {
	t.Parallel()
	h := NewHistogram()
	for i := range 10_000 {
		h.Record(time.Duration(i+1) * time.Millisecond)
	}
	h.Record(-time.Second)
	h.Record(1000 * time.Hour)
	var text, log bytes.Buffer
	if err := h.WritePercentiles(&text); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text.String(), "Percentile") || !strings.Contains(text.String(), "#[Max") {
		t.Errorf("no percentile file: %.200s", text.String())
	}
	interval := Interval{Tag: "rate=1000", Start: start, End: start.Add(time.Minute), Histogram: h}
	if err := WriteLog(&log, "sluice bench", []Interval{interval, interval}); err != nil {
		t.Fatal(err)
	}
	in := hdr.NewHistogramLogReader(&log)
	for range 2 {
		got, err := in.NextIntervalHistogram()
		if err != nil {
			t.Fatal(err)
		}
		if got.TotalCount() != 10_002 || got.ValueAtPercentile(50) != h.hdr.ValueAtPercentile(50) || got.Tag() != interval.Tag || got.EndTimeMs()-got.StartTimeMs() != 60_000 {
			t.Errorf("%d values, median %d, tag %q", got.TotalCount(), got.ValueAtPercentile(50), got.Tag())
		}
	}
}
