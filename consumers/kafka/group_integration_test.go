//go:build integration

package kafka

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-ml/sluice/internal/kafkatest"
	"github.com/sluice-ml/sluice/internal/kafkawire"
)

// realWorld is what the tests on the real broker share.
type realWorld struct {
	*testing.T
	brokers      []string
	topic, group string
	admin        *kadm.Client
}

func onBroker(t *testing.T, partitions int32) *realWorld {
	t.Helper()
	brokers := kafkatest.Brokers(t)
	return &realWorld{
		T: t, brokers: brokers, topic: kafkatest.Topic(t, brokers, partitions),
		group: kafkatest.Group(t, brokers), admin: kafkatest.Admin(t),
	}
}

func (w *realWorld) reader(change func(*Config)) *reader {
	w.Helper()
	client, err := kafkawire.NewClient(kafkawire.Config{Brokers: w.brokers})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(client.Close)
	cfg := Config{Topics: []string{w.topic}, Group: w.group, SessionTimeout: 6 * time.Second, WatchInterval: time.Second, StartupWait: 10 * time.Second}
	if change != nil {
		change(&cfg)
	}
	return newReader(w.T, client, cfg)
}

func (w *realWorld) produce(partitions int32, from, count int) {
	w.Helper()
	client := kafkatest.Client(w, w.brokers, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	var recs []*kgo.Record
	for p := range partitions {
		for i := range count {
			recs = append(recs, &kgo.Record{Topic: w.topic, Partition: p, Value: fmt.Appendf(nil, "%d/%d", p, from+i)})
		}
	}
	if err := client.ProduceSync(w.Context(), recs...).FirstErr(); err != nil {
		w.Fatal(err)
	}
}

func (w *realWorld) until(within time.Duration, what string, ok func() bool) {
	w.Helper()
	kafkatest.Eventually(w, within, what, func(context.Context) bool { return ok() })
}

func distinct(readers ...*reader) int {
	all := map[string]bool{}
	for _, r := range readers {
		for v := range r.values() {
			all[v] = true
		}
	}
	return len(all)
}

// Members come, leave and vanish; every record is read, and while nobody
// vanishes, once.
func TestGroupOnARealBroker(t *testing.T) {
	t.Parallel()
	w := onBroker(t, 4)
	w.produce(4, 0, 100)
	a := w.reader(nil)
	w.until(20*time.Second, "first records", func() bool { return a.count() == 400 })
	b := w.reader(nil)
	w.until(20*time.Second, "two and two", func() bool { return a.assigned() == 2 && b.assigned() == 2 })
	w.produce(4, 100, 100)
	w.until(20*time.Second, "second records", func() bool { return distinct(a, b) == 800 })
	a.close(true)
	w.until(20*time.Second, "all four after a leave", func() bool { return b.assigned() == 4 })
	w.produce(4, 200, 100)
	w.until(20*time.Second, "third records", func() bool { return distinct(a, b) == 1200 })
	if n := a.count() + b.count(); n != 1200 {
		t.Errorf("%d records received, want each of 1200 once", n)
	}

	b.cancel() // vanishes without a word
	<-b.ended
	b.src.cancel()
	c := w.reader(nil)
	w.produce(4, 300, 100)
	w.until(40*time.Second, "fourth records after the session", func() bool { return distinct(a, b, c) == 1600 })
}

func TestStaticRestartOnARealBroker(t *testing.T) {
	t.Parallel()
	w := onBroker(t, 4)
	static := func(c *Config) { c.Instance = "one" }
	a := w.reader(static)
	w.until(20*time.Second, "joined", func() bool { return a.assigned() == 4 })
	generation := a.generation()
	a.close(false)
	w.produce(4, 0, 10)
	b := w.reader(static)
	w.until(20*time.Second, "records", func() bool { return b.count() == 40 })
	if b.generation() != generation {
		t.Errorf("generation %d became %d", generation, b.generation())
	}
	c := w.reader(static)
	w.until(20*time.Second, "the older process ends", func() bool {
		select {
		case <-b.ended:
			return true
		default:
			return false
		}
	})
	w.produce(4, 10, 10)
	w.until(20*time.Second, "the newer one goes on", func() bool { return distinct(b, c) == 80 })
}

func TestTopicChangesOnARealBroker(t *testing.T) {
	t.Parallel()
	w := onBroker(t, 2)
	r := w.reader(func(c *Config) { c.Start = StartLatest })
	w.until(20*time.Second, "joined", func() bool { return r.assigned() == 2 })
	time.Sleep(time.Second) // the start positions are committed
	if _, err := w.admin.UpdatePartitions(t.Context(), 4, w.topic); err != nil {
		t.Fatal(err)
	}
	w.until(20*time.Second, "partitions exist", func() bool {
		topics, err := w.admin.ListTopics(t.Context(), w.topic)
		return err == nil && len(topics[w.topic].Partitions) == 4
	})
	w.produce(4, 0, 10)
	w.until(20*time.Second, "old and new partitions from their first record", func() bool { return distinct(r) == 40 })
	generation := r.generation()

	if _, err := w.admin.DeleteTopic(t.Context(), w.topic); err != nil {
		t.Fatal(err)
	}
	w.until(40*time.Second, "a stop", func() bool { return len(r.src.Status().Stopped) == 4 })
	if r.generation() != generation {
		t.Errorf("generation %d became %d: a deleted topic must not disturb the group", generation, r.generation())
	}
	kafkatest.MakeTopic(t, w.brokers, w.topic, 4)
	w.produce(4, 1000, 10)
	w.until(60*time.Second, "records of the recreated topic", func() bool { return distinct(r) == 80 })
	w.until(40*time.Second, "recovery", func() bool { return len(r.src.Status().Stopped) == 0 })
}

func TestGoneRecordsOnARealBroker(t *testing.T) {
	t.Parallel()
	w := onBroker(t, 1)
	w.produce(1, 0, 10)
	var at kadm.Offsets
	at.AddOffset(w.topic, 0, 2, -1)
	if err := w.admin.CommitAllOffsets(t.Context(), w.group, at); err != nil {
		t.Fatal(err)
	}
	var del kadm.Offsets
	del.AddOffset(w.topic, 0, 7, -1)
	if _, err := w.admin.DeleteRecords(t.Context(), del); err != nil {
		t.Fatal(err)
	}
	stops := w.reader(nil)
	w.until(20*time.Second, "a stop", func() bool {
		s := stops.src.Status().Stopped
		return len(s) == 1 && s[0].Reason == reasonOutOfRange
	})
	if lost := stops.src.metrics.lostOf(topicPartition{w.topic, 0}).Count(); lost != 5 || stops.count() != 0 {
		t.Errorf("%d lost, %d read", lost, stops.count())
	}
	stops.close(true)
	goesOn := w.reader(func(c *Config) { c.OutOfRange = OutOfRangeEarliest })
	w.until(20*time.Second, "what is left", func() bool { return goesOn.count() == 3 })
}

func TestRefusedSessionTimeoutOnARealBroker(t *testing.T) {
	t.Parallel()
	w := onBroker(t, 1)
	r := w.reader(func(c *Config) { c.SessionTimeout = 2 * time.Hour })
	<-r.ended
	if r.err == nil {
		t.Error("a session of two hours was accepted")
	}
}
