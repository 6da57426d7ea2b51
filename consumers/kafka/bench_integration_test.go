//go:build integration

package kafka

import (
	"context"
	"math/rand/v2"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-ml/sluice/internal/kafkatest"
	"github.com/sluice-ml/sluice/internal/kafkawire"
)

// BenchmarkReceive drains a topic of a real broker; ns/op is per record. It
// reports the process's own CPU, which is the steadier figure where the broker
// shares the machine.
func BenchmarkReceive(b *testing.B) {
	for name, c := range map[string]struct {
		size, count int
		codec       kgo.CompressionCodec
	}{
		"8KiB":     {8 << 10, 60_000, kgo.NoCompression()},
		"8KiB-lz4": {8 << 10, 60_000, kgo.Lz4Compression()},
		"100B":     {100, 2_000_000, kgo.NoCompression()},
	} {
		b.Run(name, func(b *testing.B) { benchReceive(b, c.size, c.count, c.codec) })
	}
}

func benchReceive(b *testing.B, size, count int, codec kgo.CompressionCodec) {
	b.Helper()
	brokers := kafkatest.Brokers(b)
	const partitions = 4
	topic := kafkatest.Topic(b, brokers, partitions)
	fill(b, brokers, topic, partitions, size, count, codec)
	client, err := kafkawire.NewClient(kafkawire.Config{Brokers: brokers})
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	b.ReportAllocs()
	records := 0
	var cpu time.Duration
	for b.Loop() {
		src, err := NewSource(client, Config{Topics: []string{topic}, Group: kafkatest.Group(b, brokers)}, nil)
		if err != nil {
			b.Fatal(err)
		}
		if err := src.Start(b.Context()); err != nil {
			b.Fatal(err)
		}
		<-src.Joined()
		before := cpuTime()
		for got := 0; got < count; {
			items, err := src.Receive(b.Context(), 1024)
			if err != nil {
				b.Fatal(err)
			}
			got += len(items)
			for _, it := range items {
				it.Settle(nil)
			}
		}
		cpu += cpuTime() - before
		records += count
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		if err := src.Close(ctx, true); err != nil {
			b.Fatal(err)
		}
		cancel()
	}
	b.ReportMetric(float64(records)/b.Elapsed().Seconds(), "records/s")
	b.ReportMetric(cpu.Seconds()/float64(records)*1e6, "cpu-s/M")
}

func fill(b *testing.B, brokers []string, topic string, partitions int32, size, count int, codec kgo.CompressionCodec) {
	b.Helper()
	client := kafkatest.Client(b, brokers, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(900<<10), kgo.ProducerBatchCompression(codec))
	var text []byte
	for random := rand.New(rand.NewPCG(1, 2)); len(text) < 1<<20; {
		text = strconv.AppendFloat(append(text, ','), random.Float64(), 'f', 4, 64)
	}
	for i := range count {
		at := i * 7 % (len(text) - size)
		value := text[at : at+size]
		client.Produce(b.Context(), &kgo.Record{Topic: topic, Partition: int32(i) % partitions, Value: value}, nil)
	}
	if err := client.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
