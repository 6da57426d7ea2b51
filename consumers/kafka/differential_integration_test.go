//go:build integration

package kafka

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-ml/sluice/internal/kafkatest"
	"github.com/sluice-ml/sluice/internal/kafkawire"
	"github.com/sluice-ml/sluice/schemas"
)

// The same topics, read by the Source, by Scan and by franz-go, give the same
// records: key, value, headers, timestamp, offset; null and empty kept apart.
func TestReadsTheSameAsFranzGo(t *testing.T) {
	t.Parallel()
	brokers := kafkatest.Brokers(t)
	for name, c := range map[string]struct {
		configs []string
		write   func(t *testing.T, brokers []string, topic string)
	}{
		"every codec":       {nil, writeEveryCodec},
		"transactions":      {nil, writeTransactions},
		"log append time":   {[]string{"message.timestamp.type=LogAppendTime"}, writeEveryCodec},
		"compacted":         {[]string{"cleanup.policy=compact", "segment.ms=100", "min.cleanable.dirty.ratio=0.01", "max.compaction.lag.ms=100", "delete.retention.ms=100"}, writeAndCompact},
		"many log segments": {[]string{"segment.bytes=1048576"}, writeEveryCodec},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			topic := kafkatest.Topic(t, brokers, 3, c.configs...)
			c.write(t, brokers, topic)
			// The cleaner may change a compacted topic between two reads: then again.
			for try := 0; ; try++ {
				want := readByFranz(t, brokers, topic)
				scanned, received := readByScan(t, brokers, topic), readBySource(t, brokers, topic)
				if len(want) > 0 && slices.Equal(want, scanned) && slices.Equal(want, received) {
					return
				}
				if try == 4 || slices.Equal(want, readByFranz(t, brokers, topic)) {
					t.Fatalf("franz-go read %d, Scan %d, Source %d records; first difference of Scan: %s; of Source: %s",
						len(want), len(scanned), len(received), difference(want, scanned), difference(want, received))
				}
			}
		})
	}
}

// difference names the first row that two reads do not share.
func difference(want, got []string) string {
	for i := range max(len(want), len(got)) {
		switch {
		case i >= len(want):
			return "too much: " + got[i]
		case i >= len(got):
			return "missing: " + want[i]
		case want[i] != got[i]:
			return fmt.Sprintf("%.200s instead of %.200s", got[i], want[i])
		}
	}
	return "none"
}

// row is a record as text, with nil told from empty.
func row(partition int32, offset, timestamp int64, key, value []byte, headers []schemas.Header) string {
	var b strings.Builder
	part := func(x []byte) {
		if x == nil {
			b.WriteString(" null")
			return
		}
		fmt.Fprintf(&b, " %q", x)
	}
	fmt.Fprintf(&b, "%d/%06d %d", partition, offset, timestamp)
	part(key)
	part(value)
	for _, h := range headers {
		b.WriteString(" " + h.Key)
		part(h.Value)
	}
	return b.String()
}

func ends(t *testing.T, brokers []string, topic string) (client *kafkawire.Client, from, until map[int32]int64) {
	t.Helper()
	client, err := kafkawire.NewClient(kafkawire.Config{Brokers: brokers})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	from, until = map[int32]int64{}, map[int32]int64{}
	for p := range int32(3) {
		end, err := client.ListOffset(t.Context(), topic, p, kafkawire.LatestOffset, true)
		if err != nil {
			t.Fatal(err)
		}
		from[p], until[p] = 0, end.Offset
	}
	return client, from, until
}

func readByFranz(t *testing.T, brokers []string, topic string) []string {
	t.Helper()
	_, _, until := ends(t, brokers, topic)
	client := kafkatest.Client(t, brokers, kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(200*time.Millisecond))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out []string
	// Compaction and aborts leave no record at the end: read until a few polls
	// bring nothing.
	for quiet := 0; quiet < 4; {
		poll, stop := context.WithTimeout(ctx, 700*time.Millisecond)
		fetches := client.PollFetches(poll)
		stop()
		quiet++
		fetches.EachRecord(func(r *kgo.Record) {
			quiet = 0
			if r.Attrs.IsControl() || r.Offset >= until[r.Partition] {
				return
			}
			headers := make([]schemas.Header, 0, len(r.Headers))
			for _, h := range r.Headers {
				headers = append(headers, schemas.Header{Key: h.Key, Value: h.Value})
			}
			out = append(out, row(r.Partition, r.Offset, r.Timestamp.UnixMilli(), r.Key, r.Value, headers))
		})
		if ctx.Err() != nil {
			t.Fatal(ctx.Err())
		}
	}
	slices.Sort(out)
	return out
}

func readByScan(t *testing.T, brokers []string, topic string) []string {
	t.Helper()
	client, from, until := ends(t, brokers, topic)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out []string
	err := Scan(ctx, client, ScanConfig{Topic: topic, From: from, Until: until, ReadCommitted: true}, func(r *schemas.Record, next int64) error {
		if next <= r.Offset {
			t.Errorf("next %d after offset %d", next, r.Offset)
		}
		out = append(out, row(r.Partition, r.Offset, r.Timestamp, r.Key, r.Value, r.Headers))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(out)
	return out
}

// readBySource reads as a group until the committed offsets reach the end, which
// they must, also over trailing markers: consumer lag 0.
func readBySource(t *testing.T, brokers []string, topic string) []string {
	t.Helper()
	client, _, until := ends(t, brokers, topic)
	group := kafkatest.Group(t, brokers)
	src, err := NewSource(client, Config{Topics: []string{topic}, Group: group}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := src.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var out []string
	read := make(chan struct{})
	go func() {
		defer close(read)
		for {
			items, err := src.Receive(ctx, 100)
			for _, it := range items {
				out = append(out, row(it.Partition, it.Offset, it.Timestamp, it.Key, it.Value, it.Headers))
				it.Settle(nil)
			}
			if err != nil {
				return
			}
		}
	}()
	admin := kafkatest.Admin(t)
	kafkatest.Eventually(t, 30*time.Second, "committed offsets at the end", func(ctx context.Context) bool {
		offsets, err := admin.FetchOffsets(ctx, group)
		for p, end := range until {
			if o, ok := offsets.Lookup(topic, p); err != nil || (!ok && end > 0) || (ok && o.At != end) {
				return false
			}
		}
		return true
	})
	cancel()
	<-read
	if err := src.Close(t.Context(), true); err != nil {
		t.Error(err)
	}
	slices.Sort(out)
	return out
}

func sampleRecords(topic, name string, n int) []*kgo.Record {
	var recs []*kgo.Record
	for i := range n {
		r := &kgo.Record{Topic: topic, Key: fmt.Appendf(nil, "%s-%d", name, i%50), Value: fmt.Appendf(nil, "%s value %d %s", name, i, strings.Repeat("x", i%700))}
		switch i % 7 {
		case 1:
			r.Value = nil
		case 2:
			r.Value, r.Key = []byte{}, nil
		case 3:
			r.Headers = []kgo.RecordHeader{{Key: "traceparent", Value: []byte("00-aa-bb-01")}, {Key: "x", Value: nil}, {Key: "x", Value: []byte{}}, {Key: "", Value: []byte{0, 1, 255}}}
		case 4:
			r.Timestamp = time.UnixMilli(1_600_000_000_000 + int64(i))
		case 5:
			r.Key = []byte{}
		}
		recs = append(recs, r)
	}
	return recs
}

func writeEveryCodec(t *testing.T, brokers []string, topic string) {
	t.Helper()
	for name, codec := range map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	} {
		client := kafkatest.Client(t, brokers, kgo.ProducerBatchCompression(codec), kgo.ProducerBatchMaxBytes(64<<10))
		if err := client.ProduceSync(t.Context(), sampleRecords(topic, name, 700)...).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// writeTransactions ends in an abort, so that the last offsets hold only markers
// and void records.
func writeTransactions(t *testing.T, brokers []string, topic string) {
	t.Helper()
	writeEveryCodec(t, brokers, topic)
	client := kafkatest.Client(t, brokers, kgo.TransactionalID(kafkatest.Name(t)), kgo.ProducerBatchMaxBytes(16<<10))
	other := kafkatest.Client(t, brokers, kgo.TransactionalID(kafkatest.Name(t)), kgo.ProducerBatchMaxBytes(16<<10))
	for i, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit, kgo.TryAbort, kgo.TryAbort} {
		for _, c := range []*kgo.Client{client, other} { // interleaved
			if err := c.BeginTransaction(); err != nil {
				t.Fatal(err)
			}
		}
		for j := range 3 {
			for k, c := range []*kgo.Client{client, other} {
				if err := c.ProduceSync(t.Context(), sampleRecords(topic, fmt.Sprintf("t%d-%d-%d", i, j, k), 60)...).FirstErr(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := client.EndTransaction(t.Context(), end); err != nil {
			t.Fatal(err)
		}
		if err := other.EndTransaction(t.Context(), !end); err != nil {
			t.Fatal(err)
		}
	}
	if err := client.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := client.ProduceSync(t.Context(), sampleRecords(topic, "void", 30)...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := client.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
}

// writeAndCompact waits until the broker's cleaner has made gaps.
func writeAndCompact(t *testing.T, brokers []string, topic string) {
	t.Helper()
	client := kafkatest.Client(t, brokers, kgo.ProducerBatchMaxBytes(16<<10))
	written := 0
	write := func(name string) {
		recs := slices.DeleteFunc(sampleRecords(topic, name, 400), func(r *kgo.Record) bool { return r.Key == nil })
		for _, r := range recs {
			r.Key = append([]byte("k"), r.Key...)
		}
		if err := client.ProduceSync(t.Context(), recs...).FirstErr(); err != nil {
			t.Fatal(err)
		}
		written += len(recs)
	}
	for i := range 4 {
		write("same")
		time.Sleep(time.Duration(i) * 50 * time.Millisecond) // a segment rolls by its age
	}
	kafkatest.Eventually(t, time.Minute, "the cleaner has run", func(context.Context) bool {
		write("roll")                                           // only a write rolls the active segment
		return len(readByScan(t, brokers, topic)) < written-400 //nolint:contextcheck // the test's own context bounds it
	})
}
