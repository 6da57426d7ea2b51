//go:build integration

package main

import (
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-ml/sluice/internal/kafkatest"
)

// stops waits until n partitions stand still and checks how the service says so.
func (r *running) stops(n float64, reason string) (base string) {
	r.t.Helper()
	base = r.base()
	eventually(r.t, "partitions stopped", func() bool {
		return metric(r.t, base, `sluice_stopped_partitions{reason="`+reason+`"}`) == n
	})
	r.await("partition stopped")
	if status, body := fetch(r.t, base+"/readyz"); status != http.StatusOK {
		r.t.Errorf("readyz with a stopped partition: %d %s", status, body)
	}
	if status, body := fetch(r.t, base+"/readyz?strict=1"); status != http.StatusServiceUnavailable || !strings.Contains(body, "stopped") {
		r.t.Errorf("strict readyz with a stopped partition: %d %s", status, body)
	}
	line := r.line("partition stopped")
	for _, field := range []string{"topic", "reason", "error", "cure"} {
		if text, _ := line[field].(string); text == "" {
			r.t.Errorf("the line of the stop has no %s: %v", field, line)
		}
	}
	return base
}

// said counts the lines of a message.
func (r *running) said(message string) int {
	return strings.Count(r.log.String(), `"msg":"`+message+`"`)
}

func TestOutputTopicDeletedAndMadeAgainLosesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.put(w.rows(0, 100)...)
	s := start(t, w.flags...)
	s.await("ready")
	w.settled()
	if _, err := w.admin.DeleteTopic(t.Context(), w.out); err != nil {
		t.Fatal(err)
	}
	w.put(w.rows(100, 200)...)
	base := s.stops(2, "output")
	if stopped := s.said("partition stopped"); stopped != 2 {
		t.Errorf("%d lines for 2 stopped partitions", stopped)
	}
	if w.behind(t.Context()) != 200 {
		t.Errorf("%d records are not committed, want 200", w.behind(t.Context()))
	}
	kafkatest.MakeTopic(t, w.brokers, w.out, 2)
	w.settled()
	eventually(t, "no partition stopped", func() bool {
		status, _ := fetch(t, base+"/readyz?strict=1")
		return status == http.StatusOK && metric(t, base, `sluice_stopped_partitions{reason="output"}`) == 0
	})
	s.await("partition resumed")
	s.end(exitOK)
	for id, n := range copies(w.outputs()) {
		if n > 2 {
			t.Errorf("%s came out %d times", id, n)
		}
	}
	if n := len(copies(w.outputs())); n != 200 {
		t.Errorf("%d ids in the new topic, want 200", n)
	}
}

func TestFloodOfDeadLettersStopsUncommitted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.put(w.rows(0, 10)...)
	for range 100 {
		w.put(&kgo.Record{Value: []byte("poison")})
	}
	s := start(t, w.with("dead_letter.max_share=0.5", "dead_letter.min_items=40", "dead_letter.window=1m")...)
	s.stops(1, "output")
	if !strings.Contains(s.log.String(), "dead letter flood") || metric(t, s.base(), `sluice_dead_letter_flood{topic="`+w.in+`"}`) != 1 {
		t.Errorf("does not say that it is a flood\n%s", s.log)
	}
	letters := len(w.letters())
	if letters < 10 || letters > 40 {
		t.Errorf("%d dead letters before the stop, want about 30", letters)
	}
	eventually(t, "what has a dead letter is committed, the rest is not", func() bool { return w.behind(t.Context()) == int64(100-letters) })
	s.end(exitOK)
	if again := len(w.letters()); again != letters {
		t.Errorf("%d dead letters, %d before the retries", again, letters)
	}
}

func TestOnErrorStopHoldsTheBadRecord(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.put(w.rows(0, 10)...)
	w.put(&kgo.Record{Value: []byte("poison")})
	w.put(w.rows(10, 10)...)
	s := start(t, w.with("dead_letter.on_error=stop")...)
	s.stops(1, "output")
	eventually(t, "the 10 before the bad record are committed, it and those behind it are not", func() bool { return w.behind(t.Context()) == 11 })
	first := s.log.String()
	eventually(t, "a second try", func() bool { return metric(t, s.base(), `sluice_received_total{partition="0",topic="`+w.in+`"}`) > 21 })
	s.end(exitOK)
	if left, outputs := w.behind(t.Context()), len(w.outputs()); left != 11 || outputs != 10 {
		t.Errorf("%d records are not committed, %d outputs; want 11 and 10: a retry does nothing twice\n%s", left, outputs, first)
	}
	if letters := w.letters(); len(letters) != 0 {
		t.Errorf("%d dead letters with on_error: stop", len(letters))
	}
}

func TestBrokerKilledUnderLoadLosesNothing(t *testing.T) {
	t.Parallel()
	b := ownBroker(t)
	w := newWorldAt(t, b.brokers(kafkatest.EnvBrokers), 2)
	w.put(w.rows(0, 5000)...)
	s := start(t, w.flags...)
	s.await("ready")
	more := make(chan error, 1)
	go func() { // ends when everything is written
		more <- w.client.ProduceSync(t.Context(), onTopic(w.in, w.rows(5000, 15000))...).FirstErr()
	}()
	b.run("restart", b.dir)
	if err := <-more; err != nil {
		t.Fatal(err)
	}
	w.settled()
	s.end(exitOK)
	if redone := wantEach(t, w.outputs(), 20000); redone > 2*16384 {
		t.Errorf("%d redone", redone)
	}
}

func onTopic(topic string, records []*kgo.Record) []*kgo.Record {
	for _, r := range records {
		r.Topic = topic
	}
	return records
}

// Two processes; one is killed, and another one stands still past its session
// and wakes up as a zombie.
func TestKilledAndFrozenProcessesLoseNothing(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string][2]syscall.Signal{
		"killed": {syscall.SIGKILL, 0},
		"frozen": {syscall.SIGSTOP, syscall.SIGCONT},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 4)
			const n = 6000
			flags := append([]string{"run"}, w.with("input.session_timeout=1500ms", "input.max_in_flight=512")...)
			victim, first := process(t, flags...)
			first.await("ready")
			w.put(w.rows(0, n/2)...)
			second := start(t, flags[1:]...)
			second.await("ready")
			w.put(w.rows(n/2, n/4)...)
			signalAnd(t, victim, harm[0])
			w.put(w.rows(n/2+n/4, n/4)...)
			w.settled()
			if harm[1] != 0 {
				signalAnd(t, victim, harm[1])
				eventually(t, "the zombie joins again", func() bool { return w.members() == 2 })
				signalAnd(t, victim, syscall.SIGTERM)
				if code := <-first.code; code != exitOK {
					t.Errorf("the zombie's exit code %d\n%s", code, first.log)
				}
			}
			second.end(exitOK)
			if redone := wantEach(t, w.outputs(), n); redone > 2*512 {
				t.Errorf("%d outputs came twice, the bound is %d", redone, 2*512)
			}
			if w.behind(t.Context()) != 0 {
				t.Errorf("%d records behind", w.behind(t.Context()))
			}
		})
	}
}
