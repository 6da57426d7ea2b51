//go:build integration

package kafka_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	consumer "github.com/sluice-ml/sluice/consumers/kafka"
	"github.com/sluice-ml/sluice/internal/kafkatest"
	"github.com/sluice-ml/sluice/internal/kafkawire"
	producer "github.com/sluice-ml/sluice/producers/kafka"
	"github.com/sluice-ml/sluice/schemas"
)

// What Kafka's own Java client writes, with every codec and in transactions that
// commit and abort, reads the same with the Java client, franz-go and ours.
func TestJavaTopicsReadAsJavaReadsThem(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string][]string{
		"create time":     nil,
		"log append time": {"message.timestamp.type=LogAppendTime"},
		"broker's codec":  {"compression.type=zstd"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			brokers := kafkatest.Brokers(t)
			topic := kafkatest.Topic(t, brokers, 2, settings...)
			kafkatest.JavaWrite(t, brokers, topic, 300)

			for _, committed := range []bool{true, false} {
				sameForAll(t, brokers, topic, committed)
			}
		})
	}
}

// Compaction leaves gaps: offsets without a record inside batches, and whole
// batches gone.
func TestCompactedTopicReadsAsJavaReadsIt(t *testing.T) {
	t.Parallel()
	brokers := kafkatest.Brokers(t)
	topic := kafkatest.Topic(t, brokers, 1, "cleanup.policy=compact", "segment.ms=100", "min.cleanable.dirty.ratio=0.001",
		"min.compaction.lag.ms=0", "max.compaction.lag.ms=100", "delete.retention.ms=600000", "file.delete.delay.ms=100")
	client := kafkatest.Client(t, brokers, kgo.DefaultProduceTopic(topic))
	written := 0
	// A segment is closed by the first record after its time, and only closed ones are compacted.
	kafkatest.Eventually(t, 2*time.Minute, "the cleaner removes records", func(ctx context.Context) bool {
		var records []*kgo.Record
		for i := range 20 {
			record := &kgo.Record{Key: []byte(strconv.Itoa(i % 7)), Value: []byte(strconv.Itoa(written + i))}
			if i == 13 {
				record.Value = nil // a tombstone
			}
			records = append(records, record)
		}
		if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
			t.Fatal(err)
		}
		written += len(records)
		return len(kafkatest.FranzRead(t, brokers, topic, true)) < written/2 //nolint:contextcheck // the test's own context bounds it
	})

	kafkatest.Eventually(t, 2*time.Minute, "the cleaner has nothing to do", func(context.Context) bool {
		return sameWhileStill(t, brokers, topic) //nolint:contextcheck // the test's own context bounds it
	})
}

// sameWhileStill compares the three clients on a topic that the cleaner may still
// be at: false when it changed meanwhile.
func sameWhileStill(t *testing.T, brokers []string, topic string) bool {
	t.Helper()
	before := kafkatest.FranzRead(t, brokers, topic, true)
	ours := scan(t, brokers, topic, true)
	java := kafkatest.JavaRead(t, brokers, topic, true)
	if !cmp.Equal(before, kafkatest.FranzRead(t, brokers, topic, true)) {
		return false
	}
	if diff := cmp.Diff(java, ours); diff != "" {
		t.Errorf("%d records; Java -, ours +:\n%s", len(java), diff)
	}
	if diff := cmp.Diff(before, ours); diff != "" {
		t.Errorf("franz-go -, ours +:\n%s", diff)
	}
	return true
}

// sameForAll compares the three clients.
func sameForAll(t *testing.T, brokers []string, topic string, committed bool) {
	t.Helper()
	ours := scan(t, brokers, topic, committed)
	java := kafkatest.JavaRead(t, brokers, topic, committed)
	if len(java) == 0 {
		t.Fatal("the Java client read nothing")
	}
	if diff := cmp.Diff(java, ours); diff != "" {
		t.Errorf("committed %v, %d records; Java -, ours +:\n%s", committed, len(java), diff)
	}
	if diff := cmp.Diff(kafkatest.FranzRead(t, brokers, topic, committed), ours); diff != "" {
		t.Errorf("committed %v; franz-go -, ours +:\n%s", committed, diff)
	}
}

// What ours writes, with each codec, the Java client and franz-go read as it was
// given.
func TestOurRecordsReadAsTheyWereGiven(t *testing.T) {
	t.Parallel()
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		t.Run(codec, func(t *testing.T) {
			t.Parallel()
			brokers := kafkatest.Brokers(t)
			topic := kafkatest.Topic(t, brokers, 2)
			want := records(topic, 400)
			write(t, brokers, codec, want)

			if diff := cmp.Diff(want, kafkatest.JavaRead(t, brokers, topic, true)); diff != "" {
				t.Errorf("given -, Java read +:\n%s", diff)
			}
			if diff := cmp.Diff(want, kafkatest.FranzRead(t, brokers, topic, true)); diff != "" {
				t.Errorf("given -, franz-go read +:\n%s", diff)
			}
		})
	}
}

// records gives count records of every kind, with the partitions and offsets that
// they will have.
func records(topic string, count int) []schemas.Record {
	keys := [][]byte{nil, {}, []byte("k"), {0, 0xff, '"'}}
	values := [][]byte{nil, {}, []byte("a value that compresses, a value that compresses"), bytes.Repeat([]byte{0, 1, 2, 0xff}, 2000)}
	headers := [][]schemas.Header{
		nil,
		{{Key: "h", Value: []byte("v")}},
		{{Key: "repeated", Value: []byte{}}, {Key: "repeated", Value: nil}, {Key: "", Value: []byte{0xff}}},
	}
	list := make([]schemas.Record, count)
	for i := range list {
		list[i] = schemas.Record{
			Topic: topic, Partition: int32(i % 2), Offset: int64(i / 2), Timestamp: 1_700_000_000_000 + int64(i*7919%1000),
			Key: keys[i/3%len(keys)], Value: values[i/5%len(values)], Headers: headers[i/7%len(headers)],
		}
	}
	kafkatest.SortRecords(list)
	return list
}

func write(t *testing.T, brokers []string, codec string, list []schemas.Record) {
	t.Helper()
	compression, err := kafkawire.ParseCodec(codec)
	if err != nil {
		t.Fatal(err)
	}
	p, err := producer.NewProducer(wire(t, brokers), producer.ProducerConfig{Linger: 5 * time.Millisecond, Compression: compression}, nil)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, len(list)) // each record completes once
	for _, r := range list {
		p.Produce(&producer.Record{
			Topic: r.Topic, Partition: r.Partition, Timestamp: r.Timestamp, Key: r.Key, Value: r.Value, Headers: r.Headers,
		}, func(partition int32, offset int64, err error) {
			if err == nil && (partition != r.Partition || offset != r.Offset) {
				err = fmt.Errorf("record %d/%d is at %d/%d", r.Partition, r.Offset, partition, offset)
			}
			done <- err
		})
	}
	for range list {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// scan reads a topic up to its present end with ours.
func scan(t *testing.T, brokers []string, topic string, committed bool) []schemas.Record {
	t.Helper()
	client := wire(t, brokers)
	meta, err := client.Metadata(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	cfg := consumer.ScanConfig{Topic: topic, From: map[int32]int64{}, Until: map[int32]int64{}, ReadCommitted: committed}
	for _, p := range meta.Topic(topic).Partitions {
		cfg.From[p.ID] = 0
		end, err := client.ListOffset(t.Context(), topic, p.ID, kafkawire.LatestOffset, committed)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Until[p.ID] = end.Offset
	}
	var list []schemas.Record
	err = consumer.Scan(t.Context(), client, cfg, func(rec *schemas.Record, _ int64) error {
		list = append(list, keep(rec))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	kafkatest.SortRecords(list)
	return list
}

// keep copies a record that is valid only now.
func keep(rec *schemas.Record) schemas.Record {
	kept := *rec
	kept.Key, kept.Value, kept.Headers = bytes.Clone(rec.Key), bytes.Clone(rec.Value), slices.Clone(rec.Headers)
	for i := range kept.Headers {
		kept.Headers[i].Value = bytes.Clone(kept.Headers[i].Value)
	}
	if len(kept.Headers) == 0 {
		kept.Headers = nil
	}
	return kept
}

func wire(t *testing.T, brokers []string) *kafkawire.Client {
	t.Helper()
	client, err := kafkawire.NewClient(kafkawire.Config{Brokers: brokers})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}
