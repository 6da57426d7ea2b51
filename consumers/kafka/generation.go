package kafka

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-ml/sluice/internal/kafkawire"
	"github.com/sluice-ml/sluice/pipeline"
)

// generation is this member's part of one generation of the group: its
// partitions and the loops that serve them. Nothing of it outlives it, except
// items still in the pipeline, whose epochs are closed by then (I3).
type generation struct {
	s        *Source
	id       int32
	memberID string
	protocol string
	leader   bool
	// counts is how many partitions per topic the leader assigned; only the
	// watcher touches it after the start.
	counts map[string]int32
	parts  []*partition

	openWake, routeWake, watchWake chan struct{} // size 1: nudged
	rejoin                         chan struct{} // size 1: the watcher wants a rebalance
	lost                           chan error    // size 1: the committer was told that the member is out

	turn, taken int // only the receiving goroutine: whose turn it is, and what it has given
	// suspicious is true while a partition may have a guard; apart is the one whose
	// suspects have their turn.
	suspicious atomic.Bool
	apart      *partition     // only the receiving goroutine
	spare      *pipeline.Item // only the receiving goroutine

	live atomic.Bool // between enter and leave

	stopLoops, stopCommits context.CancelFunc
	ending                 context.Context // done: no further commit begins
	endCommits             context.CancelFunc
	loops, commits         sync.WaitGroup

	commit committing // only the committer, then whoever ends the generation

	mu       sync.Mutex         // a leaf: nothing is locked under it
	fetchers map[int32]*fetcher // guarded by mu
}

func newGeneration(s *Source, id int32, memberID string, parts []topicPartition) *generation {
	g := &generation{
		s: s, id: id, memberID: memberID,
		openWake: make(chan struct{}, 1), routeWake: make(chan struct{}, 1), watchWake: make(chan struct{}, 1),
		rejoin: make(chan struct{}, 1), lost: make(chan error, 1),
		fetchers: map[int32]*fetcher{},
	}
	for _, tp := range parts {
		g.parts = append(g.parts, newPartition(g, tp))
	}
	return g
}

// start runs the loops; fence and finish end them.
func (g *generation) start(ctx context.Context) {
	loops, stopLoops := context.WithCancel(ctx)
	// Not cut by the end of ctx: lastCommit and finish end the commits.
	commits, stopCommits := context.WithCancel(context.WithoutCancel(ctx))
	g.stopLoops, g.stopCommits = stopLoops, stopCommits
	g.ending, g.endCommits = context.WithCancel(commits)
	g.loops.Go(func() { g.openLoop(loops) })  // ends at fence
	g.loops.Go(func() { g.routeLoop(loops) }) // ends at fence
	g.loops.Go(func() { g.watchLoop(loops) }) // ends at fence
	commit := g.commitLoop
	if g.s.cfg.Transactions != nil {
		commit = g.transactLoop
	}
	g.commits.Go(func() { commit(commits) }) // ends at finish
}

// fetcherOf returns the loops of a broker, starting them the first time. Only
// routeLoop calls it, so fence cannot miss one.
func (g *generation) fetcherOf(ctx context.Context, node int32) *fetcher {
	g.mu.Lock()
	defer g.mu.Unlock()
	f := g.fetchers[node]
	if f == nil {
		f = &fetcher{g: g, node: node, wake: make(chan struct{}, 1)}
		g.fetchers[node] = f
		g.loops.Go(func() { f.run(ctx) }) // ends at fence
	}
	return f
}

// nudgeFetchers wakes all fetch loops: memory came back.
func (g *generation) nudgeFetchers() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, f := range g.fetchers {
		nudge(f.wake)
	}
}

// fence ends taking: nothing more is fetched or received, what no worker has
// begun is dropped. Commits go on.
func (g *generation) fence() {
	g.stopLoops()
	for _, p := range g.parts {
		p.mu.Lock()
		p.phase = closed
		p.dropQueue()
		lane := p.lane
		p.mu.Unlock()
		if lane != nil {
			lane.Drain()
		}
	}
	g.loops.Wait()
}

// drained waits until every running item has its outcome.
func (g *generation) drained(ctx context.Context) bool {
	for _, p := range g.parts {
		if p.lane == nil { // fenced: nobody writes it any more
			continue
		}
		select {
		case <-p.lane.Drained():
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// lastCommit commits what is settled. It comes after fence, and may come again.
func (g *generation) lastCommit(ctx context.Context) {
	g.awaitCommit(ctx)
	if errors.Is(ctx.Err(), context.Canceled) {
		return // Close came meanwhile, and does it again
	}
	g.stopCommits()
	g.commits.Wait()
	for _, p := range g.parts {
		p.mu.Lock()
		p.giveBack()
		p.mu.Unlock()
	}
	g.commitFinally(ctx)
}

// awaitCommit lets the commit under way end, if it does within commitGrace: one
// that was cut may still reach the coordinator, after the last commit, and take
// the group back to an older position.
func (g *generation) awaitCommit(ctx context.Context) {
	if g.s.cfg.Transactions != nil {
		return // a transaction that is cut is fenced before the next one
	}
	ctx, cancel := context.WithTimeout(ctx, commitGrace)
	defer cancel()
	g.endCommits()
	ended := make(chan struct{})
	go func() { // ends with the commit loop, which stopCommits ends at the latest
		g.commits.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	}
}

// finish closes the epochs. It comes after fence.
func (g *generation) finish() {
	g.stopCommits()
	g.commits.Wait()
	for _, p := range g.parts {
		p.mu.Lock()
		p.noteOrphan()
		lane := p.lane
		p.mu.Unlock()
		if lane != nil {
			lane.Close()
			g.s.ended.add(lane)
		}
		g.s.metrics.forget(p.topicPartition)
	}
	if t := g.s.cfg.Transactions; t != nil {
		t.Drop(pipeline.ErrRedo)
	}
}

// itemShare is how many items one partition may have in flight: twice its part
// of the slots. Stopped partitions hold none, so they do not count.
func (g *generation) itemShare() int {
	return max(min(2*g.s.cfg.MaxInFlight/g.active(), g.s.cfg.MaxInFlight), 1)
}

// byteShare is the same in bytes.
func (g *generation) byteShare() int64 {
	return max(2*g.s.cfg.MaxInFlightBytes/int64(g.active()), 1)
}

// backlogPart is how much of one partition's backlog is asked for at once: with
// several they share an answer. They are decoded in turns, so that each of them has
// a part in flight that is not done yet.
func (g *generation) backlogPart() int32 {
	return int32(max(2*hotBytes/g.active(), minBacklogPart))
}

func (g *generation) active() int {
	n := 0
	for _, p := range g.parts {
		if !p.stopped.Load() {
			n++
		}
	}
	return max(n, 1)
}

// assignedParts flattens an assignment.
func assignedParts(a assignment) []topicPartition {
	var out []topicPartition
	for _, t := range a.Topics {
		for _, id := range t.Partitions {
			out = append(out, topicPartition{t.Topic, id})
		}
	}
	return out
}

// committing is what the committer reuses.
type committing struct {
	parts   []*partition
	lanes   []*pipeline.Partition
	says    []string // their metadata, without the owner's name
	request kafkawire.OffsetCommitRequest
	next    time.Time // not before: the last commit failed
}
