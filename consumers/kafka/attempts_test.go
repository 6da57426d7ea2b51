package kafka

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluice-ml/sluice/pipeline/pipelinetest"
)

func TestDeathsAreReadFromMetadata(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		metadata string
		want     int
	}{
		{"", 0},
		{"sluice.first=4", 0},
		{"sluice.run=me", 0},
		{"sluice.run=other", 1},
		{"sluice.first=4 sluice.died=2 sluice.run=other sluice.txn=a", 3},
		{"sluice.died=2 sluice.run=me", 2},
		{"sluice.died=2", 2},
		{"sluice.died=-7 sluice.run=", 1},
		{"sluice.died=99999999999999999999", 0},
		{"sluice.died=60000 sluice.run=other", maxDeaths},
		{"somebody else's words", 0},
	} {
		if got := deathsIn(c.metadata, "me"); got != c.want {
			t.Errorf("%q: %d deaths, want %d", c.metadata, got, c.want)
		}
	}
	for _, c := range [][2]string{
		{"", ""},
		{"sluice.txn=a", ""},
		{"sluice.run=b sluice.txn=a", "sluice.run=b"},
		{"sluice.first=4 sluice.txn=a sluice.run=b", "sluice.first=4 sluice.run=b"},
	} {
		if got := withoutOwner(c[0]); got != c[1] {
			t.Errorf("%q without its owner is %q, want %q", c[0], got, c[1])
		}
	}
}

// The guilty record stands among others, near and far from the committed position, and
// its partition beside others. It alone is a dead letter, after six deaths where it is
// soon run, and a few more where the position first comes nearer.
func TestARecordThatKillsTheProcessIsADeadLetter(t *testing.T) {
	t.Parallel()
	for _, guilty := range []int{0, 3, 150, 199} {
		t.Run(strconv.Itoa(guilty), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(w *world) {
				w.topic(3)
				w.sendNumbers(3, 200)
				sink := &pipelinetest.Sink{Delay: time.Millisecond}
				l := w.atLeastOnce(sink, fmt.Sprint(1000+guilty))
				l.untilDone(3, letterDeaths)
				w.wantOutcomes(sink, 3, 200, fmt.Sprintf("1/%d", guilty))
				if l.deaths != letterDeaths {
					w.Errorf("%d deaths, want %d", l.deaths, letterDeaths)
				}
				w.wantGivenBack(3)
			})
		})
	}
}

// Two guilty ones side by side, and one in another partition.
func TestEachOfSeveralGuiltyRecordsIsFound(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(3)
		w.sendNumbers(3, 300)
		sink := &pipelinetest.Sink{Delay: time.Millisecond}
		l := w.atLeastOnce(sink, "7", "8", "1100")
		l.untilDone(3, 5*letterDeaths)
		w.wantOutcomes(sink, 3, 300, "0/7", "0/8", "1/100")
		w.wantGivenBack(3)
	})
}

// A run that kills late: others are delivered and committed meanwhile, which forgives
// a death each time. It ends all the same.
func TestARecordThatKillsLateIsADeadLetter(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(2)
		w.sendNumbers(2, 500)
		sink := &pipelinetest.Sink{Delay: time.Millisecond}
		l := w.atLeastOnce(sink, "400")
		l.after, l.model.Delay = 350*time.Millisecond, 20*time.Millisecond
		l.untilDone(2, 2*letterDeaths)
		w.wantOutcomes(sink, 2, 500, "0/400")
	})
}

// Exactly once, the same, with the counts in the transactions.
func TestExactlyOnceTheGuiltyRecordIsADeadLetter(t *testing.T) {
	t.Parallel()
	for name, opts := range protocols() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(w *world) {
				w.exactTopics(2)
				w.feed(2, 0, 200, nil)
				l := &line{w: w, poison: map[string]bool{"123": true}}
				l.start = func(_ func(), model *pipelinetest.Model) *life {
					p := w.exact("a", model)
					return &life{kill: p.kill, stop: p.stop}
				}
				l.untilDone(2, 2*letterDeaths)
				w.wantOnce(2, 200, func(i int) bool { return i == 123 })
				if l.deaths < letterDeaths {
					w.Errorf("%d deaths, want %d at least", l.deaths, letterDeaths)
				}
				w.Logf("%d deaths", l.deaths)
			}, opts...)
		})
	}
}

// Kills from outside at random, most of them before anything is committed: nobody is
// guilty, whatever runs apart meanwhile.
func TestKillsFromOutsideAccuseNobody(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		longest := []time.Duration{200 * time.Millisecond, 500 * time.Millisecond, 2 * time.Second, 5 * time.Second}[seed%4]
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(w *world) {
				r := rand.New(rand.NewPCG(seed, 7))
				w.topic(3)
				w.sendNumbers(3, 800)
				sink := &pipelinetest.Sink{Delay: 5 * time.Millisecond}
				l := w.atLeastOnce(sink)
				l.model.Delay = 10 * time.Millisecond
				for range 30 {
					p := l.live()
					time.Sleep(time.Duration(r.Int64N(int64(longest))))
					p.kill()
				}
				l.untilDone(3, 0)
				w.wantOutcomes(sink, 3, 800)
			})
		})
	}
}

// Clean stops without any progress are no deaths, however many.
func TestCleanStopsAreNoDeaths(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(2)
		w.produce(2, 10)
		cfg := w.config()
		cfg.Instance = "a"
		for range 2 * letterDeaths {
			r := w.reader(cfg, func(r *reader) { r.hold = holdAll })
			w.until(20*time.Second, "all in hand", func() bool { return r.count() == 20 })
			r.letGo(errUnstable) // given up, as the pipeline does with what it has not begun
			r.close(false)
			w.wantGivenBack(2)
		}
	})
}

// What is found stays while a partition only changes hands: it is neither forgiven
// nor made worse.
func TestARebalanceKeepsTheCount(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(1)
		w.produce(1, 10)
		w.commitWith(0, 4, "sluice.died=1 sluice.run=gone")
		for range 3 {
			r := w.reader(w.config(), func(r *reader) { r.hold = holdAll })
			w.until(20*time.Second, "all in hand", func() bool { return r.count() == 6 })
			r.close(true)
			offsets, err := w.admin.FetchOffsets(w.Context(), "g")
			if err != nil {
				w.Fatal(err)
			}
			if o, _ := offsets.Lookup("in", 0); o.At != 4 || o.Metadata != "sluice.died=2" {
				w.Errorf("offset %d with %q", o.At, o.Metadata)
			}
			r.letGo(nil)
		}
		r := w.reader(w.config())
		w.until(20*time.Second, "progress", func() bool { return w.committed(0) == 10 })
		r.close(true)
		w.wantGivenBack(1)
	})
}

// Suspects do not begin while anything else is in hand: it would be them who are blamed.
func TestSuspectsWaitUntilNothingElseIsInHand(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(2)
		w.produce(1, 10)
		w.send(&kgo.Record{Topic: "in", Partition: 1, Value: []byte("suspect")})
		w.commitWith(1, 0, "sluice.died=3")
		// Its position is not to be had until the others are in hand.
		late := w.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetFetch}, Topic: "in", Partitions: []int32{1}, Err: kerr.UnstableOffsetCommit, Count: -1, When: requireStable})
		r := w.reader(w.config(), func(r *reader) { r.hold = holdAll })
		w.until(20*time.Second, "the others in hand", func() bool { return r.count() == 10 })
		late.Remove()
		time.Sleep(time.Minute)
		if n := r.count(); n != 10 {
			w.Errorf("%d records in hand, want the 10 others alone", n)
		}
		r.letGo(nil)
		w.until(5*time.Second, "the suspect", func() bool { return r.count() == 11 })
	})
}
