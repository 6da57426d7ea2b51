package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluice-ml/sluice/internal/kafkatest"
)

func kafkaAdmin(t *testing.T, brokers string) *kadm.Client {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(brokers, ",")...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return kadm.NewClient(client)
}

func createTopic(t *testing.T, brokers, topic string, settings ...string) {
	t.Helper()
	values := map[string]*string{}
	for _, s := range settings {
		name, value, _ := strings.Cut(s, "=")
		values[name] = &value
	}
	if _, err := kafkaAdmin(t, brokers).CreateTopic(t.Context(), 2, 1, values, topic); err != nil {
		t.Fatal(err)
	}
}

// report is what check --json prints.
type report struct {
	OK       bool
	Findings []finding
	Promise  string
}

func check(t *testing.T, code int, args ...string) report {
	t.Helper()
	r := sluice(t, append([]string{"check", "--json"}, args...)...)
	r.want(t, code)
	var got report
	if err := json.Unmarshal([]byte(r.out), &got); err != nil {
		t.Fatalf("%v in %s", err, r.out)
	}
	return got
}

// says checks that a finding of that status holds the text.
func (r report) says(t *testing.T, status, subject, text string) {
	t.Helper()
	for _, f := range r.Findings {
		if f.Status == status && f.Subject == subject && strings.Contains(f.Message, text) {
			return
		}
	}
	t.Errorf("no %s of %s with %q in %+v", status, subject, text, r.Findings)
}

func TestCheckOfAGoodSetUp(t *testing.T) {
	t.Parallel()
	b := cluster(t, "in")
	createTopic(t, b, "out", "max.message.bytes=2000000")
	createTopic(t, b, "in.dlq")
	file := configFile(t, b)
	r := check(t, exitOK, "-c", file)
	if !r.OK || !strings.Contains(r.Promise, "at-least-once: no input without an outcome") {
		t.Errorf("report %+v", r)
	}
	r.says(t, statusOK, "runtime", "ONNX Runtime 1.")
	r.says(t, statusOK, "model", "affine version 1")
	r.says(t, statusOK, "schema", "codec json fits")
	r.says(t, statusOK, "brokers", "1 brokers")
	r.says(t, statusOK, "input", "topic in is readable, 2 partitions")
	r.says(t, statusOK, "output", "topic out is writable")
	r.says(t, statusWarning, "output", "replication 1")
	r.says(t, statusOK, "output", "takes a record")
	r.says(t, statusWarning, "dead-letter", "max.message.bytes=1052684")
	r.says(t, statusOK, "group", "group g can be used")
	r.says(t, statusOK, "producer", "idempotent")
	for _, topic := range []string{"in", "out", "in.dlq"} {
		if tap := sluice(t, "tap", "-b", b, "-t", topic, "-e"); tap.out != "" {
			t.Errorf("check wrote to %s: %s", topic, tap.out)
		}
	}
	sluice(t, "check", "-c", file).want(t, exitOK, "OK    model", "WARN  ", "Promise: at-least-once")
}

func TestCheckTellsEverythingThatIsWrong(t *testing.T) {
	t.Parallel()
	b := cluster(t, "in")
	file := configFile(t, b)
	r := check(t, exitDependency, "-c", file)
	r.says(t, statusFailed, "output", "kafka-topics.sh --bootstrap-server "+b+" --create --topic out --partitions 2")
	r.says(t, statusFailed, "dead-letter", "--create --topic in.dlq")

	r = check(t, exitUsage, "-c", file, "--set", "model.inputs.other=/x", "--set", "kafka.brokers=127.0.0.1:1")
	r.says(t, statusFailed, "schema", "inputs maps")
	r.says(t, statusFailed, "brokers", "check kafka.brokers")

	r = check(t, exitUsage, "-c", file, "--set", "input.strat=x", "--set", "log.level=loud", "--set", "input.session_timeout=5s")
	r.says(t, statusFailed, "config", `did you mean "input.start"?`)
	r.says(t, statusFailed, "config", "allowed: debug, info, warn, error")
	r.says(t, statusWarning, "config", "group.min.session.timeout.ms")
	if r.OK {
		t.Error("says ok")
	}
}

func TestModelCommands(t *testing.T) {
	t.Parallel()
	const zoo = "../../pipeline/onnx/testdata/zoo"
	sluice(t, "model", "inspect", zoo+"/affine.onnx").want(t, exitOK, "input     x  FP32 [batch, 4]", "verdict   batched", "sha256    f6c87688")
	r := sluice(t, "model", "inspect", zoo+"/batch_coupled.onnx", "--json")
	var report struct{ Verdict, Reason string }
	if err := json.Unmarshal([]byte(r.out), &report); err != nil || report.Verdict != "alone" || report.Reason == "" {
		t.Errorf("%v: %s", err, r.out)
	}
	sluice(t, "model", "inspect", zoo+"/row_dropped.onnx").want(t, exitOK, "verdict   refused: ")
	sluice(t, "model", "inspect", "-c", configFile(t, "127.0.0.1:1")).want(t, exitOK, "affine, version 1")
	sluice(t, "model", "inspect", zoo+"/affine.onnx", "--library", "/nope.so").want(t, exitDependency, "make build")
	sluice(t, "model", "ls", zoo).want(t, exitOK, "affine\t1\t")
	sluice(t, "model", "ls", "/nope").want(t, exitUsage, "no such file")
}

// refusingWrites is a cluster that lets nobody write.
func refusingWrites(t *testing.T) string {
	t.Helper()
	c, brokers := kafkatest.Kfake(t, kfake.SeedTopics(2, "in", "in.dlq", "out"))
	c.ControlKey(int16(kmsg.Produce), func(request kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		answer := request.ResponseKind().(*kmsg.ProduceResponse)
		for _, topic := range request.(*kmsg.ProduceRequest).Topics {
			refused := kmsg.ProduceResponseTopic{Topic: topic.Topic, TopicID: topic.TopicID}
			for _, p := range topic.Partitions {
				refused.Partitions = append(refused.Partitions, kmsg.ProduceResponseTopicPartition{Partition: p.Partition, ErrorCode: 29})
			}
			answer.Topics = append(answer.Topics, refused)
		}
		return answer, nil, true
	})
	return strings.Join(brokers, ",")
}

func TestMissingPermissionIsToldWithTheACL(t *testing.T) {
	t.Parallel()
	b := refusingWrites(t)
	const cure = "--operation Write --operation Describe --topic out"
	check(t, exitDependency, "-c", configFile(t, b)).says(t, statusFailed, "output", cure)
	s := start(t, "-c", configFile(t, b))
	if code := <-s.code; code != exitDependency || !strings.Contains(s.log.String(), cure) {
		t.Errorf("run: exit code %d\n%s", code, s.log)
	}
}
