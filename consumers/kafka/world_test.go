package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-ml/sluice/internal/kafkawire"
	"github.com/sluice-ml/sluice/internal/metrics"
	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/schemas"
)

// world is a kfake cluster on a virtual network inside a synctest bubble: time
// passes only when everything waits.
type world struct {
	*testing.T
	cluster *kfake.Cluster
	network *kfake.VirtualNetwork
	admin   *kadm.Client
}

// TestMain makes the shared zstd coder outside of any bubble: its channels may
// be used from everywhere only then.
func TestMain(m *testing.M) {
	var w kafkawire.BatchWriter
	w.Reset()
	w.Append(0, nil, []byte("v"), nil)
	if b, err := w.Finish(kafkawire.Zstd, -1, -1, -1); err == nil {
		if raw, _, err := kafkawire.NextBatch(b); err == nil {
			_, _ = raw.Decompress(nil, 1<<20)
		}
	}
	os.Exit(m.Run())
}

// inBubble runs a test in virtual time.
func inBubble(t *testing.T, test func(w *world), opts ...kfake.Opt) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, network: &kfake.VirtualNetwork{}}
		all := []kfake.Opt{kfake.Ports(9092), kfake.ListenFn(w.network.Listen), kfake.GroupMinSessionTimeout(time.Millisecond)}
		cluster, err := kfake.NewCluster(append(all, opts...)...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cluster.Close)
		w.cluster = cluster
		admin, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.Dialer(w.network.DialContext))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(admin.Close)
		w.admin = kadm.NewClient(admin)
		test(w)
	})
}

func (w *world) client() *kafkawire.Client {
	w.Helper()
	c, err := kafkawire.NewClient(kafkawire.Config{Brokers: w.cluster.ListenAddrs(), Dial: w.network.DialContext})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(c.Close)
	return c
}

// topic makes the topic "in", which every test reads.
func (w *world) topic(partitions int32) {
	w.Helper()
	if err := w.cluster.CreateTopic("in", partitions, nil); err != nil {
		w.Fatal(err)
	}
}

// produce writes values "p/i", count of them per partition.
func (w *world) produce(partitions int32, count int) {
	w.Helper()
	var recs []*kgo.Record
	for p := range partitions {
		for i := range count {
			recs = append(recs, &kgo.Record{Topic: "in", Partition: p, Value: fmt.Appendf(nil, "%d/%d", p, i)})
		}
	}
	w.send(recs...)
}

// send writes with a client of its own, which knows no older topic of the name.
func (w *world) send(recs ...*kgo.Record) {
	w.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(w.cluster.ListenAddrs()...), kgo.Dialer(w.network.DialContext),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		w.Fatal(err)
	}
	defer client.Close()
	if err := client.ProduceSync(w.Context(), recs...).FirstErr(); err != nil {
		w.Fatal(err)
	}
}

// committed is what group "g" has, -1 for nothing.
func (w *world) committed(partition int32) int64 {
	w.Helper()
	offsets, err := w.admin.FetchOffsets(w.Context(), "g")
	if errors.Is(err, kerr.GroupIDNotFound) {
		return -1 // nobody has joined yet
	}
	if err != nil {
		w.Fatal(err)
	}
	o, ok := offsets.Lookup("in", partition)
	if !ok {
		return -1
	}
	return o.At
}

// until lets time pass until a condition holds.
func (w *world) until(within time.Duration, what string, ok func() bool) {
	w.Helper()
	for end := time.Now().Add(within); !ok(); {
		if time.Now().After(end) {
			w.Fatalf("not within %v: %s", within, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// taken is what a reader got, copied.
type taken struct {
	schemas.Record
	err *schemas.Error
}

func (r taken) String() string {
	return fmt.Sprintf("%s/%d/%d=%q", r.Topic, r.Partition, r.Offset, r.Value)
}

// reader drives a Source as a pipeline does, only simpler: it settles at once
// what hold does not keep.
type reader struct {
	t      *testing.T
	src    *Source
	reg    *metrics.Registry
	cancel context.CancelFunc
	ended  chan struct{}

	mu   sync.Mutex
	all  []taken
	err  error
	held []*pipeline.Item
	hold func(*pipeline.Item) bool
	// limit is what each Receive asks for.
	limit int
}

func (w *world) config() Config {
	return Config{Topics: []string{"in"}, Group: "g", SessionTimeout: 6 * time.Second, RebalanceTimeout: 10 * time.Second, StartupWait: 5 * time.Second}
}

func (w *world) reader(cfg Config, change ...func(*reader)) *reader {
	w.Helper()
	return newReader(w.T, w.client(), cfg, change...)
}

func newReader(t *testing.T, client *kafkawire.Client, cfg Config, change ...func(*reader)) *reader {
	t.Helper()
	r := &reader{t: t, ended: make(chan struct{}), limit: 1000, reg: metrics.NewRegistry()}
	var err error
	r.src, err = NewSource(client, cfg, &pipeline.Telemetry{Metrics: r.reg, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range change {
		f(r)
	}
	if err := r.src.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r.cancel = cancel
	go r.run(ctx)
	t.Cleanup(func() { r.close(true) })
	return r
}

func (r *reader) run(ctx context.Context) {
	defer close(r.ended)
	for {
		items, err := r.src.Receive(ctx, r.limit)
		r.mu.Lock()
		for _, it := range items {
			rec := it.Record
			rec.Value, rec.Key = clone(rec.Value), clone(rec.Key)
			rec.Headers = nil
			for _, h := range it.Headers {
				rec.Headers = append(rec.Headers, schemas.Header{Key: h.Key, Value: clone(h.Value)})
			}
			r.all = append(r.all, taken{rec, it.Err})
		}
		hold := r.hold
		r.mu.Unlock()
		for _, it := range items {
			if hold != nil && hold(it) {
				r.mu.Lock()
				r.held = append(r.held, it)
				r.mu.Unlock()
				continue
			}
			it.Settle(nil)
		}
		if err != nil {
			r.mu.Lock()
			r.err = err
			r.mu.Unlock()
			return
		}
	}
}

func clone(b []byte) []byte {
	if b == nil {
		return nil
	}
	return append([]byte{}, b...)
}

// letGo settles what was held and holds nothing more.
func (r *reader) letGo(err error) {
	r.mu.Lock()
	held := r.held
	r.held, r.hold = nil, nil
	r.mu.Unlock()
	for _, it := range held {
		it.Settle(err)
	}
}

// close ends the reader as a process that stops cleanly does; the context is the
// caller's so that it works during cleanup.
func (r *reader) close(leave bool) {
	r.cancel()
	<-r.ended
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := r.src.Close(ctx, leave); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		r.t.Error(err)
	}
}

func (r *reader) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.all)
}

func (r *reader) records() []taken {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]taken(nil), r.all...)
}

func (r *reader) values() map[string]int {
	out := map[string]int{}
	for _, rec := range r.records() {
		out[string(rec.Value)]++
	}
	return out
}

// wantAll checks that each value of produce came, and how often at most.
func (w *world) wantAll(partitions int32, count, most int, readers ...*reader) {
	w.Helper()
	total := map[string]int{}
	for _, r := range readers {
		for v, n := range r.values() {
			total[v] += n
		}
	}
	for p := range partitions {
		for i := range count {
			v := strconv.Itoa(int(p)) + "/" + strconv.Itoa(i)
			if n := total[v]; n < 1 || n > most {
				w.Errorf("%s came %d times, want 1 to %d", v, n, most)
			}
		}
	}
}

func holdAll(*pipeline.Item) bool { return true }

var errUnstable = kerr.UnstableOffsetCommit

// commit sets an offset of group "g" from outside.
func (w *world) commit(partition int32, at int64) {
	w.Helper()
	var o kadm.Offsets
	o.AddOffset("in", partition, at, -1)
	if err := w.admin.CommitAllOffsets(w.Context(), "g", o); err != nil {
		w.Fatal(err)
	}
}

// commitWith is commit with metadata.
func (w *world) commitWith(partition int32, at int64, metadata string) {
	w.Helper()
	var o kadm.Offsets
	o.Add(kadm.Offset{Topic: "in", Partition: partition, At: at, LeaderEpoch: -1, Metadata: metadata})
	if err := w.admin.CommitAllOffsets(w.Context(), "g", o); err != nil {
		w.Fatal(err)
	}
}
