//go:build integration

package kafkawire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-ml/sluice/internal/kafkatest"
	"github.com/sluice-ml/sluice/schemas"
)

func realClient(t *testing.T, change ...func(*Config)) *Client {
	t.Helper()
	cfg := Config{Brokers: kafkatest.Brokers(t)}
	for _, f := range change {
		f(&cfg)
	}
	c, err := NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// produceBatch writes one batch that is not idempotent.
func produceBatch(t *testing.T, c *Client, topic string, w *BatchWriter, codec Codec) {
	t.Helper()
	batch, err := w.Finish(codec, -1, -1, -1)
	if err != nil {
		t.Fatal(err)
	}
	p := produceRaw(t, c, topic, batch)
	if p.Err != ErrNone {
		t.Fatalf("produce: %v %s", p.Err, p.Message)
	}
}

// produceRaw sends a batch to the leader, as long as it takes a new topic's
// leader to know that it is one.
func produceRaw(t *testing.T, c *Client, topic string, batch []byte) (p ProducedPartition) {
	t.Helper()
	kafkatest.Eventually(t, 30*time.Second, "the leader takes the batch", func(ctx context.Context) bool {
		node, _, err := c.Leader(ctx, topic, 0)
		if err != nil {
			return false
		}
		res, err := c.Produce(ctx, node, &ProduceRequest{Partitions: []ProducePartition{{topic, 0, [][]byte{batch}}}})
		if err != nil || len(res.Partitions) != 1 {
			t.Fatalf("%+v, %v", res, err)
		}
		p = res.Partitions[0]
		if p.Err == ErrNotLeader || p.Err == ErrUnknownTopicOrPartition {
			c.Forget(topic)
			return false
		}
		return true
	})
	return p
}

// readAll fetches partition 0 up to its end and returns copies of its records.
func readAll(t *testing.T, c *Client, topic string) []WireRecord {
	t.Helper()
	const partition, readCommitted = 0, true
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	end, err := c.ListOffset(ctx, topic, partition, LatestOffset, readCommitted)
	if err != nil {
		t.Fatal(err)
	}
	m, err := c.Metadata(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	var out []WireRecord
	for next := int64(0); next < end.Offset; {
		node, epoch, err := c.Leader(ctx, topic, partition)
		if err != nil {
			t.Fatal(err)
		}
		res, err := c.Fetch(ctx, node, &FetchRequest{
			MaxWait: 200 * time.Millisecond, MinBytes: 1, MaxBytes: 64 << 10, ReadCommitted: readCommitted,
			Partitions: []FetchPartition{{topic, m.Topic(topic).ID, partition, epoch, next, 40 << 10}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if len(res.Partitions) != 1 || res.Partitions[0].Err != ErrNone {
			t.Fatalf("fetch at %d: %+v", next, res)
		}
		next = appendRecords(t, &out, &res.Partitions[0], next)
	}
	return out
}

func appendRecords(t *testing.T, out *[]WireRecord, p *FetchedPartition, next int64) int64 {
	t.Helper()
	filter := NewAbortedFilter(p.Aborted)
	for rest := p.Records; len(rest) > 0; {
		b, after, err := NextBatch(rest)
		if err != nil {
			break // a cut tail; corruption shows as missing records
		}
		rest = after
		payload, err := b.Decompress(nil, 64<<20)
		if err != nil {
			t.Fatal(err)
		}
		drop := filter.Drop(&b, payload)
		for r := b.Records(payload); !drop; {
			var rec WireRecord
			ok, err := r.Next(&rec)
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			if rec.Offset >= next {
				*out = append(*out, rec)
			}
		}
		next = b.LastOffset() + 1
	}
	return next
}

func TestRealBrokerReturnsWhatWasProduced(t *testing.T) {
	t.Parallel()
	c := realClient(t)
	for _, codec := range []Codec{CodecNone, Gzip, Snappy, LZ4, Zstd} {
		t.Run(codec.String(), func(t *testing.T) {
			t.Parallel()
			topic := kafkatest.Topic(t, kafkatest.Brokers(t), 1)
			var w BatchWriter
			var want []string
			for b := range 10 {
				w.Reset()
				for i := range 50 {
					v := fmt.Sprintf("%d/%d %0300d", b, i, i)
					want = append(want, v)
					w.Append(time.Now().UnixMilli(), []byte("k"), []byte(v), []schemas.Header{{Key: "h", Value: nil}, {Key: "", Value: []byte{}}})
				}
				produceBatch(t, c, topic, &w, codec)
			}
			got := readAll(t, c, topic)
			if len(got) != len(want) {
				t.Fatalf("%d records, want %d", len(got), len(want))
			}
			for i := range got {
				if string(got[i].Value) != want[i] || got[i].Offset != int64(i) || got[i].Headers[0].Value != nil || got[i].Headers[1].Value == nil {
					t.Fatalf("record %d: %+v", i, got[i])
				}
			}
			equalToFranz(t, topic, got)
		})
	}
}

// equalToFranz compares records with what franz-go reads from the same topic.
func equalToFranz(t *testing.T, topic string, got []WireRecord) {
	t.Helper()
	f, err := kgo.NewClient(
		kgo.SeedBrokers(kafkatest.Brokers(t)...), kgo.ConsumeTopics(topic),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
	)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for i := 0; i < len(got); {
		fetches := f.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("franz-go after %d of %d records: %v", i, len(got), err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if i >= len(got) {
				t.Fatalf("franz-go reads more than %d records", len(got))
			}
			g := &got[i]
			if r.Offset != g.Offset || !bytes.Equal(r.Value, g.Value) || !bytes.Equal(r.Key, g.Key) ||
				(r.Value == nil) != (g.Value == nil) || r.Timestamp.UnixMilli() != g.Timestamp || len(r.Headers) != len(g.Headers) {
				t.Fatalf("record %d differs: ours %+v, franz-go %+v", i, g, r)
			}
			i++
		})
	}
}

func TestRealBrokerTellsItsVersionsAndItself(t *testing.T) {
	t.Parallel()
	c := realClient(t)
	topic := kafkatest.Topic(t, kafkatest.Brokers(t), 3)
	m, err := c.Metadata(t.Context(), topic, "no-such-topic")
	if err != nil {
		t.Fatal(err)
	}
	if tm := m.Topic(topic); tm == nil || len(tm.Partitions) != 3 || tm.ID == [16]byte{} || tm.Partitions[2].ID != 2 {
		t.Fatalf("topic: %+v", tm)
	}
	if tm := m.Topic("no-such-topic"); tm == nil || tm.Err != ErrUnknownTopicOrPartition {
		t.Fatalf("missing topic: %+v", tm)
	}
	id, err := c.ClusterID(t.Context())
	if err != nil || id == "" || id != m.ClusterID {
		t.Fatalf("cluster id %q, %v", id, err)
	}
	v, err := c.ApiVersions(t.Context(), m.Brokers[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	if v.APIs[int16(apiFetch)].Max < 13 || v.Features["metadata.version"] == 0 {
		t.Fatalf("versions: %+v", v)
	}
	_, _, err = c.Leader(t.Context(), "no-such-topic", 0)
	if !errors.Is(err, ErrUnknownTopicOrPartition) {
		t.Fatalf("leader of a missing topic: %v", err)
	}
	all, err := c.Metadata(t.Context())
	if err != nil || all.Topic(topic) == nil {
		t.Fatalf("all topics: %v", err)
	}
}

func TestRealBrokerRepeatsAnIdempotentBatchWithoutADuplicate(t *testing.T) {
	t.Parallel()
	c := realClient(t)
	topic := kafkatest.Topic(t, kafkatest.Brokers(t), 1)
	pid, epoch, err := c.InitProducerID(t.Context(), "", 0, NoProducerID, NoProducerEpoch)
	if err != nil {
		t.Fatal(err)
	}
	var w BatchWriter
	w.Append(time.Now().UnixMilli(), nil, []byte("once"), nil)
	batch, err := w.Finish(CodecNone, pid, epoch, 0)
	if err != nil {
		t.Fatal(err)
	}
	first := produceRaw(t, c, topic, batch)
	again := produceRaw(t, c, topic, batch)
	if first.Err != ErrNone || again.Err != ErrNone || again.BaseOffset != first.BaseOffset {
		t.Fatalf("first %+v, again %+v", first, again)
	}
	if got := readAll(t, c, topic); len(got) != 1 {
		t.Fatalf("%d records in the log", len(got))
	}
	batch, _ = w.Finish(CodecNone, pid, epoch, 5)
	if gap := produceRaw(t, c, topic, batch); gap.Err != ErrOutOfOrderSequence {
		t.Fatalf("gap: %+v", gap)
	}
	batch[atCRC]++
	if bad := produceRaw(t, c, topic, batch); bad.Err != ErrCorruptMessage {
		t.Fatalf("wrong CRC: %+v", bad)
	}
}

func TestRealBrokerKeepsAGroupAndItsOffsets(t *testing.T) {
	t.Parallel()
	c := realClient(t)
	ctx := t.Context()
	topic := kafkatest.Topic(t, kafkatest.Brokers(t), 2)
	group := "g-" + topic
	node, err := c.FindCoordinator(ctx, group)
	if err != nil {
		t.Fatal(err)
	}
	join := &JoinGroupRequest{
		Group: group, SessionTimeout: 10 * time.Second, RebalanceTimeout: 10 * time.Second,
		Protocols: []GroupProtocol{{"range", subscription(topic)}}, Reason: "test",
	}
	var res *JoinGroupResponse
	kafkatest.Eventually(t, 30*time.Second, "a new cluster's coordinator is ready", func(ctx context.Context) bool {
		res, err = c.JoinGroup(ctx, node, join)
		return err != nil || res.Err != ErrNotCoordinator && res.Err != ErrCoordinatorLoading
	})
	if err != nil || res.Err != ErrMemberIDRequired || res.MemberID == "" {
		t.Fatalf("first join: %+v, %v", res, err)
	}
	join.MemberID = res.MemberID
	res, err = c.JoinGroup(ctx, node, join)
	if err != nil || res.Err != ErrNone || res.Leader != res.MemberID || len(res.Members) != 1 || !bytes.Equal(res.Members[0].Metadata, subscription(topic)) {
		t.Fatalf("second join: %+v, %v", res, err)
	}
	got, err := c.SyncGroup(ctx, node, &SyncGroupRequest{
		Group: group, Generation: res.Generation, MemberID: res.MemberID, Protocol: res.Protocol,
		Assignments: []GroupAssignment{{res.MemberID, []byte("mine")}},
	})
	if err != nil || string(got) != "mine" {
		t.Fatalf("sync: %q, %v", got, err)
	}
	if err := c.Heartbeat(ctx, node, group, res.Generation, res.MemberID, ""); err != nil {
		t.Fatal(err)
	}
	if err := c.Heartbeat(ctx, node, group, res.Generation, "stranger", ""); !errors.Is(err, ErrUnknownMemberID) {
		t.Fatalf("heartbeat of a stranger: %v", err)
	}
	commit := &OffsetCommitRequest{Group: group, Generation: res.Generation, MemberID: res.MemberID, Offsets: []GroupOffset{
		{Topic: topic, Partition: 0, Offset: 7, LeaderEpoch: -1, Metadata: "m"}, {Topic: "no-such-topic", Partition: 0, Offset: 1},
	}}
	verdicts, err := c.OffsetCommit(ctx, node, commit)
	if err != nil || verdicts[0].Err != ErrNone || verdicts[1].Err != ErrUnknownTopicOrPartition {
		t.Fatalf("commit: %+v, %v", verdicts, err)
	}
	commit.Generation--
	if verdicts, err = c.OffsetCommit(ctx, node, commit); err != nil || verdicts[0].Err != ErrIllegalGeneration {
		t.Fatalf("commit of an old generation: %+v, %v", verdicts, err)
	}
	offsets, err := c.OffsetFetch(ctx, group, map[string][]int32{topic: {0, 1}}, true)
	if err != nil || len(offsets) != 2 || offsets[0].Offset != 7 || offsets[0].Metadata != "m" || offsets[1].Offset != -1 {
		t.Fatalf("offsets: %+v, %v", offsets, err)
	}
	if err := c.LeaveGroup(ctx, node, group, res.MemberID, ""); err != nil {
		t.Fatal(err)
	}
	if err := c.LeaveGroup(ctx, node, group, res.MemberID, ""); !errors.Is(err, ErrUnknownMemberID) {
		t.Fatalf("leave twice: %v", err)
	}
	if _, err := c.OffsetFetch(ctx, group, nil, false); err != nil {
		t.Fatal(err)
	}
}

// subscription is a consumer's in version 0: topics, null user data. Brokers read it.
func subscription(topic string) []byte {
	var w wireWriter
	w.int16(0)
	w.arrayLen(1)
	w.string(topic)
	w.int32(-1)
	return w.buf
}

func TestRealBrokerListsOffsetsAndConfigs(t *testing.T) {
	t.Parallel()
	c := realClient(t)
	ctx := t.Context()
	topic := kafkatest.Name(t)
	if err := c.CreateTopics(ctx, []NewTopic{{topic, 1, 1, map[string]string{"message.timestamp.type": "LogAppendTime"}}}); err != nil {
		t.Fatal(err)
	}
	admin := kafkatest.Admin(t)
	t.Cleanup(func() { _, _ = admin.DeleteTopic(context.Background(), topic) })
	kafkatest.Eventually(t, 30*time.Second, "the new topic has a leader", func(ctx context.Context) bool {
		_, _, err := c.Leader(ctx, topic, 0)
		return err == nil
	})
	if err := c.CreateTopics(ctx, []NewTopic{{topic, 1, 1, nil}}); !errors.Is(err, ErrTopicExists) {
		t.Fatalf("create twice: %v", err)
	}
	config, err := c.TopicConfig(ctx, topic, "message.timestamp.type", "max.message.bytes")
	if err != nil || config["message.timestamp.type"] != "LogAppendTime" || config["max.message.bytes"] == "" || len(config) != 2 {
		t.Fatalf("config: %v, %v", config, err)
	}
	if _, err := c.TopicConfig(ctx, "no-such-topic"); !errors.Is(err, ErrUnknownTopicOrPartition) {
		t.Fatalf("config of a missing topic: %v", err)
	}
	before := time.Now().UnixMilli()
	var w BatchWriter
	w.Append(before-3_600_000, nil, []byte("a"), nil)
	w.Append(before-3_500_000, nil, nil, nil)
	produceBatch(t, c, topic, &w, CodecNone)
	latest, err := c.ListOffset(ctx, topic, 0, LatestOffset, true)
	if err != nil || latest.Offset != 2 {
		t.Fatalf("latest %+v, %v", latest, err)
	}
	earliest, err := c.ListOffset(ctx, topic, 0, EarliestOffset, true)
	if err != nil || earliest.Offset != 0 {
		t.Fatalf("earliest %+v, %v", earliest, err)
	}
	at, err := c.ListOffset(ctx, topic, 0, before, true)
	if err != nil || at.Offset != 0 || at.Timestamp < before {
		t.Fatalf("by time %+v, %v", at, err)
	}
	got := readAll(t, c, topic)
	if len(got) != 2 || got[0].Timestamp < before || got[0].Timestamp != got[1].Timestamp || got[1].Value != nil {
		t.Fatalf("LogAppendTime: %+v", got)
	}
	equalToFranz(t, topic, got)
}
