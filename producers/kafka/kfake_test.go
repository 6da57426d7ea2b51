package kafka

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluice-ml/sluice/internal/kafkawire"
)

// onKfake runs a test on a cluster of three brokers and a topic "out" of three
// partitions, in virtual time, and reads the topic with a client that is not ours.
func onKfake(t *testing.T, test func(t *testing.T, cluster *kfake.Cluster, p *Producer, read func(records int) [][]string)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var network kfake.VirtualNetwork
		cluster, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.Ports(19001, 19002, 19003),
			kfake.ListenFn(network.Listen), kfake.SeedTopics(3, "out"))
		if err != nil {
			t.Fatal(err)
		}
		defer cluster.Close()
		client, err := kafkawire.NewClient(kafkawire.Config{Brokers: cluster.ListenAddrs(), Dial: network.DialContext})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		p, err := NewProducer(client, ProducerConfig{Linger: time.Millisecond, BatchBytes: 2000}, nil)
		if err != nil {
			t.Fatal(err)
		}
		read := func(records int) [][]string {
			reader, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.Dialer(network.DialContext), kgo.ConsumeTopics("out"))
			if err != nil {
				t.Fatal(err)
			}
			defer reader.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			out := make([][]string, 3)
			for n := 0; n < records; {
				fetches := reader.PollFetches(ctx)
				if err := fetches.Err0(); err != nil {
					t.Fatalf("%d of %d records: %v", n, records, err)
				}
				fetches.EachRecord(func(r *kgo.Record) {
					out[r.Partition] = append(out[r.Partition], string(r.Value))
					n++
				})
			}
			return out
		}
		test(t, cluster, p, read)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := p.Close(ctx); err != nil {
			t.Error(err)
		}
	})
}

// Answers that come after the append, moved leaders and cut connections: one
// copy of each record, in order.
func TestOneCopyInOrderOnKfakeWithFaults(t *testing.T) {
	onKfake(t, func(t *testing.T, cluster *kfake.Cluster, p *Producer, read func(int) [][]string) {
		t.Helper()
		produces := []kmsg.Key{kmsg.Produce}
		const perPartition = 600
		f := newFates()
		for i := range perPartition {
			for part := range int32(3) {
				value := fmt.Sprintf("%d/%d", part, i)
				p.Produce(&Record{Topic: "out", Partition: part, Value: []byte(value)}, f.done(value))
			}
			switch i % 60 {
			case 10:
				cluster.Fault(kfake.Fault{Keys: produces, Err: kerr.RequestTimedOut, Count: 2})
			case 20:
				cluster.Fault(kfake.Fault{Keys: produces, Err: kerr.NotEnoughReplicasAfterAppend})
			case 30:
				cluster.ShufflePartitionLeaders()
			case 40:
				cluster.Fault(kfake.Fault{Keys: produces, Err: kerr.NotLeaderForPartition, Count: 2})
			case 50:
				cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Err: kerr.LeaderNotAvailable})
			}
			time.Sleep(time.Millisecond)
		}
		if err := p.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := p.meters.maybeDuplicate.Count(); n != 0 {
			t.Errorf("%d records counted as perhaps repeated", n)
		}

		got := read(3 * perPartition)
		for part := range got {
			if len(got[part]) != perPartition {
				t.Fatalf("partition %d has %d of %d records", part, len(got[part]), perPartition)
			}
			for i, v := range got[part] {
				if want := fmt.Sprintf("%d/%d", part, i); v != want {
					t.Fatalf("partition %d@%d: %s, want %s", part, i, v, want)
				}
			}
		}
	})
}

func TestKeysAndTooLargeRecordsOnKfake(t *testing.T) {
	onKfake(t, func(t *testing.T, _ *kfake.Cluster, p *Producer, read func(int) [][]string) {
		t.Helper()
		f := newFates()
		for i := range 30 {
			value := fmt.Sprint("v", i)
			p.Produce(&Record{Topic: "out", Partition: ByKey, Key: []byte(value), Value: []byte(value)}, f.done(value))
		}
		p.Produce(&Record{Topic: "out", Value: make([]byte, 2<<20)}, f.done("large"))
		if err := p.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err, _ := f.get("large"); err == nil {
			t.Error("a record above max.message.bytes was written")
		}
		for part, values := range read(30) {
			for _, v := range values {
				if want := kafkawire.PartitionForKey([]byte(v), 3); int(want) != part {
					t.Errorf("key %s is in partition %d, want %d", v, part, want)
				}
			}
		}
	})
}
