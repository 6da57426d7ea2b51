package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-ml/sluice/schemas"
)

// letter is a dead letter as the sink writes it.
func letter(n int64, class schemas.Class, value string) *kgo.Record {
	original := schemas.Record{Topic: "in", Partition: int32(n % 2), Offset: n, Headers: []schemas.Header{
		{Key: "mine", Value: []byte("yes")}, {Key: schemas.HeaderAttempts, Value: []byte("1")},
	}}
	headers := schemas.DeadLetterHeaders(nil, &original, schemas.DeadLetterInfo{
		Group: "g", Error: schemas.Error{Class: class, Stage: schemas.StageDecode, Message: "because \x1b[31m"}, Attempts: 3, ModelName: "m",
	})
	rec := &kgo.Record{Topic: "in.dlq", Partition: 0, Key: fmt.Append(nil, "k", n), Value: []byte(value), Timestamp: time.UnixMilli(1700000000000 + n*1000)}
	for _, h := range headers {
		rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	return rec
}

func letters(t *testing.T) string {
	t.Helper()
	b := cluster(t, "in", "in.dlq")
	produce(t, b,
		letter(0, schemas.Undecodable, "v0"), letter(1, schemas.WrongShape, "v1\x1b[2J"), letter(2, schemas.Undecodable, "v2"),
		letter(3, schemas.WrongShape, "v3"), letter(4, schemas.RunFailed, "v4"),
		letter(5, schemas.OutputTooLarge, `{"stub":true,"topic":"in"}`),
		&kgo.Record{Topic: "in.dlq", Value: []byte("foreign")},
	)
	return b
}

// replayed is the values in the input topic.
func replayed(t *testing.T, brokers string) string {
	t.Helper()
	r := sluice(t, "tap", "-b", brokers, "-t", "in", "-e", "-f", "key-value")
	var keys []string
	for line := range strings.Lines(r.out) {
		key, _, _ := strings.Cut(line, "\t")
		keys = append(keys, key)
	}
	return strings.Join(keys, " ")
}

func TestDeadLettersAreCountedByCause(t *testing.T) {
	t.Parallel()
	b := letters(t)
	r := sluice(t, "dlq", "ls", "-b", b, "-t", "in.dlq", "--json")
	r.want(t, exitOK)
	var report struct {
		Total  int
		Groups []letterGroup
	}
	if err := json.Unmarshal([]byte(r.out), &report); err != nil {
		t.Fatal(err)
	}
	if report.Total != 7 || len(report.Groups) != 5 || report.Groups[0].Count != 2 {
		t.Errorf("report %+v", report)
	}
	sluice(t, "dlq", "ls", "-b", b, "-t", "in.dlq", "--class", "undecodable").want(t, exitOK, "2      undecodable  decode  in/0", "2 dead letters")
	sluice(t, "dlq", "ls", "-b", b, "-t", "in.dlq", "--from", "1700000004000", "--to", "1700000005000").want(t, exitOK, "1 dead letters", "run_failed")
	sluice(t, "dlq", "ls", "-b", b, "-t", "nope.dlq").want(t, exitDependency, "does not exist")
}

func TestDeadLettersAreShownSafely(t *testing.T) {
	t.Parallel()
	b := letters(t)
	r := sluice(t, "dlq", "show", "-b", b, "-t", "in.dlq", "0/1")
	r.want(t, exitOK, "wrong_shape at decode, 3 attempts", "of        in/1@1, group g, model m", "mine: yes", `v1\x1b[2J`)
	if strings.ContainsRune(r.out, '\x1b') || strings.Contains(r.out, "v0") {
		t.Errorf("shows a control character, or another letter: %q", r.out)
	}
	r = sluice(t, "dlq", "show", "-b", b, "-t", "in.dlq", "-n", "2", "--json", "--class", "undecodable,run_failed")
	var list []shownLetter
	if err := json.Unmarshal([]byte(r.out), &list); err != nil || len(list) != 2 || list[1].Preview != "v4" {
		t.Errorf("%v: %s", err, r.out)
	}
	sluice(t, "dlq", "show", "-b", b, "-t", "in.dlq", "0/99").want(t, exitUsage, "no dead letter at 0/99")
}

func TestReplaySendsBackOnceWithOriginalHeadersAndAttempts(t *testing.T) {
	t.Parallel()
	b := letters(t)
	sluice(t, "dlq", "replay", "-b", b, "-t", "in.dlq", "--dry-run").want(t, exitPartial, "would replay 5")
	if got := replayed(t, b); got != "" {
		t.Fatalf("a dry run sent %s", got)
	}
	sluice(t, "dlq", "replay", "-b", b, "-t", "in.dlq").want(t, exitPartial, "replayed 5", "stubs 1", "not dead letters 1")
	sluice(t, "dlq", "replay", "-b", b, "-t", "in.dlq").want(t, exitOK, "replayed 0")
	for _, rec := range consume(t, b, "in", 5) {
		var n int64
		if _, err := fmt.Sscanf(string(rec.Key), "k%d", &n); err != nil {
			t.Fatal(err)
		}
		want := []kgo.RecordHeader{{Key: "mine", Value: []byte("yes")}, {Key: "x-attempts", Value: []byte("3")}}
		if diff := cmp.Diff(want, rec.Headers); diff != "" {
			t.Error(diff)
		}
		if rec.Partition != int32(n%2) || !strings.HasPrefix(string(rec.Value), fmt.Sprint("v", n)) {
			t.Errorf("%s went to partition %d with %q", rec.Key, rec.Partition, rec.Value)
		}
	}
}

func TestWhatAFilterLeavesOutStaysForALaterReplay(t *testing.T) {
	t.Parallel()
	b := letters(t)
	for _, step := range []struct{ flags, all string }{
		{"--class wrong_shape --max 1", "k1"},
		{"--class wrong_shape", "k1 k3"},
		{"--class wrong_shape", "k1 k3"},
		{"--from 1700000002000 --to 1700000003000", "k2 k1 k3"},
		{"--rate 100", "k2 k0 k4 k1 k3"},
		{"", "k2 k0 k4 k1 k3"},
	} {
		r := sluice(t, append([]string{"dlq", "replay", "-b", b, "-t", "in.dlq"}, strings.Fields(step.flags)...)...)
		if r.code != exitOK && r.code != exitPartial {
			t.Fatalf("replay %s: %+v", step.flags, r)
		}
		if got := sortedWords(replayed(t, b)); got != sortedWords(step.all) {
			t.Errorf("after replay %s the input has %s, want %s", step.flags, got, step.all)
		}
	}
}

func sortedWords(s string) string {
	words := strings.Fields(s)
	for i := range words {
		for j := i + 1; j < len(words); j++ {
			if words[j] < words[i] {
				words[i], words[j] = words[j], words[i]
			}
		}
	}
	return strings.Join(words, " ")
}

func TestReplayNeedsTheOriginalTopic(t *testing.T) {
	t.Parallel()
	b := cluster(t, "in.dlq")
	produce(t, b, letter(0, schemas.Undecodable, "v"))
	sluice(t, "dlq", "replay", "-b", b, "-t", "in.dlq").want(t, exitDependency, `topic "in" does not exist`)
}
