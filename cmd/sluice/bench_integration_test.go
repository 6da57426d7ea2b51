//go:build integration

package main

import (
	"encoding/json"
	"testing"

	"github.com/sluice-ml/sluice/internal/bench"
)

// A real broker and the service: each record that the bench sent has one output,
// also where it is known by sluice's header, and made-up records of each codec
// are what the service takes.
func TestBenchOfTheServiceOnARealBroker(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	s := start(t, w.flags...)
	s.await("ready")
	total := int64(0)
	for _, more := range [][]string{{"--arrival", "constant"}, {"--match", "source", "--codec", "oip-json"}, {"--codec", "raw", "--compression", "zstd"}} {
		args := append([]string{"bench", "--rate", "200", "--duration", "2s", "--warmup", "500ms", "--json"}, w.flags...)
		r := sluice(t, append(args, more...)...)
		var report bench.Report
		if err := json.Unmarshal([]byte(r.out), &report); err != nil {
			t.Fatalf("%v: %v\n%s\n%s", more, err, r.out, r.err)
		}
		p := report.Points[0]
		if p.Sent < 350 || p.Received != p.Sent || !p.Complete() || p.Measured == 0 || report.DeadLetter != w.dlq {
			t.Errorf("%v: %+v\n%s", more, *p, r.err)
		}
		total += p.Sent + 1 // the single one before
	}
	w.settled()
	s.end(exitOK)
	if got := int64(len(w.outputs())); got != total {
		t.Errorf("%d outputs, %d sent", got, total)
	}
	if letters := w.letters(); len(letters) > 0 {
		t.Errorf("%d dead letters, %v", len(letters), letters[0])
	}
}

// Records that do not fit are noticed by the first one.
func TestBenchOfRecordsThatDoNotFit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	s := start(t, w.flags...)
	s.await("ready")
	args := append([]string{"bench", "--records", requests(t, `{"y":1}`)}, w.flags...)
	sluice(t, args...).want(t, exitPartial, "dead-lettered", "wrong_name")
	s.end(exitOK)
}
