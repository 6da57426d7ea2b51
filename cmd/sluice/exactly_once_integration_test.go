//go:build integration

package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-ml/sluice/schemas"
)

const keysOfOrder = 64

// ordered are n good records with keys that come again and again, each key in one
// partition, so that their order can be checked.
func (w *world) ordered(from, n int) []*kgo.Record {
	records := make([]*kgo.Record, n)
	for i := range records {
		id := from + i
		key := id % keysOfOrder
		records[i] = &kgo.Record{
			Topic: w.in, Partition: int32(key) % w.partitions, Key: fmt.Append(nil, "k", key),
			Value: fmt.Appendf(nil, `{"id":%d,"x":[1,2,3,%d]}`, id, id%1000),
		}
	}
	return records
}

// wantOnce checks that readers in read_committed see each of n ids once, with the
// right numbers, those of a key in the order of the inputs.
func wantOnce(t *testing.T, records []schemas.Record, n int) {
	t.Helper()
	seen := make([]int, n)
	last := map[string]int{}
	disorder, wrong := 0, 0
	for i := range records { // by partition and offset
		var result struct {
			ID      int
			Outputs map[string][]float64
		}
		if err := json.Unmarshal(records[i].Value, &result); err != nil || result.ID < 0 || result.ID >= n {
			t.Fatalf("output %q: %v", records[i].Value, err)
		}
		seen[result.ID]++
		if y := result.Outputs["y"]; len(y) != 4 || y[0] != 3 || y[3] != 2*float64(result.ID%1000)+1 {
			wrong++
		}
		key := string(records[i].Key)
		if before, ok := last[key]; ok && before >= result.ID {
			disorder++
		}
		last[key] = result.ID
	}
	lost, twice := 0, 0
	for _, count := range seen {
		switch {
		case count == 0:
			lost++
		case count > 1:
			twice += count - 1
		}
	}
	if lost+twice+disorder+wrong > 0 {
		t.Errorf("of %d records %d are lost, %d came twice, %d out of order, %d have wrong numbers", n, lost, twice, disorder, wrong)
	}
}

func exactlyOnce(sets ...string) []string {
	return append([]string{"output.delivery=exactly-once"}, sets...)
}

func TestExactlyOncePredictsDeadLettersAndDrains(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	w.put(w.ordered(0, 3000)...)
	w.put(&kgo.Record{Value: []byte("poison")}, &kgo.Record{Value: nil, Key: []byte("tombstone")})
	s := start(t, w.with(exactlyOnce("input.tombstones=skip")...)...)
	s.await("ready")
	w.settled()
	w.put(w.ordered(3000, 100)...)
	w.settled()
	s.end(exitOK)
	wantOnce(t, w.outputs(), 3100)
	if letters := w.letters(); len(letters) != 1 || string(letters[0].Value) != "poison" {
		t.Errorf("dead letters %+v", letters)
	}
	stopped := s.line("stopped")
	for name, want := range map[string]float64{"predicted": 3100, "dead_lettered": 1, "skipped": 1, "abandoned": 0} {
		if stopped[name] != want {
			t.Errorf("stopped says %s = %v, want %v", name, stopped[name], want)
		}
	}
}

// Two processes with names, killed again and again at random, and started again at once.
func TestExactlyOnceSurvivesKills(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4)
	const n, kills = 20_000, 8
	random := rand.New(rand.NewPCG(1, 2))
	type instance struct {
		cmd *exec.Cmd
		log *running
	}
	launch := func(name string) instance {
		cmd, r := process(t, append([]string{"run"}, w.with(exactlyOnce("input.instance="+name, "input.session_timeout=6s", "input.max_in_flight=1024")...)...)...)
		return instance{cmd, r}
	}
	both := []instance{launch("a"), launch("b")}
	for _, v := range both {
		v.log.await("ready")
	}
	loaded := make(chan error, 1)
	go func() { // ends with the last record
		for from := 0; from < n; from += 100 {
			if err := w.client.ProduceSync(t.Context(), w.ordered(from, 100)...).FirstErr(); err != nil {
				loaded <- err
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		loaded <- nil
	}()
	for range kills {
		time.Sleep(time.Duration(200+random.IntN(300)) * time.Millisecond)
		victim := random.IntN(2)
		signalAnd(t, both[victim].cmd, syscall.SIGKILL)
		<-both[victim].log.code
		both[victim] = launch([]string{"a", "b"}[victim])
		both[victim].log.await("ready")
	}
	if err := <-loaded; err != nil {
		t.Fatal(err)
	}
	w.settled()
	for _, v := range both {
		signalAnd(t, v.cmd, syscall.SIGTERM)
		if code := <-v.log.code; code != exitOK {
			t.Errorf("exit code %d\n%s", code, v.log.log)
		}
	}
	wantOnce(t, w.outputs(), n)
}

func TestExactlyOnceStopsTheOlderOfTwoWithOneName(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	flags := w.with(exactlyOnce("input.instance=a")...)
	w.put(w.ordered(0, 500)...)
	older := start(t, flags...)
	older.await("ready")
	w.settled()
	newer := start(t, flags...)
	newer.await("ready")
	w.put(w.ordered(500, 500)...)
	w.settled()
	select {
	case code := <-older.code:
		if code != exitFailure || !strings.Contains(older.log.String(), "give each process its own input.instance") {
			t.Errorf("exit code %d\n%s", code, older.log)
		}
	case <-time.After(30 * time.Second):
		t.Errorf("the older process goes on\n%s", older.log)
	}
	newer.end(exitOK)
	wantOnce(t, w.outputs(), 1000)
}
