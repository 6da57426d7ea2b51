package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-ml/sluice/internal/kafkatest"
)

// result is what one invocation left.
type result struct {
	code     int
	out, err string
}

// sluice runs one command in process.
func sluice(t *testing.T, args ...string) result {
	t.Helper()
	return sluiceWith(t, nil, "", args...)
}

func sluiceWith(t *testing.T, env []string, stdin string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	code := run(ctx, args, strings.NewReader(stdin), &out, &errs, env)
	overhear(strings.Join(args[:min(1, len(args))], ""), out.Bytes())
	overhear(strings.Join(args[:min(1, len(args))], ""), errs.Bytes())
	return result{code, out.String(), errs.String()}
}

// want checks the exit code and that these texts were said, to people or as data.
func (r result) want(t *testing.T, code int, texts ...string) {
	t.Helper()
	if r.code != code {
		t.Errorf("exit code %d, want %d\nstdout: %s\nstderr: %s", r.code, code, r.out, r.err)
	}
	for _, text := range texts {
		if !strings.Contains(r.out+r.err, text) {
			t.Errorf("no %q in\nstdout: %s\nstderr: %s", text, r.out, r.err)
		}
	}
}

// cluster starts a broker with topics of two partitions.
func cluster(t *testing.T, topics ...string) string {
	t.Helper()
	_, brokers := kafkatest.Kfake(t, kfake.SeedTopics(2, topics...))
	return strings.Join(brokers, ",")
}

// produce writes records as a client that is not ours does.
func produce(t *testing.T, brokers string, records ...*kgo.Record) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(brokers, ",")...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// consume reads n records of a topic from its beginning.
func consume(t *testing.T, brokers, topic string, n int) []*kgo.Record {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(brokers, ",")...), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var got []*kgo.Record
	for len(got) < n && ctx.Err() == nil {
		got = append(got, client.PollFetches(ctx).Records()...)
	}
	if len(got) != n {
		t.Fatalf("%d records in %s, want %d", len(got), topic, n)
	}
	return got
}

// configFile writes a configuration of the affine model.
func configFile(t *testing.T, brokers string) string {
	t.Helper()
	model, err := filepath.Abs("../../pipeline/onnx/testdata/zoo/affine.onnx")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "sluice.yaml")
	text := "kafka: {brokers: [\"" + brokers + "\"]}\ninput: {topics: [in], group: g}\nmodel: {name: affine, path: " + model +
		"}\noutput: {topic: out}\ndead_letter: {max_share: 0.9}\nadmin: {listen: \"127.0.0.1:0\"}\nstartup: {wait: 5s}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// syncBuffer is a log that is read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	overhear("log", p)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	limit := time.Now().Add(30 * time.Second)
	for !ok() {
		if time.Now().After(limit) {
			t.Fatalf("%s: not within 30 s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
