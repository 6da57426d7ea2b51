//go:build integration

package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// badRecord is one bad input and the dead letter that must come of it.
type badRecord struct {
	name, class, stage string
	value              []byte
	headers            []kgo.RecordHeader
}

func of(key, value string) []kgo.RecordHeader {
	return []kgo.RecordHeader{{Key: key, Value: []byte(value)}}
}

func manyHeaders(n, size int) []kgo.RecordHeader {
	var headers []kgo.RecordHeader
	for i := range n {
		headers = append(headers, kgo.RecordHeader{Key: fmt.Sprintf("h%d", i), Value: bytes.Repeat([]byte{'v'}, size)})
	}
	return headers
}

func little(values ...float32) []byte {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

func badRecords() []badRecord {
	good := []byte(`{"x":[1,2,3,4]}`)
	raw := of("content-type", "application/octet-stream")
	oip := of("content-type", "application/vnd.oip+json")
	return []badRecord{
		{"no JSON", "undecodable", "decode", []byte("\x00\x01\xff"), nil},
		{"cut JSON", "undecodable", "decode", []byte(`{"x":[1,2,3`), nil},
		{"no bytes", "undecodable", "decode", []byte{}, nil},
		{"field twice", "undecodable", "decode", []byte(`{"x":[1,2,3,4],"x":[1,2,3,4]}`), nil},
		{"short row", "wrong_shape", "validate", []byte(`{"x":[1,2,3]}`), nil},
		{"ragged", "wrong_shape", "validate", []byte(`{"x":[[1,2],[3]]}`), nil},
		{"text", "wrong_type", "validate", []byte(`{"x":["a",2,3,4]}`), nil},
		{"over float32", "wrong_type", "validate", []byte(`{"x":[1e39,2,3,4]}`), nil},
		{"other field", "wrong_name", "validate", []byte(`{"y":[1,2,3,4]}`), nil},
		{"null field", "wrong_name", "validate", []byte(`{"x":null}`), nil},
		{"infinite output", "non_finite", "encode", []byte(`{"x":[3e38,2,3,4]}`), nil},
		{"NaN by name", "non_finite", "encode", []byte(`{"x":["NaN",2,3,4]}`), nil},
		{"NaN in bytes", "non_finite", "encode", little(float32(math.NaN()), 2, 3, 4), raw},
		{"oversized", "too_large", "decode", append(bytes.Repeat([]byte{' '}, 17<<20), good...), nil},
		{"deep", "too_large", "decode", []byte(`{"x":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`), nil},
		{"deep elsewhere", "too_large", "decode", []byte(`{"z":` + strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000) + `,"x":[1,2,3,4]}`), nil},
		{"300 headers", "too_large", "decode", good, manyHeaders(300, 1)},
		{"1000 headers", "too_large", "decode", good, manyHeaders(1000, 1)},
		{"3000 headers", "too_large", "decode", good, manyHeaders(3000, 1)},
		{"large headers", "too_large", "decode", good, manyHeaders(2, 40<<10)},
		{"unknown type", "unsupported_content_type", "decode", good, of("content-type", "application/x-protobuf")},
		{"raw, 3 bytes", "wrong_shape", "validate", []byte("abc"), raw},
		{"raw, 2 rows", "wrong_shape", "validate", little(1, 2, 3, 4, 5, 6, 7, 8), raw},
		{"OIP, other type", "wrong_type", "validate", []byte(`{"inputs":[{"name":"x","datatype":"INT64","shape":[1,4],"data":[1,2,3,4]}]}`), oip},
		{"OIP, vast shape", "too_large", "decode", []byte(`{"inputs":[{"name":"x","datatype":"FP32","shape":[1099511627776,4],"data":[1,2,3,4]}]}`), oip},
		{"another model", "unknown_model", "validate", good, of("x-model-name", "../../etc/passwd")},
		{"past deadline", "expired", "decode", good, of("x-deadline", "2001-01-01T00:00:00Z")},
		{"unreadable deadline", "undecodable", "decode", good, of("x-deadline", "soon")},
	}
}

// Each bad record stands among good ones, in one topic.
func TestBadRecordsBecomeDeadLettersAndTheirMatesPredictions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, "max.message.bytes=25165824")
	bad := badRecords()
	var records []*kgo.Record
	good := w.rows(0, 2*len(bad))
	for i, b := range bad {
		records = append(records, good[2*i], &kgo.Record{Key: []byte(b.name), Value: b.value, Headers: b.headers}, good[2*i+1])
	}
	w.put(records...)
	s := start(t, w.flags...)
	s.await("ready")
	w.settled()
	s.end(exitOK)

	if outputs := w.outputs(); wantEach(t, outputs, len(good)) != 0 || len(outputs) != len(good) {
		t.Errorf("%d outputs of %d good records", len(outputs), len(good))
	}
	letters := w.letters()
	if len(letters) != len(bad) {
		t.Fatalf("%d dead letters of %d bad records", len(letters), len(bad))
	}
	for i, b := range bad {
		got := &letters[i] // the topic has one partition: in input order
		class, _ := header(got, "x-error-class")
		stage, _ := header(got, "__connect.errors.stage")
		message, _ := header(got, "__connect.errors.exception.message")
		if string(got.Key) != b.name || class != b.class || stage != b.stage || !bytes.Equal(got.Value, b.value) {
			t.Errorf("%s: dead letter of %q, class %s, stage %s, %d bytes (%s); want %s, %s, %d bytes",
				b.name, got.Key, class, stage, len(got.Value), message, b.class, b.stage, len(b.value))
		}
		for k, h := range b.headers {
			if k >= len(got.Headers) || got.Headers[k].Key != h.Key || !bytes.Equal(got.Headers[k].Value, h.Value) {
				t.Errorf("%s: original header %d is not the original", b.name, k)
				break
			}
		}
		if at, _ := header(got, "__connect.errors.offset"); at != strconv.Itoa(3*i+1) {
			t.Errorf("%s: says offset %s, want %d", b.name, at, 3*i+1)
		}
	}
	stopped := s.line("stopped")
	if stopped["predicted"] != float64(len(good)) || stopped["dead_lettered"] != float64(len(bad)-1) || stopped["expired"] != 1.0 {
		t.Errorf("stopped says %v", stopped)
	}
	for _, secret := range []string{"passwd", "soon"} {
		if strings.Contains(s.log.String(), secret) {
			t.Errorf("the log holds %q of a payload", secret)
		}
	}
}

// The policies that are not the default.
func TestPoliciesOfBadInput(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		set                                      []string
		predicted, dead, expired, skipped, given float64
	}{
		{[]string{"input.tombstones=pass"}, 4, 2, 1, 1, 5},
		{[]string{"input.tombstones=skip"}, 4, 2, 1, 1, 4},
		{[]string{"input.tombstones=dead-letter"}, 4, 3, 1, 0, 4},
		{[]string{"dead_letter.expired=drop", "model.non_finite=pass"}, 5, 1, 1, 1, 6},
		{[]string{"model.on_missing=nan", "model.non_finite=pass", "input.tombstones=skip"}, 6, 0, 1, 1, 6},
	} {
		t.Run(strings.Join(c.set, ","), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			w.put(append(w.rows(0, 4),
				&kgo.Record{Key: []byte("null"), Value: nil},
				&kgo.Record{Key: []byte("late"), Value: []byte(`{"x":[1,2,3,4]}`), Headers: of("x-deadline", "1000")},
				&kgo.Record{Key: []byte("infinite"), Value: []byte(`{"x":["NaN","Infinity",3e38,4]}`)},
				&kgo.Record{Key: []byte("missing"), Value: []byte(`{"y":0}`)})...)
			s := start(t, w.with(c.set...)...)
			s.await("ready")
			w.settled()
			s.end(exitOK)
			stopped := s.line("stopped")
			for name, want := range map[string]float64{"predicted": c.predicted, "dead_lettered": c.dead, "expired": c.expired, "skipped": c.skipped} {
				if stopped[name] != want {
					t.Errorf("%s = %v, want %v", name, stopped[name], want)
				}
			}
			outputs := w.outputs()
			if len(outputs) != int(c.given) {
				t.Errorf("%d outputs, want %v", len(outputs), c.given)
			}
			for i := range outputs {
				r := &outputs[i]
				switch string(r.Key) {
				case "null":
					if r.Value != nil {
						t.Errorf("a tombstone came out as %s", r.Value)
					}
				case "infinite":
					if !strings.Contains(string(r.Value), `["NaN","Infinity","Infinity",9]`) {
						t.Errorf("non-finite output %s", r.Value)
					}
				}
			}
			letters := c.dead
			if !strings.Contains(strings.Join(c.set, ","), "drop") {
				letters += c.expired
			}
			if got := w.letters(); len(got) != int(letters) {
				t.Errorf("%d dead letters, want %v", len(got), letters)
			}
		})
	}
}

// bomb is a record batch whose only record has size bytes of blanks.
func bomb(t *testing.T, codec int16, size int) []byte {
	t.Helper()
	var packed bytes.Buffer
	var z interface {
		Write(p []byte) (int, error)
		Close() error
	}
	if z = gzip.NewWriter(&packed); codec == 4 {
		encoder, err := zstd.NewWriter(&packed)
		if err != nil {
			t.Fatal(err)
		}
		z = encoder
	}
	// record: length, attributes 0, time delta 0, offset delta 0, null key, value, no headers
	head := binary.AppendVarint([]byte{0, 0, 0, 1}, int64(size))
	record := append(binary.AppendVarint(nil, int64(len(head)+size+1)), head...)
	blanks := bytes.Repeat([]byte{' '}, 1<<20)
	write := func(b []byte) {
		if _, err := z.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	write(record)
	for range size / len(blanks) {
		write(blanks)
	}
	write([]byte{0})
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	b := kmsg.RecordBatch{
		Magic: 2, PartitionLeaderEpoch: -1, Attributes: codec, ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1,
		FirstTimestamp: time.Now().UnixMilli(), MaxTimestamp: time.Now().UnixMilli(), NumRecords: 1, Records: packed.Bytes(),
	}
	raw := b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	return raw
}

// putBatch writes a hand-made batch.
func (w *world) putBatch(batch []byte) {
	w.t.Helper()
	request := kmsg.NewPtrProduceRequest()
	topics, err := w.admin.ListTopics(w.t.Context(), w.in)
	if err != nil {
		w.t.Fatal(err)
	}
	request.Acks, request.TimeoutMillis = -1, 30000
	topic, partition := kmsg.NewProduceRequestTopic(), kmsg.NewProduceRequestTopicPartition()
	topic.Topic, topic.TopicID, partition.Records = w.in, topics[w.in].ID, batch
	topic.Partitions = append(topic.Partitions, partition)
	request.Topics = append(request.Topics, topic)
	answer, err := w.client.Broker(1).Request(w.t.Context(), request)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := kerr.ErrorForCode(answer.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode); err != nil {
		w.t.Fatalf("produce the bomb: %v", err)
	}
}

// peak is a process's largest resident memory in bytes.
func peak(t *testing.T, pid int) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	if m == nil {
		t.Fatal("no VmHWM")
	}
	n, _ := strconv.ParseInt(string(m[1]), 10, 64)
	return n << 10
}

// A batch of a few KiB that inflates to 512 MiB: stepped over with a dead
// letter, and never held in memory.
func TestBombsAreSteppedOverInBoundedMemory(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.put(w.rows(0, 10)...)
	for _, codec := range []int16{1, 4} {
		b := bomb(t, codec, 512<<20)
		if len(b) > 1<<20 {
			t.Fatalf("the bomb has %d bytes", len(b))
		}
		w.putBatch(b)
	}
	w.put(w.rows(10, 10)...)
	cmd, s := process(t, append([]string{"run"}, w.flags...)...)
	s.await("ready")
	w.settled()
	if most := peak(t, cmd.Process.Pid); most > 400<<20 {
		t.Errorf("peak memory of %d MiB", most>>20)
	}
	signalAnd(t, cmd, os.Interrupt)
	if code := <-s.code; code != exitOK {
		t.Errorf("exit code %d\n%s", code, s.log)
	}
	wantEach(t, w.outputs(), 20)
	letters := w.letters()
	if len(letters) != 2 {
		t.Fatalf("%d dead letters of 2 bombs", len(letters))
	}
	for i := range letters {
		if class, _ := header(&letters[i], "x-error-class"); class != "too_large" {
			t.Errorf("class %q, want too_large", class)
		}
	}
}
