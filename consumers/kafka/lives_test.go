package kafka

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-ml/sluice/internal/kafkawire"
	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/pipeline/pipelinetest"
	"github.com/sluice-ml/sluice/schemas"
)

// life is one process of a line of processes with one static name.
type life struct {
	died chan struct{} // closed when it was killed
	kill func()
	stop func() error
}

// line is a service that is started again whenever it died.
type line struct {
	w      *world
	start  func(kill func(), model *pipelinetest.Model) *life
	poison map[string]bool // values that kill the process that runs them
	after  time.Duration   // until such a run kills
	model  pipelinetest.Model
	deaths int
}

// live runs one process.
func (l *line) live() *life {
	l.w.Helper()
	died := make(chan struct{})
	var now *life
	started := make(chan struct{})
	var once sync.Once
	kill := func() {
		once.Do(func() {
			<-started
			now.kill()
			close(died)
		})
	}
	m := &pipelinetest.Model{Delay: l.model.Delay, HangOn: func(it *pipeline.Item) bool {
		if !l.poison[string(it.Value)] {
			return false
		}
		time.Sleep(l.after)
		kill()
		return true
	}}
	now = l.start(kill, m)
	now.died = died
	close(started)
	return now
}

// untilDone starts processes until all is committed.
func (l *line) untilDone(partitions int32, most int) {
	l.w.Helper()
	for {
		p := l.live()
		done := make(chan struct{})
		var over atomic.Bool
		go func() { // ends with the process
			defer close(done)
			for !over.Load() && !l.w.allCommitted(partitions) {
				time.Sleep(10 * time.Millisecond)
			}
		}()
		select {
		case <-done:
			if err := p.stop(); err != nil {
				l.w.Error(err)
			}
			return
		case <-p.died:
			over.Store(true)
			<-done
		}
		if l.deaths++; l.deaths > most {
			l.w.Fatalf("%d deaths, and no end", l.deaths)
		}
	}
}

func (w *world) allCommitted(partitions int32) bool {
	for p := range partitions {
		if info := w.cluster.PartitionInfo("in", p); w.committed(p) < info.HighWatermark {
			return false
		}
	}
	return true
}

// atLeastOnce is a line of whole pipelines into one sink in memory, which is the
// output topic: it outlives them.
func (w *world) atLeastOnce(sink *pipelinetest.Sink, poison ...string) *line {
	l := &line{w: w, poison: map[string]bool{}}
	for _, v := range poison {
		l.poison[v] = true
	}
	l.start = func(_ func(), model *pipelinetest.Model) *life {
		w.Helper()
		n := newWire(w)
		client, err := kafkawire.NewClient(kafkawire.Config{Brokers: w.cluster.ListenAddrs(), Dial: n.dial})
		if err != nil {
			w.Fatal(err)
		}
		w.Cleanup(client.Close)
		cfg := w.config()
		cfg.Instance = "a"
		src, err := NewSource(client, cfg, nil)
		if err != nil {
			w.Fatal(err)
		}
		p, err := pipeline.New(pipeline.Config{MaxInFlight: 256, MaxRows: 8, Workers: 2, DrainTimeout: time.Second}, src, pipelinetest.Codec{}, model, &fenced{Sink: sink, n: n}, nil)
		if err != nil {
			w.Fatal(err)
		}
		if err := src.Start(w.Context()); err != nil {
			w.Fatal(err)
		}
		ctx, cancel := context.WithCancel(w.Context())
		ended := make(chan error, 1)
		go func() { ended <- p.Run(ctx) }() // ends with ctx
		one := &life{kill: n.cut}
		var once sync.Once
		one.stop = func() (err error) {
			once.Do(func() {
				cancel()
				err = <-ended
				closing, done := context.WithTimeout(context.Background(), time.Second)
				defer done()
				_ = src.Close(closing, false) // a dead one's fails
			})
			return err
		}
		w.Cleanup(func() { _ = one.stop() })
		return one
	}
	return l
}

// fenced is the sink as one process reaches it: not at all once that is dead.
type fenced struct {
	*pipelinetest.Sink
	n *wire
}

func (f *fenced) Send(ctx context.Context, items []*pipeline.Item) {
	f.n.mu.Lock()
	dead := f.n.dead
	f.n.mu.Unlock()
	if !dead {
		f.Sink.Send(ctx, items)
		return
	}
	for _, it := range items {
		it.Settle(errCut)
	}
}

// letters are the dead letters of a sink, by partition and offset.
func letters(sink *pipelinetest.Sink) map[string]*schemas.Error {
	out := map[string]*schemas.Error{}
	for _, o := range sink.Outcomes() {
		if o.Err != nil {
			out[fmt.Sprintf("%d/%d", o.Partition, o.Offset)] = o.Err
		}
	}
	return out
}

// wantOutcomes checks that each of count records per partition has an outcome, the
// guilty ones a dead letter and nobody else.
func (w *world) wantOutcomes(sink *pipelinetest.Sink, partitions int32, count int, guilty ...string) {
	w.Helper()
	seen := map[string]bool{}
	for _, o := range sink.Outcomes() {
		seen[fmt.Sprintf("%d/%d", o.Partition, o.Offset)] = true
	}
	if len(seen) != int(partitions)*count {
		w.Errorf("%d records have an outcome, want %d", len(seen), int(partitions)*count)
	}
	got := letters(sink)
	for _, g := range guilty {
		if e := got[g]; e == nil || e.Class != schemas.RunFailed || e.Stage != schemas.StageInfer {
			w.Errorf("dead letter of %s: %v", g, e)
		}
		delete(got, g)
	}
	for name, e := range got {
		w.Errorf("dead letter of the innocent %s: %v", name, e)
	}
}

// sendNumbers writes count numbers per partition: 1000 times the partition, and on.
func (w *world) sendNumbers(partitions int32, count int) {
	w.Helper()
	var recs []*kgo.Record
	for p := range partitions {
		for i := range count {
			recs = append(recs, &kgo.Record{Topic: "in", Partition: p, Value: fmt.Append(nil, 1000*int(p)+i)})
		}
	}
	w.send(recs...)
}

// wantGivenBack checks that the group holds nothing against anybody.
func (w *world) wantGivenBack(partitions int32) {
	w.Helper()
	offsets, err := w.admin.FetchOffsets(w.Context(), "g")
	if err != nil {
		w.Fatal(err)
	}
	for p := range partitions {
		if o, _ := offsets.Lookup("in", p); o.Metadata != "" {
			w.Errorf("partition %d at %d has metadata %q", p, o.At, o.Metadata)
		}
	}
}
