//go:build integration

package main

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-ml/sluice/schemas"
)

// mortalProgram builds the program with the failpoints.
func mortalProgram(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "sluice")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-tags", "failpoint", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("build with failpoints: %v\n%s", err, out)
	}
	return bin
}

// One record kills the process that runs it, each time, as a model that aborts does. A
// supervisor starts the process again. All others are predicted, none is lost; the
// guilty one is a dead letter, with its bytes and what was found.
func TestARecordThatKillsTheProcessIsPutAside(t *testing.T) {
	t.Parallel()
	bin := mortalProgram(t)
	for _, delivery := range []string{"at-least-once", "exactly-once"} {
		t.Run(delivery, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 3)
			const n, guilty = 3000, 1801
			records := w.ordered(0, n)
			value := []byte(`{"id":1801,"x":[1,2,3,801],"note":"murder"}`)
			records[guilty].Value = value
			w.put(records...)
			args := append([]string{"run"}, w.with("output.delivery="+delivery, "input.instance=a", "input.session_timeout=6s", "shutdown.leave=never")...)
			deaths := 0
			for ; ; deaths++ {
				if deaths > 12 {
					t.Fatalf("%d deaths, and no end", deaths)
				}
				cmd, r := command(t, bin, []string{"SLUICE_FAILPOINT_POISON=murder"}, args...)
				if died := w.diesOrSettles(r); died {
					continue
				}
				signalAnd(t, cmd, syscall.SIGTERM)
				if code := <-r.code; code != exitOK {
					t.Errorf("exit code %d\n%s", code, r.log)
				}
				line := r.line("record killed the process again and again: dead letter")
				if line == nil || line["topic"] != w.in || line["partition"] != float64(int32(guilty%keysOfOrder)%w.partitions) {
					t.Errorf("no line of the dead letter: %v\n%s", line, r.log)
				}
				break
			}
			t.Logf("%d deaths", deaths)
			if deaths < 6 {
				t.Errorf("a dead letter after %d deaths", deaths)
			}
			w.wantOneDead(delivery, n, guilty, value)
		})
	}
}

// diesOrSettles waits until the process died or the group has committed everything.
func (w *world) diesOrSettles(r *running) (died bool) {
	w.t.Helper()
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	limit := time.After(time.Minute)
	for {
		select {
		case code := <-r.code:
			if code != -1 { // not by a signal
				w.t.Fatalf("exit code %d\n%s", code, r.log)
			}
			return true
		case <-look.C:
			if w.behind(w.t.Context()) == 0 {
				return false
			}
		case <-limit:
			w.t.Fatalf("neither dead nor done\n%s", r.log)
		}
	}
}

// wantOneDead checks what is left behind, at the end and in the group.
func (w *world) wantOneDead(delivery string, n, guilty int, value []byte) {
	w.t.Helper()
	ids := map[string]int{}
	for _, r := range w.outputs() {
		_, rest, _ := bytes.Cut(r.Value, []byte(`"id":`))
		id, _, _ := bytes.Cut(rest, []byte(","))
		ids[string(id)]++
	}
	twice := 0
	for id := range n {
		got := ids[strconv.Itoa(id)]
		twice += max(got-1, 0)
		if want := id != guilty; want != (got > 0) {
			w.t.Errorf("%d has %d outputs", id, got)
		}
	}
	if delivery == "exactly-once" && twice > 0 {
		w.t.Errorf("%d outputs came twice", twice)
	}
	letters := w.letters()
	if len(letters) != 1 || !bytes.Equal(letters[0].Value, value) {
		w.t.Fatalf("dead letters %+v", letters)
	}
	for key, want := range map[string]string{
		schemas.HeaderErrorClass: "run_failed", schemas.HeaderErrorStage: "infer", schemas.HeaderAttempts: "6",
		schemas.HeaderErrorMessage: "6 processes died in a row with this record in hand, the last 2 of them with it alone",
	} {
		if got, _ := header(&letters[0], key); got != want {
			w.t.Errorf("header %s is %q, want %q", key, got, want)
		}
	}
	offsets, err := w.admin.FetchOffsets(w.t.Context(), w.group)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, o := range offsets.Sorted() {
		if strings.Contains(o.Metadata, "sluice.run=") || strings.Contains(o.Metadata, "sluice.died=") {
			w.t.Errorf("partition %d has metadata %q", o.Partition, o.Metadata)
		}
	}
}

// Kills from outside, soon after each start and later, while good records come: not one
// of them is a dead letter.
func TestKillsFromOutsideMakeNoDeadLetters(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	args := append([]string{"run"}, w.with("input.instance=a", "input.session_timeout=6s", "input.commit_interval=1s")...)
	const kills, each = 12, 400
	for i := range kills {
		w.put(w.rows(i*each, each)...)
		cmd, r := process(t, args...)
		r.await("ready")
		time.Sleep(time.Duration(40*i) * time.Millisecond)
		signalAnd(t, cmd, syscall.SIGKILL)
		<-r.code
	}
	cmd, r := process(t, args...)
	w.settled()
	signalAnd(t, cmd, syscall.SIGTERM)
	if code := <-r.code; code != exitOK {
		t.Errorf("exit code %d\n%s", code, r.log)
	}
	wantEach(t, w.outputs(), kills*each)
	if letters := w.letters(); len(letters) != 0 {
		t.Errorf("dead letters of innocents: %+v", letters)
	}
}
