package kafka

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Sizes of a simulated world.
const (
	simPartitions = 4
	simBrokers    = 3
	minFaults     = 5
	maxFaults     = 50
)

// faultPlan is what one seed stands for: a world, and what happens in it, in order. It is
// drawn before anything runs, so it is the same each time; virtual time is no
// deterministic scheduler, so a run of it may differ in who is first.
type faultPlan struct {
	seed     uint64
	protocol string        // V1 or V2, see protocols
	timeout  time.Duration // of transactions
	commit   time.Duration // interval
	steps    []faultStep
}

// faultStep is records that arrive, a fault right behind them, and time that passes.
type faultStep struct {
	feed [simPartitions]int
	// bad is the share, in percent, of the records that cannot be predicted.
	bad  int
	harm string
	who  int           // which of the two processes
	port int           // which broker
	pick int           // which answer or kind of request, where there are several
	n    int           // how often
	span time.Duration // how long it lasts
	late time.Duration // by how much answers or requests are late
	wait time.Duration // before the next step
}

// String tells what a step does.
func (s faultStep) String() string {
	return fmt.Sprintf("feed %v (%d%% bad), %s (process %s, broker %d, choice %d, %d times, for %v, by %v), wait %v",
		s.feed, s.bad, s.harm, names[s.who], s.port, s.pick, s.n, s.span, s.late, s.wait)
}

// String is the whole plan.
func (p faultPlan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %s, transaction timeout %v, commit every %v, %d faults\n", p.seed, p.protocol, p.timeout, p.commit, len(p.steps))
	for i, s := range p.steps {
		fmt.Fprintf(&b, "%3d. %v\n", i+1, s)
	}
	return b.String()
}

// names are the two processes that are always there; guest comes and goes.
var names = []string{"a", "b"}

const guest = "c"

// lossy are the requests whose loss matters most, or that of their answer.
var lossy = []kmsg.Key{
	kmsg.Produce, kmsg.TxnOffsetCommit, kmsg.EndTxn, kmsg.InitProducerID, kmsg.AddPartitionsToTxn, kmsg.AddOffsetsToTxn,
	kmsg.JoinGroup, kmsg.SyncGroup, kmsg.OffsetFetch, kmsg.Heartbeat,
}

func newPlan(seed uint64) faultPlan {
	r := rand.New(rand.NewPCG(seed, 5))
	p := faultPlan{
		seed: seed, protocol: []string{"V1", "V2"}[seed%2],
		timeout: []time.Duration{3 * time.Second, 6 * time.Second, 10 * time.Second}[r.IntN(3)],
		commit:  []time.Duration{20 * time.Millisecond, 100 * time.Millisecond, 300 * time.Millisecond}[r.IntN(3)],
	}
	for range minFaults + r.IntN(maxFaults-minFaults+1) {
		p.steps = append(p.steps, newStep(r))
	}
	// The last transaction has no later one to make good what went wrong.
	last := &p.steps[len(p.steps)-1]
	last.harm = finals[r.IntN(len(finals))]
	last.feed[r.IntN(simPartitions)] += 5
	return p
}

func newStep(r *rand.Rand) faultStep {
	s := faultStep{
		harm: harms[r.IntN(len(harms))].name, who: r.IntN(len(names)), port: r.IntN(simBrokers), pick: r.IntN(1 << 16), n: 1 + r.IntN(3),
		span: time.Duration(200+r.IntN(3800)) * time.Millisecond, late: time.Duration(20+r.IntN(1480)) * time.Millisecond,
	}
	for p := range s.feed {
		if r.IntN(2) == 0 {
			s.feed[p] = 1 + r.IntN(16)
		}
	}
	if r.IntN(5) == 0 {
		s.span += 6 * time.Second // past the session
	}
	if r.IntN(3) == 0 {
		s.bad = 5 + r.IntN(30)
	}
	switch n := r.IntN(20); {
	case n < 13: // in the midst of the work for it
		s.wait = time.Duration(r.IntN(300)) * time.Millisecond
	case n < 19:
		s.wait = time.Duration(300+r.IntN(1700)) * time.Millisecond
	default: // all comes to rest
		s.wait = time.Duration(2+r.IntN(8)) * time.Second
	}
	return s
}
