package kafkatest

import (
	"bufio"
	"bytes"
	"context"
	_ "embed" // the Java program
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-ml/sluice/schemas"
)

//go:embed java/Records.java
var javaRecords []byte

// javaTimeout bounds a run of the Java client: two JVM starts on a busy machine.
const javaTimeout = 2 * time.Minute

// JavaRead gives a topic, up to its present end, as Kafka's own Java client reads
// it: by partition and offset.
func JavaRead(tb testing.TB, brokers []string, topic string, committed bool) []schemas.Record {
	tb.Helper()
	isolation := "read_uncommitted"
	if committed {
		isolation = "read_committed"
	}
	var records []schemas.Record
	lines := bufio.NewScanner(bytes.NewReader(java(tb, "read", strings.Join(brokers, ","), topic, isolation)))
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var line struct {
			Partition int32
			Offset    int64
			Timestamp int64
			Key       []byte
			Value     []byte
			Headers   []struct{ Key, Value []byte }
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			tb.Fatalf("the Java client said %q: %v", lines.Text(), err)
		}
		record := schemas.Record{
			Topic: topic, Partition: line.Partition, Offset: line.Offset,
			Timestamp: line.Timestamp, Key: line.Key, Value: line.Value,
		}
		for _, h := range line.Headers {
			record.Headers = append(record.Headers, schemas.Header{Key: string(h.Key), Value: h.Value})
		}
		records = append(records, record)
	}
	SortRecords(records)
	return records
}

// JavaWrite has the Java client write count records with each codec, of every
// kind (null and empty keys and values, headers, timestamps out of order), then
// transactions of which some abort.
func JavaWrite(tb testing.TB, brokers []string, topic string, count int) {
	tb.Helper()
	java(tb, "write", strings.Join(brokers, ","), topic, strconv.Itoa(count))
}

// java runs the program with Kafka's jars and gives what it printed.
func java(tb testing.TB, args ...string) []byte {
	tb.Helper()
	jars := value(tb, EnvJars)
	source := filepath.Join(tb.TempDir(), "Records.java")
	if err := os.WriteFile(source, javaRecords, 0o600); err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(tb.Context(), javaTimeout)
	defer cancel()
	// The cheap compiler: each run is over in a few seconds.
	command := append([]string{"-XX:TieredStopAtLevel=1", "-Xmx256m", "-cp", jars + "/*", source}, args...)
	cmd := exec.CommandContext(ctx, "java", command...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		tb.Fatalf("java Records.java %s: %v\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return stdout.Bytes()
}

// FranzRead gives a topic, up to its present end, as franz-go reads it: by
// partition and offset.
func FranzRead(tb testing.TB, brokers []string, topic string, committed bool) []schemas.Record {
	tb.Helper()
	level := kgo.ReadUncommitted()
	if committed {
		level = kgo.ReadCommitted()
	}
	// Control records are asked for: an end behind a marker is reached only so.
	client := Client(tb, brokers, kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(level),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.KeepControlRecords(), kgo.FetchMaxWait(200*time.Millisecond))
	ctx, cancel := context.WithTimeout(tb.Context(), javaTimeout)
	defer cancel()
	list := kadm.NewClient(client).ListEndOffsets
	if committed {
		list = kadm.NewClient(client).ListCommittedOffsets
	}
	ends, err := list(ctx, topic)
	if err != nil {
		tb.Fatalf("end offsets of %s: %v", topic, err)
	}
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	var records []schemas.Record
	for len(left) > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			tb.Fatalf("franz-go reads %s, %v left: %v", topic, left, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			end, ok := left[r.Partition]
			if ok && !r.Attrs.IsControl() && r.Offset < end {
				records = append(records, fromFranz(r))
			}
			if r.Offset >= end-1 {
				delete(left, r.Partition)
			}
		})
	}
	SortRecords(records)
	return records
}

func fromFranz(r *kgo.Record) schemas.Record {
	record := schemas.Record{
		Topic: r.Topic, Partition: r.Partition, Offset: r.Offset,
		Timestamp: r.Timestamp.UnixMilli(), Key: r.Key, Value: r.Value,
	}
	for _, h := range r.Headers {
		record.Headers = append(record.Headers, schemas.Header{Key: h.Key, Value: h.Value})
	}
	return record
}
