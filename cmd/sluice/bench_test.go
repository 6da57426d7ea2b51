package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-ml/sluice/internal/bench"
	"github.com/sluice-ml/sluice/internal/load"
)

// echoService answers every record of in on out, with its key, until the test
// ends: a deployment that is not sluice.
func echoService(t *testing.T, brokers string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(brokers, ",")...), kgo.ConsumeTopics("in"), kgo.ProducerLinger(0),
		kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var serving sync.WaitGroup
	serving.Go(func() { // ends with ctx
		for ctx.Err() == nil {
			client.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
				client.Produce(ctx, &kgo.Record{Topic: "out", Key: r.Key, Value: r.Value}, nil)
			})
		}
	})
	t.Cleanup(func() {
		cancel()
		serving.Wait()
		client.Close()
	})
}

func requests(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "requests.jsonl")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestBenchReportsEveryRecord(t *testing.T) {
	t.Parallel()
	brokers := cluster(t, "in", "out")
	echoService(t, brokers)
	folder := t.TempDir()
	curve, histogram := filepath.Join(folder, "c.html"), filepath.Join(folder, "h.hlog")
	r := sluice(t, "bench", "-b", brokers, "--input", "in", "--output", "out", "--records", requests(t, `{"x":1}`, `{"x":2}`),
		"--rates", "40,80", "--duration", "1s", "--warmup", "200ms", "--arrival", "constant", "--partition", "1", "--header", "a=b",
		"--json", "--curve", curve, "--histogram", histogram)
	// On a busy machine a second may be too short to keep up; the counts hold.
	if r.code != exitOK && r.code != exitFailure {
		r.want(t, exitOK)
	}
	var report bench.Report
	if err := json.Unmarshal([]byte(r.out), &report); err != nil {
		t.Fatalf("%v\n%s\n%s", err, r.out, r.err)
	}
	if report.Input != "in" || report.DeadLetter != "" || report.Partitions != 2 || report.Records.Different != 2 || report.Seed != 1 || len(report.Points) != 2 {
		t.Errorf("%+v", report)
	}
	sent := int64(1) // the single one before
	for i, p := range report.Points {
		sent += p.Sent
		if want := []int64{48, 96}[i]; p.Sent != want || p.Received != want || !p.Complete() || p.Measured != []int64{40, 80}[i] || p.Latency.Max <= 0 {
			t.Errorf("%+v", p)
		}
	}
	for i, rec := range consume(t, brokers, "in", int(sent)) {
		if rec.Partition != 1 || len(rec.Headers) != 1 || rec.Headers[0].Key != "a" || !strings.HasPrefix(string(rec.Value), `{"x":`) {
			t.Fatalf("record %d: %+v", i, rec)
		}
	}
	for path, want := range map[string]string{curve: "<svg", histogram: "Tag=rate=80,"} {
		data, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(data, []byte(want)) {
			t.Errorf("%s: %v, no %q in it", path, err, want)
		}
	}
}

func TestBenchSaysWhatToDo(t *testing.T) {
	t.Parallel()
	brokers := cluster(t, "in", "out")
	file := requests(t, `{"x":1}`)
	for args, want := range map[string]string{
		"--input in --output out":                                          "name a file with --records",
		"--output out --records " + file:                                   "name it with --input",
		"--input in --records " + file:                                     "name it with --output",
		"--input in --output in --records " + file:                         "the same topic",
		"--input in --output out --records " + file + " --partition 2":     "the topic has 2, counted from 0",
		"--input in --output out --records " + file + " --partition hash":  "write key, round-robin, or a number",
		"--input in --output out --records " + file + " --format raw":      "--record-bytes",
		"--input in --output out --records " + file + " --format envelope": "line 1",
		"--input in --output out --records nowhere.jsonl":                  "nowhere.jsonl",
		"--rate 0":                     "more than 0",
		"--rates 9..1":                 "above the second",
		"--rates 1,2,2":                "from low to high",
		"--rates fast":                 "write 500..8000",
		"--rates 1,2 --rate 3":         "keep one",
		"--arrival bursty":             "allowed: poisson, constant",
		"--match value":                "allowed: key, source",
		"--curve c.png":                "must end in .svg or .html",
		"--histogram h.txt":            "must end in .hgrm or .hlog",
		"--curve no/such/folder/c.svg": "no such file",
		"--duration 10ms":              "at least 1s",
		"--compression rar":            "rar",
	} {
		sluice(t, append([]string{"bench", "-b", brokers}, strings.Fields(args)...)...).want(t, exitUsage, want)
	}
	flags := []string{"bench", "-b", brokers, "--records", file, "--wait", "300ms"}
	sluice(t, append(flags, "--input", "in", "--output", "nowhere")...).want(t, exitDependency, `"nowhere" does not exist`, "--create")
	sluice(t, append(flags, "--input", "in", "--output", "out", "--dlq", "dead")...).want(t, exitDependency, `"dead" does not exist`)
	sluice(t, append(flags, "--input", "in", "--output", "out")...).want(t, exitDependency, "nothing came back on out", "--match source")
	sluice(t, "bench", "-b", "127.0.0.1:1", "--input", "in", "--output", "out", "--records", file).want(t, exitDependency, "ask the brokers")
}

func TestBenchEndsWithTheRightCode(t *testing.T) {
	t.Parallel()
	ok := &bench.Point{Sustained: true}
	for want, points := range map[int][]*bench.Point{
		exitOK:      {ok, {Sustained: false}}, // a sweep is meant to go too far
		exitFailure: {{Sustained: false}},
		exitPartial: {ok, {Sustained: true, Counts: load.Counts{Lost: 1}}},
	} {
		if got := exitCode(benchError(points, nil)); got != want {
			t.Errorf("%d, want %d", got, want)
		}
	}
	if got := exitCode(benchError([]*bench.Point{ok, {Interrupted: true}}, nil)); got != exitFailure {
		t.Errorf("interrupted: %d", got)
	}
}

func TestRatesAreRead(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]float64{"500..8000": {500, 3000, 5500, 8000}, "10, 20.5": {10, 20.5}, "7..7": {7}, "": {3}} {
		if got, err := parseRates(text, 3, 4); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

func TestRawFilesAreCut(t *testing.T) {
	t.Parallel()
	var got []string
	add := func(r bench.Record) bool { got = append(got, string(r.Value)); return true }
	if all, err := readRaw(strings.NewReader("abcdef"), 3, add); err != nil || !all || fmt.Sprint(got) != "[abc def]" {
		t.Errorf("%v, %v, %v", got, all, err)
	}
	if _, err := readRaw(strings.NewReader("abcd"), 3, add); err == nil || !strings.Contains(err.Error(), "1 of 3 bytes") {
		t.Error(err)
	}
}

func TestTheLineOfABench(t *testing.T) {
	t.Parallel()
	p := bench.Progress{
		Rate: 2000, Since: 12 * time.Second, Warmup: 5 * time.Second, Total: 35 * time.Second, Backlog: 10,
		Counts: load.Counts{Sent: 24_000, Received: 23_990, Outstanding: 10}, P50: 4100 * time.Microsecond, P99: 9 * time.Millisecond,
	}
	if got, want := benchLine(p, true), "2,000/s [======>             ] 12/35 s  back 23,990 of 24,000  p50 4.1 ms  p99 9 ms  backlog 10"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	p.Waiting, p.Counts.DeadLettered = true, 3
	if got := benchLine(p, false); !strings.Contains(got, "35/35 s  waiting for 10") || !strings.HasSuffix(got, "dead 3") {
		t.Errorf("%q", got)
	}
	var out bytes.Buffer
	s := newBenchScreen(&out)
	s.progress(p) // not yet: the first plain line comes after some seconds
	s.say("a word")
	s.clear()
	if out.String() != "a word\n" {
		t.Errorf("no terminal, but %q", out.String())
	}
	if got := cutTo("µµµµ", 2); got != "µµ" {
		t.Errorf("%q", got)
	}
}
