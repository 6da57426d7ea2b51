package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/sluice-ml/sluice/internal/kafkawire"
	"github.com/sluice-ml/sluice/internal/metrics"
	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/pipeline/pipelinetest"
	producer "github.com/sluice-ml/sluice/producers/kafka"
)

// exact is a whole service without a model runtime, exactly-once unless its settings say
// otherwise.
type exact struct {
	wire *wire
	src  *Source
	sink interface {
		pipeline.Sink
		Close(ctx context.Context) error
	}
	line *pipeline.Pipeline
	reg  *metrics.Registry
	err  error // of the run
	// ended is closed when the run is over.
	ended  chan struct{}
	cancel context.CancelFunc
	leaves bool // says goodbye to the group when it stops
	once   sync.Once
}

// settings are what differs between processes.
type settings struct {
	id string
	// transaction is its timeout, 0 for the default; commit the interval.
	transaction, commit time.Duration
	atLeastOnce         bool
	log                 *slog.Logger
}

func (w *world) exact(id string, model pipeline.Model, timeout ...time.Duration) *exact {
	w.Helper()
	set := settings{id: id, log: slog.New(slog.NewTextHandler(w.Output(), nil))}
	for _, d := range timeout {
		set.transaction = d
	}
	p, err := w.launch(set, model)
	if err != nil {
		w.Fatal(err)
	}
	return p
}

// launch starts a process; an error is one that ends it at its start.
func (w *world) launch(set settings, model pipeline.Model) (p *exact, err error) {
	w.Helper()
	p = &exact{wire: newWire(w), ended: make(chan struct{}), reg: metrics.NewRegistry()}
	client, err := kafkawire.NewClient(kafkawire.Config{Brokers: w.cluster.ListenAddrs(), Dial: p.wire.dial})
	if err != nil {
		return nil, err
	}
	w.Cleanup(client.Close)
	tel := &pipeline.Telemetry{Metrics: p.reg, Logger: set.log.With("process", set.id)}
	cfg := w.config()
	cfg.Instance, cfg.CommitInterval = set.id, set.commit
	sinkCfg := producer.SinkConfig{Topic: "out", Group: "g", Partition: producer.PartitionSame}
	if set.atLeastOnce {
		p.sink, err = producer.NewSink(client, sinkCfg, tel)
	} else {
		var sink *producer.TransactionalSink
		txn := producer.TransactionConfig{ID: transactionalID(set.id), Group: "g", Inputs: []string{"in"}, Timeout: set.transaction}
		sink, err = producer.NewTransactionalSink(w.Context(), client, sinkCfg, txn, tel)
		p.sink, cfg.Transactions, cfg.TransactionalID, cfg.TransactionalPrefix = sink, sink, txn.ID, transactionalID("")
	}
	if err != nil {
		return nil, err
	}
	if cfg.Transactions != nil {
		cfg.TransactionTopics = p.sink.(*producer.TransactionalSink).Topics()
	}
	if p.src, err = NewSource(client, cfg, tel); err != nil {
		return nil, err
	}
	p.line, err = pipeline.New(pipeline.Config{MaxInFlight: 256, MaxRows: 8, Workers: 2, DrainTimeout: 5 * time.Second}, p.src, pipelinetest.Codec{}, model, p.sink, tel)
	if err != nil {
		return nil, err
	}
	if err := p.src.Start(w.Context()); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(w.Context())
	p.cancel = cancel
	go func() { // ends with ctx, or when the source ends
		defer close(p.ended)
		p.err = p.line.Run(ctx)
	}()
	w.Cleanup(func() { _ = p.stop() })
	return p, nil
}

// transactionalID is the name of an instance's transactions.
func transactionalID(instance string) string { return "test-g-" + instance }

// stop ends the process as SIGTERM does.
func (p *exact) stop() (err error) {
	p.once.Do(func() {
		p.cancel()
		<-p.ended
		closing, done := context.WithTimeout(context.Background(), 5*time.Second)
		defer done()
		err = errors.Join(p.err, p.src.Close(closing, p.leaves), p.sink.Close(closing))
	})
	return err
}

// kill ends it as SIGKILL does, as far as the cluster can tell.
func (p *exact) kill() { p.wire.cut() }

// readCommitted is a topic's values as a read_committed reader sees them, by
// partition.
func (w *world) readCommitted(topic string, partitions int) [][]string {
	w.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(w.cluster.ListenAddrs()...), kgo.Dialer(w.network.DialContext), kgo.ConsumeTopics(topic),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		w.Fatal(err)
	}
	defer client.Close()
	out := make([][]string, partitions)
	for quiet := 0; quiet < 5; {
		ctx, cancel := context.WithTimeout(w.Context(), time.Second)
		fetches := client.PollFetches(ctx)
		cancel()
		quiet++
		fetches.EachRecord(func(r *kgo.Record) {
			quiet = 0
			out[r.Partition] = append(out[r.Partition], string(r.Value))
		})
	}
	return out
}

// wantOnce checks that each of count numbers per partition came out once, as 2x+1
// or as a dead letter, the former in order.
func (w *world) wantOnce(partitions, count int, poison func(i int) bool) {
	w.Helper()
	out, letters := w.readCommitted("out", partitions), w.readCommitted("in.dlq", 1)
	dead := 0
	for p, values := range out {
		var want []string
		for i := range count {
			if poison == nil || !poison(i) {
				want = append(want, strconv.Itoa(2*i+1))
			} else {
				dead++
			}
		}
		if got := strings.Join(values, " "); got != strings.Join(want, " ") {
			w.Errorf("partition %d has %d outcomes, want %d, in order\n%.2000s", p, len(values), len(want), got)
		}
	}
	if len(letters[0]) != dead {
		w.Errorf("%d dead letters, want %d", len(letters[0]), dead)
	}
}

// caughtUp waits until everything is committed.
func (w *world) caughtUp(partitions int32) {
	w.Helper()
	w.until(10*time.Minute, "everything committed", func() bool {
		for p := range partitions {
			if info := w.cluster.PartitionInfo("in", p); w.committed(p) < info.HighWatermark {
				return false
			}
		}
		return true
	})
}

func (w *world) exactTopics(partitions int32) {
	w.Helper()
	w.topic(partitions)
	for topic, n := range map[string]int32{"out": partitions, "in.dlq": 1} {
		if err := w.cluster.CreateTopic(topic, n, nil); err != nil {
			w.Fatal(err)
		}
	}
}

// feed writes numbers from..to per partition, with a word that no codec reads in
// the place of every poison.
func (w *world) feed(partitions int32, from, to int, poison func(i int) bool) {
	w.Helper()
	var recs []*kgo.Record
	for i := from; i < to; i++ {
		for p := range partitions {
			value := strconv.Itoa(i)
			if poison != nil && poison(i) {
				value = "poison " + value
			}
			recs = append(recs, &kgo.Record{Topic: "in", Partition: p, Key: fmt.Append(nil, p), Value: []byte(value)})
		}
	}
	w.send(recs...)
}

// protocols are the two transaction protocols, as clusters that offer them.
func protocols() map[string][]kfake.Opt {
	return map[string][]kfake.Opt{
		"V1": {kfake.NumBrokers(1), kfake.MaxVersions(kversion.V3_9_0())},
		"V2": {kfake.NumBrokers(1)},
	}
}

func everyTenth(i int) bool { return i%10 == 7 }
