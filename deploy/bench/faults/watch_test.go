package main

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// Records 0 and 1 are published before the harm, 2 and 3 after it.
func TestOnlyWhatWasPublishedAfterTheHarmTellsTheRecovery(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &watch{}
		w.publish(2)
		time.Sleep(time.Second)
		harm := time.Now()
		time.Sleep(time.Second)
		w.publish(2)
		w.arrivals = []arrival{
			{harm.Add(time.Second), 1, 0}, {harm.Add(3 * time.Second), 2, 0}, {harm.Add(4 * time.Second), 3, 1}, {harm.Add(5 * time.Second), 2, 0},
		}
		if took, err := w.first(t.Context(), harm, nil); err != nil || took != 3*time.Second {
			t.Errorf("any partition: %v, %v", took, err)
		}
		if took, err := w.first(t.Context(), harm, []int32{1, 2}); err != nil || took != 4*time.Second {
			t.Errorf("partition 1: %v, %v", took, err)
		}
		if _, err := w.first(t.Context(), harm, []int32{3}); err == nil {
			t.Error("a partition without outputs has recovered")
		}
		if s := w.latencies(); !slices.Equal(s, []float64{2, 2, 3}) {
			t.Errorf("latencies %v", s)
		}
		p := w.pauses(harm, harm.Add(10*time.Second))
		if p[0] != 5*time.Second || p[1] != 6*time.Second || p[3] != 10*time.Second {
			t.Errorf("pauses %v", p)
		}
	})
}

func TestOutputsTellTheirIDs(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]int{
		`{"id":57,"outputs":{"y":[1]}}`: 57, `{"outputs":{"y":[1]},"id":8}`: 8, `{"id":9}`: 9, `{"id": 7 ,"x":1}`: 7,
	} {
		if id, ok := outputID([]byte(value)); !ok || id != want {
			t.Errorf("%s: %d, %v, want %d", value, id, ok, want)
		}
	}
	for _, value := range []string{"", "{}", `{"id":"x"}`, `{"id":`} {
		if id, ok := outputID([]byte(value)); ok {
			t.Errorf("%q: %d", value, id)
		}
	}
}
