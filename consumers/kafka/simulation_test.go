package kafka

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/sluice-ml/sluice/pipeline/pipelinetest"
)

// Two processes with names, and a guest, under a plan of faults, in virtual time:
// every input has one outcome in read_committed, in order. kfake completes
// transactions at once; what that hides is covered on a real broker. `make simulate`
// runs seeds by the thousand; one seed again, with its log:
//
//	SLUICE_TEST_FIRST_SEED=17 SLUICE_TEST_SEEDS=1 go test -count=1 -v -run TestSimulation ./consumers/kafka
//
// With SLUICE_TEST_DELIVERY=at-least-once outcomes may come again.
func TestSimulation(t *testing.T) {
	t.Parallel()
	first, seeds := number("SLUICE_TEST_FIRST_SEED", 0), number("SLUICE_TEST_SEEDS", 4)
	journal := newJournal(t, os.Getenv("SLUICE_TEST_JOURNAL"))
	for seed := first; seed < first+seeds; seed++ {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			t.Parallel()
			p := newPlan(uint64(seed))
			log := &logBook{}
			if seeds == 1 {
				log.also = t.Output()
			}
			res := simulate(t, p, log)
			journal.add(t, res)
			if len(res.Violations) > 0 {
				journal.keep(t, res, p, log)
				t.Errorf("%s\nof the plan\n%v\nagain: SLUICE_TEST_FIRST_SEED=%d SLUICE_TEST_SEEDS=1 go test -count=1 -v -run TestSimulation ./consumers/kafka",
					strings.Join(res.Violations, "\n"), p, seed)
			}
		})
	}
}

func number(env string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(env)); err == nil {
		return n
	}
	return otherwise
}

// simulation is a world in which a plan is carried out. Only the test's goroutine
// uses it.
type simulation struct {
	*world
	plan faultPlan
	log  *slog.Logger
	// atLeastOnce: outcomes may come again; the first ones are in order.
	atLeastOnce bool
	r           *rand.Rand // what the records are
	feeder      *kgo.Client
	clock       time.Duration // what the clock of who writes the records is off by

	models []*moody
	live   []*exact            // by process; nil while it is away
	all    map[string][]*exact // ever started, by name
	due    []laterEvent
	stops  sync.WaitGroup

	inputs [simPartitions][]input
	audits []audit
	res    *result
}

// laterEvent is what happens later.
type laterEvent struct {
	at time.Time
	do func()
}

// simulate carries a plan out.
func simulate(t *testing.T, p faultPlan, log *logBook) *result {
	t.Helper()
	opts := []kfake.Opt{kfake.NumBrokers(simBrokers), kfake.Ports(9092, 9093, 9094)}
	if p.protocol == "V1" {
		opts = append(opts, kfake.MaxVersions(kversion.V3_9_0()))
	}
	res := &result{Seed: p.seed, Protocol: p.protocol, Faults: len(p.steps), Kinds: map[string]int{}}
	for _, st := range p.steps {
		res.Kinds[st.harm]++
	}
	inBubble(t, func(w *world) {
		began := time.Now()
		s := &simulation{world: w, plan: p, r: rand.New(rand.NewPCG(p.seed, 6)), all: map[string][]*exact{}, res: res, atLeastOnce: os.Getenv("SLUICE_TEST_DELIVERY") == "at-least-once"}
		s.log = slog.New(slog.NewTextHandler(log, nil))
		s.exactTopics(simPartitions)
		s.connectFeeder()
		for i := range names {
			s.models = append(s.models, &moody{Model: &pipelinetest.Model{Delay: time.Millisecond, FailOn: failsRun}})
			s.live = append(s.live, nil)
			s.start(i)
		}
		for i, st := range p.steps {
			s.log.Info("step", "number", i+1, "is", st.String())
			for part, n := range st.feed {
				s.feed(part, n, st.bad)
			}
			find(st.harm).do(s, st)
			s.pass(st.wait)
			s.audit()
		}
		s.finish()
		s.check()
		res.Virtual = time.Since(began).Seconds()
	}, opts...)
	return res
}

func (s *simulation) violation(format string, args ...any) {
	s.res.Violations = append(s.res.Violations, fmt.Sprintf(format, args...))
}

func (s *simulation) after(d time.Duration, do func()) {
	s.due = append(s.due, laterEvent{time.Now().Add(d), do})
	slices.SortStableFunc(s.due, func(a, b laterEvent) int { return a.at.Compare(b.at) })
}

// pass lets time go by, with what is due in it.
func (s *simulation) pass(d time.Duration) {
	end := time.Now().Add(d)
	for len(s.due) > 0 && !s.due[0].at.After(end) {
		e := s.due[0]
		s.due = s.due[1:]
		time.Sleep(time.Until(e.at))
		e.do()
	}
	time.Sleep(time.Until(end))
	s.revive()
}

// patience is how long it may take until all is committed once nothing is wrong any
// more: transactions time out, partitions taken out are tried again.
const patience = 3 * time.Minute

// finish waits until everything is committed, and ends all processes.
func (s *simulation) finish() {
	for len(s.due) > 0 {
		s.pass(time.Until(s.due[0].at))
	}
	for end := time.Now().Add(patience); !s.done(); s.pass(100 * time.Millisecond) {
		if time.Now().After(end) {
			s.violation("not all is committed after %v: %v", patience, s.audits[len(s.audits)-1])
			break
		}
	}
	for who, p := range s.live {
		if p == nil {
			continue
		}
		if err := p.stop(); err != nil {
			s.log.Info("stop", "process", names[who], "error", err)
		}
	}
	s.stops.Wait()
}

// done is that every position stands at the end of the input.
func (s *simulation) done() bool {
	a := s.audit()
	for p := range simPartitions {
		if a.committed[p] < int64(len(s.inputs[p])) {
			return false
		}
	}
	return true
}
