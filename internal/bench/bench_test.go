package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluice-ml/sluice/internal/kafkawire"
	"github.com/sluice-ml/sluice/internal/load"
	"github.com/sluice-ml/sluice/pipeline"
	producer "github.com/sluice-ml/sluice/producers/kafka"
	"github.com/sluice-ml/sluice/schemas"
)

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

// system is a deployment that is not sluice: what it does with each record is
// the test's. It answers one after the other, as fast as fate sleeps.
type system struct {
	*testing.T
	network kfake.VirtualNetwork
	cluster *kfake.Cluster
	// fate returns what is written for the n-th record, and may sleep.
	fate func(n int, rec *kgo.Record) []*kgo.Record
}

// echo gives a record of the output topic with the input's key and source.
func echo(rec *kgo.Record) *kgo.Record {
	source := fmt.Appendf(nil, "%s/%d/%d", rec.Topic, rec.Partition, rec.Offset)
	return &kgo.Record{Topic: "out", Key: rec.Key, Value: []byte("y"), Headers: []kgo.RecordHeader{{Key: "x-source", Value: source}}}
}

// dead gives the dead letter of a record.
func dead(rec *kgo.Record) *kgo.Record {
	in := schemas.Record{Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset}
	out := &kgo.Record{Topic: "in.dlq", Key: rec.Key, Value: rec.Value}
	for _, h := range schemas.DeadLetterHeaders(nil, &in, schemas.DeadLetterInfo{Error: schemas.Error{Class: schemas.WrongName, Message: "no x"}}) {
		out.Headers = append(out.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	return out
}

// inBubble runs a test against a system in virtual time, on two brokers.
func inBubble(t *testing.T, fate func(n int, rec *kgo.Record) []*kgo.Record, test func(s *system)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &system{T: t, fate: fate}
		var err error
		s.cluster, err = kfake.NewCluster(kfake.NumBrokers(2), kfake.Ports(9092, 9093), kfake.ListenFn(s.network.Listen),
			kfake.SeedTopics(4, "in", "out"), kfake.SeedTopics(1, "in.dlq"))
		if err != nil {
			t.Fatal(err)
		}
		defer s.cluster.Close()
		ctx, cancel := context.WithCancel(t.Context())
		var serving sync.WaitGroup
		serving.Go(func() { s.serve(ctx) }) // ends with ctx
		test(s)
		cancel()
		serving.Wait()
	})
}

func (s *system) serve(ctx context.Context) {
	client, err := kgo.NewClient(kgo.SeedBrokers(s.cluster.ListenAddrs()...), kgo.Dialer(s.network.DialContext),
		kgo.ConsumeTopics("in"), kgo.ProducerLinger(0), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		s.Error(err)
		return
	}
	defer client.Close()
	for n := 0; ; {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return
		}
		fetches.EachRecord(func(rec *kgo.Record) {
			for _, out := range s.fate(n, rec) {
				client.Produce(ctx, out, nil)
			}
			n++
		})
	}
}

// bench connects as a user of the package does.
func (s *system) bench(change func(*Config)) *Bench {
	s.Helper()
	client, err := kafkawire.NewClient(kafkawire.Config{Brokers: s.cluster.ListenAddrs(), Dial: s.network.DialContext})
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(client.Close)
	records := &Records{}
	for i := range 10 {
		records.Add(Record{Value: fmt.Append(nil, i), Partition: -1})
	}
	cfg := Config{
		Client: client, Input: "in", Output: "out", DeadLetter: "in.dlq", Records: records, Spread: ByKey,
		Arrival: load.Poisson, Seed: 1, Warmup: 2 * time.Second, Duration: 10 * time.Second, Wait: 10 * time.Second,
		Producer: producer.ProducerConfig{Linger: time.Millisecond},
	}
	if change != nil {
		change(&cfg)
	}
	b, err := New(s.Context(), cfg)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(b.Close)
	return b
}

func (s *system) run(b *Bench, rate float64) *Point {
	s.Helper()
	if err := b.Probe(s.Context()); err != nil {
		s.Fatal(err)
	}
	p, err := b.Run(s.Context(), rate)
	if err != nil {
		s.Fatal(err)
	}
	return p
}

// The system stands still for a second in the middle of 10 s. Every record that
// was due then waited, whether or not it had been sent.
func TestAStallOfTheDeploymentShowsInP99(t *testing.T) {
	t.Parallel()
	for _, bySource := range []bool{false, true} {
		stalled := false
		inBubble(t, func(n int, rec *kgo.Record) []*kgo.Record {
			if n > 400 && !stalled {
				stalled = true
				time.Sleep(time.Second)
			}
			return []*kgo.Record{echo(rec)}
		}, func(s *system) {
			p := s.run(s.bench(func(c *Config) { c.BySource = bySource }), 60)
			if p.Sent < 650 || p.Sent > 800 || p.Received != p.Sent || !p.Complete() || !p.Sustained {
				s.Errorf("%+v", *p)
			}
			if p.Latency.P99 < 0.8 || p.Latency.P99 > 0.99 || p.Latency.Max < 0.95 || p.Latency.P50 > 0.01 {
				s.Errorf("latency %+v, want a p99 of about 0.9 s and a fast median", p.Latency)
			}
			if p.ReceivedRate < 50 || p.ReceivedRate > 70 || p.Measured < 520 || p.Measured > 680 {
				s.Errorf("%.0f a second, %d measured", p.ReceivedRate, p.Measured)
			}
		})
	}
}

// The broker stands still for a second, and with it the sender, whose buffer is
// small. What was not sent meanwhile was due all the same.
func TestAStallOfTheBrokerShowsInP99(t *testing.T) {
	t.Parallel()
	inBubble(t, func(_ int, rec *kgo.Record) []*kgo.Record { return []*kgo.Record{echo(rec)} }, func(s *system) {
		b := s.bench(nil)
		b.budget = pipeline.NewBudget(2000)
		time.AfterFunc(6*time.Second, func() {
			var once sync.Once
			s.cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
				once.Do(func() { time.Sleep(time.Second) }) // the whole cluster waits
				return nil, nil, false
			})
		})
		p := s.run(b, 60)
		if p.Received != p.Sent || p.Latency.P50 > 0.01 || p.Latency.P99 < 0.8 || p.Latency.P99 > 0.99 || p.Latency.Max < 0.95 || p.SendDelay.Max < 0.5 {
			s.Errorf("%+v", *p)
		}
	})
}

// It handles 20 a second: 40 fill its topic.
func TestARateAboveTheCapacityIsNotSustained(t *testing.T) {
	t.Parallel()
	inBubble(t, func(_ int, rec *kgo.Record) []*kgo.Record {
		time.Sleep(50 * time.Millisecond)
		return []*kgo.Record{echo(rec)}
	}, func(s *system) {
		b := s.bench(func(c *Config) { c.Arrival, c.Wait = load.Constant, 40*time.Second })
		points, why, err := b.Sweep(s.Context(), []float64{10, 15, 40, 50, 60}, func(*Point) {})
		if err != nil || len(points) != 4 || !strings.Contains(why, "the 1 above are left out") {
			s.Fatalf("%d points, %q, %v", len(points), why, err)
		}
		for i, want := range []bool{true, true, false, false} {
			p := points[i]
			if p.Sustained != want || p.Received != p.Sent {
				s.Errorf("%v a second: sustained %v, backlog grew by %.2f s, %+v", p.Rate, p.Sustained, p.BacklogGrowth, p.Counts)
			}
		}
		if p := points[2]; p.BacklogGrowth < 4 || p.BacklogGrowth > 6 || p.ReceivedRate < 18 || p.ReceivedRate > 22 || p.Latency.P50 < 2 {
			s.Errorf("at twice the capacity: %+v", *p)
		}
		if !points[0].Knee != points[1].Knee {
			s.Error("there is not one knee")
		}
	})
}

func TestLostTwiceAndDeadLetteredAreCounted(t *testing.T) {
	t.Parallel()
	for _, bySource := range []bool{false, true} {
		inBubble(t, func(n int, rec *kgo.Record) []*kgo.Record {
			switch {
			case n > 0 && n%100 == 0:
				return nil
			case n%100 == 1:
				return []*kgo.Record{dead(rec)}
			case n%100 == 2:
				return []*kgo.Record{echo(rec), echo(rec)}
			}
			return []*kgo.Record{echo(rec)}
		}, func(s *system) {
			var complaints []string
			b := s.bench(func(c *Config) {
				c.BySource, c.Arrival = bySource, load.Constant
				c.Complain = func(text string) { complaints = append(complaints, text) }
			})
			p := s.run(b, 100)
			if p.Sent != 1200 || p.Lost != 12 || p.DeadLettered != 12 || p.Duplicates != 12 || p.Received != 1176 {
				s.Errorf("%+v", p.Counts)
			}
			if p.Complete() || p.Latency.Max < 10 || p.Latency.P99 > 30 {
				s.Errorf("lost records must count with their age: %+v", p.Latency)
			}
			if len(complaints) != 1 || complaints[0] != "dead-lettered: wrong_name: no x" {
				s.Errorf("complaints %q", complaints)
			}
		})
	}
}

func TestADeploymentThatDoesNotAnswerIsNoticed(t *testing.T) {
	t.Parallel()
	inBubble(t, func(int, *kgo.Record) []*kgo.Record { return nil }, func(s *system) {
		if err := s.bench(nil).Probe(s.Context()); !errors.Is(err, ErrNoAnswer) {
			s.Error(err)
		}
	})
	inBubble(t, func(_ int, rec *kgo.Record) []*kgo.Record { return []*kgo.Record{dead(rec)} }, func(s *system) {
		if err := s.bench(nil).Probe(s.Context()); !errors.Is(err, ErrDeadLettered) || !strings.Contains(err.Error(), "no x") {
			s.Error(err)
		}
	})
}

func TestAnInterruptedTrialKeepsWhatItHas(t *testing.T) {
	t.Parallel()
	inBubble(t, func(_ int, rec *kgo.Record) []*kgo.Record { return []*kgo.Record{echo(rec)} }, func(s *system) {
		b := s.bench(nil)
		ctx, cancel := context.WithCancel(s.Context())
		time.AfterFunc(7*time.Second, cancel)
		p, err := b.Run(ctx, 100)
		if err != nil || !p.Interrupted || p.Sent < 600 || p.Sent > 800 || p.Received != p.Sent || p.Measured < 400 {
			s.Errorf("%+v, %v", p, err)
		}
	})
}

// The output topic vanishes: an error, not a point.
func TestATopicThatVanishesEndsTheRun(t *testing.T) {
	t.Parallel()
	inBubble(t, func(_ int, rec *kgo.Record) []*kgo.Record { return []*kgo.Record{echo(rec)} }, func(s *system) {
		b := s.bench(func(c *Config) { c.Duration = time.Minute })
		time.AfterFunc(3*time.Second, func() {
			if err := s.cluster.DeleteTopic("out"); err != nil {
				s.Error(err)
			}
		})
		p, err := b.Run(s.Context(), 50)
		if err == nil || !errors.Is(err, kafkawire.ErrUnknownTopicOrPartition) {
			s.Errorf("%+v, %v", p, err)
		}
	})
}

func TestTheKneeIsTheMostThroughputPerLatency(t *testing.T) {
	t.Parallel()
	point := func(rate, p99 float64) *Point { return &Point{Rate: rate, Latency: Latency{P99: p99}, Sustained: true} }
	points := []*Point{point(1000, 0.010), point(2000, 0.011), point(3000, 0.030), point(4000, 0.001), point(5000, 0.001)}
	points[3].Sustained, points[4].Interrupted = false, true
	if knee := Knee(points); knee != points[1] || !points[1].Knee {
		t.Errorf("%+v", knee)
	}
	for _, few := range [][]*Point{nil, points[:1], points[2:]} {
		if one := Knee(few); one != nil {
			t.Errorf("nothing to compare, but %+v", one)
		}
	}
}

func TestSpreads(t *testing.T) {
	t.Parallel()
	key := []byte("k")
	withKey, placed := &Record{Key: []byte("own"), Partition: -1}, &Record{Partition: 7}
	bare := &Record{Partition: -1}
	for name, pair := range map[string][2]int32{
		"the record's own partition": {ByKey(0, placed, key, 4), 3},
		"the record's own key":       {ByKey(0, withKey, key, 4), kafkawire.PartitionForKey([]byte("own"), 4)},
		"the bench's key":            {ByKey(0, bare, key, 4), kafkawire.PartitionForKey(key, 4)},
		"in turn":                    {RoundRobin(6, bare, key, 4), 2},
		"one":                        {OnePartition(2)(6, bare, key, 4), 2},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: partition %d, want %d", name, pair[0], pair[1])
		}
	}
}

func TestRatesAreEvenlySpaced(t *testing.T) {
	t.Parallel()
	for want, got := range map[string][]float64{
		"[500 3000 5500 8000]": Rates(500, 8000, 4), "[7]": Rates(1, 7, 1), "[5]": Rates(5, 5, 3), "[1 1.5 2]": Rates(1, 2, 3),
	} {
		if fmt.Sprint(got) != want {
			t.Errorf("%v, want %s", got, want)
		}
	}
}

func TestRecordsAreBounded(t *testing.T) {
	t.Parallel()
	r := &Records{}
	value := make([]byte, 50<<20)
	for r.Add(Record{Value: value}) {
		if r.Count() > 10 {
			t.Fatal("no bound")
		}
	}
	if r.Count() != 5 || r.MeanBytes() != 50<<20 {
		t.Errorf("%d records of %.0f", r.Count(), r.MeanBytes())
	}
}
