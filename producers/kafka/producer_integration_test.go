//go:build integration

package kafka

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-ml/sluice/internal/kafkatest"
	"github.com/sluice-ml/sluice/internal/kafkawire"
	"github.com/sluice-ml/sluice/schemas"
)

// wireClient is a client of ours on the real broker.
func wireClient(t *testing.T) *kafkawire.Client {
	t.Helper()
	client, err := kafkawire.NewClient(kafkawire.Config{Brokers: kafkatest.Brokers(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// realProducer is a producer of ours on the real broker.
func realProducer(t *testing.T, cfg ProducerConfig) *Producer {
	t.Helper()
	p, err := NewProducer(wireClient(t), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = p.Close(ctx)
	})
	return p
}

// readAll reads n records of a topic with franz-go.
func readAll(t *testing.T, topic string, n int) []*kgo.Record {
	t.Helper()
	client := kafkatest.Client(t, kafkatest.Brokers(t), kgo.ConsumeTopics(topic))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var out []*kgo.Record
	for len(out) < n {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			t.Fatalf("read %d of %d records: %v", len(out), n, err)
		}
		out = append(out, fetches.Records()...)
	}
	return out
}

func flush(t *testing.T, p *Producer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	if err := p.Flush(ctx); err != nil {
		t.Fatal(err)
	}
}

// What ours writes, franz-go reads: codecs, keys, null and empty values, headers
// in order, timestamps, offsets.
func TestFranzGoReadsWhatOursWrites(t *testing.T) {
	for _, codec := range []kafkawire.Codec{kafkawire.CodecNone, kafkawire.Gzip, kafkawire.Snappy, kafkawire.LZ4, kafkawire.Zstd} {
		t.Run(fmt.Sprint(codec), func(t *testing.T) {
			topic := kafkatest.Topic(t, kafkatest.Brokers(t), 2)
			p, f := realProducer(t, ProducerConfig{Linger: time.Millisecond, Compression: codec}), newFates()
			type plain struct {
				Key, Value string
				NullKey    bool
				NullValue  bool
				Headers    []kgo.RecordHeader
				Timestamp  int64
			}
			want := map[string]plain{}
			now := time.Now().UnixMilli()
			const n = 500
			for i := range n {
				id := fmt.Sprint(i)
				rec := Record{
					Topic: topic, Partition: int32(i % 2), Timestamp: now - int64(i%7)*1000,
					Key: []byte(id), Value: []byte("value " + id),
					Headers: []schemas.Header{{Key: "id", Value: []byte(id)}, {Key: "null"}, {Key: "id", Value: []byte{}}},
				}
				switch i % 5 {
				case 1:
					rec.Value = nil
				case 2:
					rec.Value = []byte{}
				case 3:
					rec.Key = nil
				}
				w := plain{Key: string(rec.Key), Value: string(rec.Value), NullKey: rec.Key == nil, NullValue: rec.Value == nil, Timestamp: rec.Timestamp}
				for _, h := range rec.Headers {
					w.Headers = append(w.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
				}
				want[id] = w
				p.Produce(&rec, f.done(id))
			}
			flush(t, p)

			got := map[string]plain{}
			for _, r := range readAll(t, topic, n) {
				id := string(r.Headers[0].Value)
				got[id] = plain{string(r.Key), string(r.Value), r.Key == nil, r.Value == nil, r.Headers, r.Timestamp.UnixMilli()}
				if at := f.at[id]; at != [2]int64{int64(r.Partition), r.Offset} {
					t.Errorf("%s is at %d/%d, its completion said %v", id, r.Partition, r.Offset, at)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
		})
	}
}

func TestRealBrokerSplitsTooLarge(t *testing.T) {
	topic := kafkatest.Topic(t, kafkatest.Brokers(t), 1, "max.message.bytes=2000")
	p, f := realProducer(t, ProducerConfig{Linger: 50 * time.Millisecond}), newFates()
	produce(p, f, topic, 0, "a", 200)
	p.Produce(&Record{Topic: topic, Value: make([]byte, 3000)}, f.done("large"))
	produce(p, f, topic, 0, "b", 200)
	flush(t, p)

	if err, _ := f.get("large"); !errors.Is(err, ErrTooLarge) {
		t.Errorf("the large record ended with %v", err)
	}
	for i, r := range readAll(t, topic, 400) {
		want := fmt.Sprint("a", i)
		if i >= 200 {
			want = fmt.Sprint("b", i-200)
		}
		if string(r.Value) != want {
			t.Fatalf("record %d is %s, want %s", i, r.Value, want)
		}
	}
}

func TestRealBrokerRefusesOldTimestampsAndTakesNow(t *testing.T) {
	topic := kafkatest.Topic(t, kafkatest.Brokers(t), 1, "message.timestamp.before.max.ms=60000")
	p, f := realProducer(t, ProducerConfig{Linger: 20 * time.Millisecond}), newFates()
	begun := time.Now()
	for i := range 10 {
		rec := Record{Topic: topic, Value: []byte(fmt.Sprint(i)), Timestamp: begun.UnixMilli()}
		if i%3 == 0 {
			rec.Timestamp -= 3600_000
		}
		p.Produce(&rec, f.done(fmt.Sprint(i)))
	}
	flush(t, p)
	for i, r := range readAll(t, topic, 10) {
		if string(r.Value) != fmt.Sprint(i) || r.Timestamp.UnixMilli() < begun.UnixMilli() {
			t.Errorf("record %d: %s at %v", i, r.Value, r.Timestamp)
		}
	}
}

func TestRealBrokerRefusesKeylessRecordsOfACompactedTopicAlone(t *testing.T) {
	topic := kafkatest.Topic(t, kafkatest.Brokers(t), 1, "cleanup.policy=compact")
	p, f := realProducer(t, ProducerConfig{Linger: 20 * time.Millisecond}), newFates()
	for i := range 10 {
		rec := Record{Topic: topic, Key: []byte("k" + fmt.Sprint(i)), Value: []byte(fmt.Sprint(i))}
		if i == 4 {
			rec.Key = nil
		}
		p.Produce(&rec, f.done(fmt.Sprint(i)))
	}
	flush(t, p)
	for i := range 10 {
		if err, ok := f.get(fmt.Sprint(i)); !ok || errors.Is(err, ErrRefused) != (i == 4) {
			t.Errorf("%d: completed %v with %v", i, ok, err)
		}
	}
}

func TestRealMissingTopicIsUnwritableAndRecovers(t *testing.T) {
	brokers := kafkatest.Brokers(t)
	topic := kafkatest.Name(t)
	p, f := realProducer(t, ProducerConfig{Grace: 500 * time.Millisecond, ProbeAfter: 100 * time.Millisecond}), newFates()
	produce(p, f, topic, 0, "a", 1)
	flush(t, p)
	if err, _ := f.get("a0"); !errors.Is(err, ErrUnwritable) {
		t.Fatalf("completed with %v", err)
	}
	kafkatest.MakeTopic(t, brokers, topic, 1)
	n := 0
	kafkatest.Eventually(t, 20*time.Second, "a record gets through", func(ctx context.Context) bool {
		n++
		value := fmt.Sprint("b", n)
		produce(p, f, topic, 0, value, 1)
		if err := p.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		err, _ := f.get(value + "0")
		return err == nil
	})
}

// The lead of a sequence is lost when the records are deleted and the id expires;
// here the numbers are simply wrong, which a broker answers the same way.
func TestRealBrokerTakesANewProducerIDAfterAGap(t *testing.T) {
	topic := kafkatest.Topic(t, kafkatest.Brokers(t), 1)
	p, f := realProducer(t, ProducerConfig{}), newFates()
	produce(p, f, topic, 0, "a", 3)
	flush(t, p)
	// Nothing is in flight and the dispatcher sleeps: its state may be touched.
	(*p.topic(topic).parts.Load())[0].sequence += 7
	produce(p, f, topic, 0, "b", 3)
	flush(t, p)
	for i, r := range readAll(t, topic, 6) {
		if want := fmt.Sprint([]string{"a", "b"}[i/3], i%3); string(r.Value) != want {
			t.Errorf("record %d is %s, want %s", i, r.Value, want)
		}
	}
	if n := p.meters.retries.With("OUT_OF_ORDER_SEQUENCE_NUMBER").Count(); n != 1 {
		t.Errorf("%d answers of OUT_OF_ORDER_SEQUENCE_NUMBER, want 1", n)
	}
}
