package kafka

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluice-ml/sluice/internal/kafkatest"
	"github.com/sluice-ml/sluice/internal/kafkawire"
	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/pipeline/pipelinetest"
)

// process is a whole pipeline over a Source, as the service runs it.
type process struct {
	src  *Source
	sink *pipelinetest.Sink
	stop func() error
}

func (w *world) process(cfg Config, model *pipelinetest.Model) *process {
	w.Helper()
	src, err := NewSource(w.client(), cfg, nil)
	if err != nil {
		w.Fatal(err)
	}
	p := &process{src: src, sink: &pipelinetest.Sink{}}
	line, err := pipeline.New(pipeline.Config{MaxInFlight: 64, MaxRows: 4, Workers: 2, DrainTimeout: 20 * time.Second}, src, pipelinetest.Codec{}, model, p.sink, nil)
	if err != nil {
		w.Fatal(err)
	}
	if err := src.Start(w.Context()); err != nil {
		w.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.Context())
	ended := make(chan error, 1)
	go func() { ended <- line.Run(ctx) }() // ends with ctx
	var once sync.Once
	p.stop = func() (err error) {
		once.Do(func() {
			cancel()
			err = <-ended
			closing, done := context.WithTimeout(context.Background(), 5*time.Second)
			defer done()
			if e := src.Close(closing, true); err == nil {
				err = e
			}
		})
		return err
	}
	w.Cleanup(func() { _ = p.stop() })
	return p
}

func (w *world) numbers(partitions int32, count int) {
	w.Helper()
	var recs []*kgo.Record
	for p := range partitions {
		for i := range count {
			recs = append(recs, &kgo.Record{Topic: "in", Partition: p, Value: fmt.Append(nil, i)})
		}
	}
	w.send(recs...)
}

// outcomes counts what came out per partition and offset.
func outcomes(ps ...*process) map[topicPartition]map[int64]int {
	out := map[topicPartition]map[int64]int{}
	for _, p := range ps {
		for _, o := range p.sink.Outcomes() {
			tp := topicPartition{"in", o.Partition}
			if out[tp] == nil {
				out[tp] = map[int64]int{}
			}
			out[tp][o.Offset]++
		}
	}
	return out
}

func total(m map[topicPartition]map[int64]int) (records, outcomes int) {
	for _, p := range m {
		records += len(p)
		for _, n := range p {
			outcomes += n
		}
	}
	return records, outcomes
}

func TestRebalanceFinishesRunningWorkAndNothingIsDoneTwice(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(4)
		w.numbers(4, 100)
		a := w.process(w.config(), &pipelinetest.Model{Delay: 100 * time.Millisecond})
		w.until(5*time.Second, "a start", func() bool { return len(a.sink.Outcomes()) > 20 })

		b := w.process(w.config(), &pipelinetest.Model{Delay: 100 * time.Millisecond})

		w.until(5*time.Minute, "all", func() bool { n, _ := total(outcomes(a, b)); return n == 400 })
		if _, n := total(outcomes(a, b)); n != 400 {
			w.Errorf("%d outcomes of 400 records", n)
		}
		if len(b.sink.Outcomes()) == 0 {
			w.Error("the second process did nothing")
		}
	})
}

// A run of 5 s in a session of 6 s: without heartbeats while draining the member
// would be expelled, and its last commit refused.
func TestHeartbeatsGoOnWhileDraining(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(2)
		w.numbers(2, 4)
		cfg := w.config()
		cfg.SessionTimeout, cfg.RebalanceTimeout = 9*time.Second, 30*time.Second
		a := w.process(cfg, &pipelinetest.Model{Delay: 6 * time.Second})
		w.until(5*time.Second, "joined", func() bool { return len(a.src.Status().Partitions) == 2 })
		time.Sleep(500 * time.Millisecond)
		beats := w.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, Observe: true, Count: -1})

		b := w.process(cfg, &pipelinetest.Model{})

		w.until(time.Minute, "one each", func() bool { return len(a.src.Status().Partitions) == 1 && len(b.src.Status().Partitions) == 1 })
		w.until(time.Minute, "all", func() bool { n, _ := total(outcomes(a, b)); return n == 8 })
		if _, n := total(outcomes(a, b)); n != 8 {
			w.Errorf("%d outcomes of 8 records", n)
		}
		if beats.Hits() < 2 {
			w.Errorf("%d heartbeats", beats.Hits())
		}
	})
}

// A run longer than the drain limit: the partitions go on time, its outcome is
// neither delivered nor committed here, and the new owner makes it.
func TestOverrunDrainLosesNothing(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(2)
		w.numbers(2, 4)
		a := w.process(w.config(), &pipelinetest.Model{Delay: 30 * time.Second})
		w.until(5*time.Second, "joined", func() bool { return len(a.src.Status().Partitions) == 2 })
		time.Sleep(500 * time.Millisecond)
		b := w.process(w.config(), &pipelinetest.Model{})
		w.until(20*time.Second, "one each", func() bool { return len(a.src.Status().Partitions) == 1 && len(b.src.Status().Partitions) == 1 })
		w.until(5*time.Minute, "all", func() bool { n, _ := total(outcomes(a, b)); return n == 8 })
		if _, n := total(outcomes(a, b)); n != 8 {
			w.Errorf("%d outcomes of 8 records: a late one was delivered", n)
		}
	})
}

func TestCleanStopRedoesNothing(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(4)
		w.numbers(4, 100)
		var all []*process
		for n := 0; n < 400; n, _ = total(outcomes(all...)) {
			p := w.process(w.config(), &pipelinetest.Model{Delay: 100 * time.Millisecond})
			all = append(all, p)
			time.Sleep(time.Second)
			if err := p.stop(); err != nil {
				w.Fatal(err)
			}
			if len(all) > 50 {
				w.Fatal("no progress")
			}
		}
		if len(all) < 3 {
			w.Errorf("%d processes: too few stops", len(all))
		}
		if _, n := total(outcomes(all...)); n != 400 {
			w.Errorf("%d outcomes of 400 records", n)
		}
	})
}

// What a crash may repeat is bounded: delivery waits while commits fail.
func TestDeliveryWaitsWhileCommitsFail(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(1)
		cfg := w.config()
		cfg.MaxInFlight = 50
		p := w.process(cfg, &pipelinetest.Model{})
		w.until(5*time.Second, "the start is committed", func() bool { return w.committed(0) == 0 })
		h := w.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.RequestTimedOut, Count: -1})
		w.numbers(1, 500)
		time.Sleep(30 * time.Second)
		if n := len(p.sink.Outcomes()); n != 50 {
			w.Errorf("%d outcomes delivered and uncommitted, want max_in_flight 50", n)
		}
		h.Remove()
		w.until(time.Minute, "all", func() bool { return len(p.sink.Outcomes()) == 500 })
		w.until(5*time.Second, "commit", func() bool { return w.committed(0) == 500 })
	})
}

// With an hour between commits only a full gate can ask for one.
func TestFullGateCommitsAtOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(1)
		w.numbers(1, 500)
		cfg := w.config()
		cfg.MaxInFlight, cfg.CommitInterval = 50, time.Hour
		p := w.process(cfg, &pipelinetest.Model{})
		w.until(5*time.Second, "all", func() bool { return len(p.sink.Outcomes()) == 500 })
	})
}

func TestSourceKeepsThePromisesOfASource(t *testing.T) {
	t.Parallel()
	pipelinetest.RunSourceSuite(t, func(t *testing.T) pipelinetest.SourceSubject {
		t.Helper()
		cluster, brokers := kafkatest.Kfake(t)
		if err := cluster.CreateTopic("in", 3, nil); err != nil {
			t.Fatal(err)
		}
		producer := kafkatest.Client(t, brokers, kgo.RecordPartitioner(kgo.ManualPartitioner()))
		subject := pipelinetest.SourceSubject{Ends: map[int32]int64{}}
		for p := range int32(3) {
			n := 100 + int(p)
			for i := range n {
				producer.Produce(t.Context(), &kgo.Record{Topic: "in", Partition: p, Value: fmt.Append(nil, i)}, nil)
			}
			subject.Records += n
			subject.Ends[p] = int64(n)
		}
		if err := producer.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		client, err := kafkawire.NewClient(kafkawire.Config{Brokers: brokers})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(client.Close)
		src, err := NewSource(client, Config{Topics: []string{"in"}, Group: "g"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := src.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = src.Close(context.Background(), true) })
		subject.Source = src
		return subject
	})
}
