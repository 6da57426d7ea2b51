package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"

	"github.com/sluice-ml/sluice/schemas"
)

func TestPublishedLinesAreTapped(t *testing.T) {
	t.Parallel()
	b := cluster(t, "a")
	sluiceWith(t, nil, "one\n{\"x\": 2}\n", "publish", "-b", b, "-t", "a").want(t, exitOK, "published 2, rejected 0")

	values := map[string]bool{}
	for _, rec := range consume(t, b, "a", 2) {
		values[string(rec.Value)] = true
		if len(rec.Headers) != 1 || rec.Headers[0].Key != "traceparent" || len(rec.Headers[0].Value) != 55 {
			t.Errorf("headers %v, want a traceparent", rec.Headers)
		}
	}
	if !values["one"] || !values[`{"x": 2}`] {
		t.Errorf("values %v: not the lines as they are", values)
	}
	r := sluice(t, "tap", "-b", b, "-t", "a", "-e", "-f", "value")
	r.want(t, exitOK)
	if len(strings.Fields(r.out)) != 3 {
		t.Errorf("tap prints %q", r.out)
	}
}

func TestEnvelopesGoThroughTapAndPublishUnchanged(t *testing.T) {
	t.Parallel()
	b := cluster(t, "a", "b")
	produce(t, b,
		&kgo.Record{Topic: "a", Partition: 1, Key: []byte("k"), Value: []byte{0, 255}, Timestamp: time.UnixMilli(1700000000000), Headers: []kgo.RecordHeader{
			{Key: "traceparent", Value: []byte("t")}, {Key: "h", Value: []byte("1")}, {Key: "h", Value: []byte("2")}, {Key: "bin", Value: []byte{255}},
		}},
		&kgo.Record{Topic: "a", Partition: 1, Key: []byte{}, Value: nil, Headers: []kgo.RecordHeader{{Key: "traceparent", Value: nil}}},
	)
	lines := sluice(t, "tap", "-b", b, "-t", "a", "-e", "--json")
	lines.want(t, exitOK, `"offset":0,"timestamp":1700000000000,"key":"k"`, `"h":["1","2"]`, `"value_base64":"AP8="`, `"value":null`)
	sluiceWith(t, nil, lines.out, "publish", "-b", b, "-t", "b", "--json").want(t, exitOK)

	want, got := consume(t, b, "a", 2), consume(t, b, "b", 2)
	for i := range want {
		if diff := cmp.Diff(plainRecord(want[i]), plainRecord(got[i])); diff != "" {
			t.Errorf("record %d: %s", i, diff)
		}
	}
}

func plainRecord(r *kgo.Record) string {
	return fmt.Sprint(r.Partition, r.Timestamp.UnixMilli(), r.Key == nil, string(r.Key), r.Value == nil, fmt.Sprintf("%x", r.Value), r.Headers)
}

func TestRejectedLinesAreNamedAndTheRestGoesOn(t *testing.T) {
	t.Parallel()
	b := cluster(t, "a")
	file := filepath.Join(t.TempDir(), "in.jsonl")
	text := strings.Join([]string{
		`{"value":"good"}`, `nonsense`, `{"key":"k"}`, `{"value":"x","partition":2}`, `{"value":"x","patrition":1}`,
		`{"value":"x","value_base64":"eA=="}`, `{"value":"x","headers":["a"]}`, `{"value":"x","timestamp":"noon"}`, ``, `{"value":{"n":1.50}}`,
	}, "\n")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r := sluice(t, "publish", "-b", b, "-t", "a", "--json", file)
	r.want(t, exitPartial, "published 2, rejected 7", "line 2: ", "line 3: no value", "line 4: partition 2: the topic has 2", "line 8: ")
	values := ""
	for _, rec := range consume(t, b, "a", 2) {
		values += string(rec.Value) + ";"
	}
	if !strings.Contains(values, `{"n":1.50};`) {
		t.Errorf("values %q: JSON values must stay as they were written", values)
	}
}

func TestTapBeginsAndEndsWhereToldTo(t *testing.T) {
	t.Parallel()
	b := cluster(t, "a")
	var records []*kgo.Record
	for i := range 10 {
		records = append(records, &kgo.Record{Topic: "a", Partition: 0, Value: fmt.Append(nil, i), Timestamp: time.UnixMilli(1700000000000 + int64(i)*1000)})
	}
	produce(t, b, records...)
	for args, want := range map[string]string{
		"-e":                                    "0123456789",
		"-o beginning -e":                       "0123456789",
		"-o end -e":                             "",
		"-o -3 -e":                              "789",
		"-o 4 -c 2":                             "45",
		"-o 99 -e":                              "",
		"-o -99 -c 1":                           "0",
		"-o s@1700000007000 -e":                 "789",
		"-o s@1700000002500 -o e@1700000005000": "34",
		"-o e@1700000002000":                    "01",
		"-p 1 -e":                               "",
		"-o s@2023-11-14T22:13:28Z -e":          "89",
	} {
		r := sluice(t, append([]string{"tap", "-b", b, "-t", "a", "-f", "value"}, strings.Fields(args)...)...)
		r.want(t, exitOK)
		if got := strings.ReplaceAll(r.out, "\n", ""); got != want {
			t.Errorf("tap %s prints %q, want %q", args, got, want)
		}
	}
	sluice(t, "tap", "-b", b, "-t", "a", "-p", "7").want(t, exitUsage, "has no partition 7")
}

func TestTapDecodesJSONValues(t *testing.T) {
	t.Parallel()
	b := cluster(t, "a")
	produce(t, b, &kgo.Record{Topic: "a", Key: []byte("k"), Value: []byte("{\"x\": [1,\n 2]}")})
	r := sluice(t, "tap", "-b", b, "-t", "a", "-e", "-f", "decoded")
	r.want(t, exitOK, `"key":"k","value":{"x":[1,2]}}`)
}

func TestMissingTopicAndBrokerAreDependencies(t *testing.T) {
	t.Parallel()
	b := cluster(t, "a")
	for _, command := range []string{"tap", "publish"} {
		sluice(t, command, "-b", b, "-t", "nope").want(t, exitDependency, "create it: kafka-topics.sh --bootstrap-server "+b+" --create --topic nope")
		sluice(t, command, "-b", "127.0.0.1:1", "-t", "a").want(t, exitDependency, "check kafka.brokers")
	}
}

func TestEnvelopeReadsBackToTheSameRecord(t *testing.T) {
	t.Parallel()
	bytesOrNil := rapid.OneOf(rapid.Just([]byte(nil)), rapid.SliceOf(rapid.Byte()), rapid.Map(rapid.String(), func(s string) []byte { return []byte(s) }))
	rapid.Check(t, func(t *rapid.T) {
		rec := schemas.Record{
			Topic: "t", Partition: rapid.Int32Range(0, 9).Draw(t, "partition"), Offset: 3,
			Timestamp: rapid.Int64Range(0, 1<<50).Draw(t, "timestamp"),
			Key:       bytesOrNil.Draw(t, "key"), Value: bytesOrNil.Draw(t, "value"),
		}
		for _, name := range rapid.SliceOfDistinct(rapid.StringMatching(`[a-z"<]{1,5}`), rapid.ID[string]).Draw(t, "names") {
			rec.Headers = append(rec.Headers, schemas.Header{Key: name, Value: bytesOrNil.Draw(t, "header")})
		}
		line := writeEnvelope(nil, &rec, false)
		if !json.Valid(line) {
			t.Fatalf("not JSON: %s", line)
		}
		got, err := readEnvelope(line)
		if err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		got.Topic, got.Offset = rec.Topic, rec.Offset
		if diff := cmp.Diff(rec, got); diff != "" {
			t.Fatalf("%s\n%s", line, diff)
		}
	})
}

func FuzzReadEnvelope(f *testing.F) {
	f.Add([]byte(`{"key":"k","value":{"a":1},"headers":{"h":["1",{"base64":"AA=="}]},"timestamp":1}`))
	f.Add([]byte(`{"value_base64":"AA==","headers":{"h":[]},"partition":-1}`))
	f.Add([]byte(`{"value":"x","headers":{"h":{}},"timestamp":"2026-01-31T12:00:00Z"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		rec, err := readEnvelope(line)
		if err != nil {
			return
		}
		if again, err := readEnvelope(writeEnvelope(nil, &rec, false)); rec.Partition >= 0 && (err != nil || string(again.Value) != string(rec.Value)) {
			t.Errorf("%q reads, but what it writes does not: %v", line, err)
		}
	})
}
