package kafka

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/schemas"
)

// suspectGroup is how many suspects run together until a process dies with such a
// group: the records that were in hand at a death may be many thousands, and each
// group costs a commit. A guess.
const suspectGroup = 64

// quietTime is how long a process lives before it runs a record alone at whose position
// others died apart: who kills from outside every moment meets the quiet, which counts
// for nothing, and who kills seldom hardly ever meets the few milliseconds after it.
const quietTime = time.Second

// guard lets a partition's suspects run apart: nothing else of this process is in
// hand while one of their groups is, and the group knows before it begins. So a death
// is the doing of a record of that group, or came from outside. The partition's mutex
// guards it; only the receiving goroutine moves it on.
//
//	waiting -> arming -> inHand --> waiting     the next group
//	  |                    |
//	  +---> leaving <------+                    none are left, or none have come
type guard struct {
	state guardState
	// level is how many deaths count against the next group.
	level int
	// alone and left are how many records still run alone, and apart at all.
	alone, left int
	took        int       // records of the group in hand
	notBefore   time.Time // the first group
}

type guardState uint8

const (
	guardWaiting guardState = iota // for records, or for its turn
	guardArming                    // the commit that tells of the group is under way
	guardInHand                    // until the group's position is committed
	guardLeaving                   // the commit that takes it back is under way
)

// newGuard is for a position at which so many died; those had at most inHand records
// in hand.
func newGuard(deaths, inHand int) *guard {
	v := &guard{level: deaths, left: inHand}
	if deaths >= groupDeaths {
		v.alone, v.notBefore = suspectGroup, time.Now().Add(quietTime)
	}
	return v
}

// size is how many records the next group has.
func (v *guard) size() int {
	if v.level >= groupDeaths {
		return 1
	}
	return min(suspectGroup, v.left)
}

// passed notes that the group in hand killed nobody.
func (v *guard) passed() {
	v.left -= v.took
	v.alone = max(v.alone-v.took, 0)
	v.level = companyDeaths
	if v.alone > 0 {
		v.level = groupDeaths
	}
}

// takeSuspects hands out the next group of suspects. turn is false when none has its
// turn, and others may be handed out. Only the receiving goroutine calls it.
func (g *generation) takeSuspects(items []*pipeline.Item, limit int, now int64) (_ []*pipeline.Item, turn bool) {
	g.suspicious.Store(false) // before looking: one that is opened meanwhile sets it again
	order := g.parts
	if g.apart != nil { // first
		order = slices.Concat([]*partition{g.apart}, g.parts)
	}
	idle := !g.inHand()
	for _, p := range order {
		var letter *pipeline.Item
		p.mu.Lock()
		if p.guard != nil {
			g.suspicious.Store(true)
			items, turn = p.takeApart(items, limit, now, idle)
			if len(items) > 0 && items[0].Err != nil && p.guard.level >= letterDeaths {
				letter = items[0]
			}
		}
		deaths := p.deaths
		p.mu.Unlock()
		if letter != nil {
			g.s.log.Error("record killed the process again and again: dead letter", "topic", p.topic, "partition", p.id, "offset", letter.Offset, "deaths", deaths)
		}
		if turn {
			g.apart = p
			return items, true
		}
		if p == g.apart {
			g.apart = nil
		}
	}
	return items, false
}

// takeApart moves the guard on as far as it goes now. idle says that this process has
// nothing in hand. mu is held.
func (p *partition) takeApart(items []*pipeline.Item, limit int, now int64, idle bool) (_ []*pipeline.Item, turn bool) {
	if p.lane == nil || p.phase == closed || p.laneErr.Load() != nil {
		return items, false // this epoch is over
	}
	v := p.guard
	if v.state == guardInHand {
		if p.lane.InFlight() > 0 {
			return items, true
		}
		if !p.orphan && !p.unsure && p.lane.Position() > p.committed {
			nudge(p.g.s.commitWake)
			return items, true
		}
		v.passed()
		v.state = guardWaiting
	}
	if v.state == guardWaiting && !p.arm(idle) {
		return items, p.ready.Load() && !time.Now().Before(v.notBefore)
	}
	if !p.orphan && !p.unsure && p.says != p.said {
		nudge(p.g.s.commitWake)
		return items, true
	}
	if v.state == guardLeaving {
		p.left()
		return items, false
	}
	return p.takeGroup(items, limit, now), true
}

// arm lets the group know which suspects come next, or that none do. False is: not
// now. mu is held.
func (p *partition) arm(idle bool) bool {
	v, a := p.guard, &p.attempt
	atEnd := p.end >= 0 && p.fetchPos >= p.end && p.queued == 0 && p.head.lease == nil
	switch {
	case v.left <= 0 || p.orphan || p.unsure || !p.ready.Load() && atEnd:
		v.state, v.left = guardLeaving, 0
		a.deaths, a.says = 0, a.running
	case !p.ready.Load() && p.says == p.armed():
		v.state = guardLeaving
		p.giveBack()
	case !p.ready.Load(), !idle, time.Now().Before(v.notBefore):
		return false
	default:
		v.state = guardArming
		if v.level < letterDeaths {
			a.says = p.armed()
		}
	}
	return true
}

// armed is what the group is told before suspects are handed out. mu is held.
func (p *partition) armed() string {
	return withAttempt(p.metadata, p.guard.level, p.g.s.run)
}

// left ends the turn: for good where no suspects are left. mu is held.
func (p *partition) left() {
	p.guard.state = guardWaiting
	if p.guard.left <= 0 {
		p.guard, p.begun = nil, true
		nudge(p.g.s.wake)
	}
}

// takeGroup hands out the group that is armed. mu is held.
func (p *partition) takeGroup(items []*pipeline.Item, limit int, now int64) []*pipeline.Item {
	v := p.guard
	items = p.takeHere(items, min(v.size(), limit), p.g.s.cfg.MaxInFlight, now)
	v.took = len(items)
	if v.took == 0 {
		// Only gaps, or the memory is short: then others have it, and have to go on.
		v.state = guardLeaving
		p.giveBack()
		nudge(p.g.s.commitWake)
		nudge(p.g.s.wake)
		return items
	}
	v.state = guardInHand
	if it := items[0]; v.level >= letterDeaths && it.Err == nil {
		it.Attempts = p.deaths
		it.Err = &schemas.Error{
			Class: schemas.RunFailed, Stage: schemas.StageInfer,
			Message: fmt.Sprintf("%d processes died in a row with this record in hand, the last %d of them with it alone", p.deaths, letterDeaths-groupDeaths),
		}
		p.says = p.metadata // what follows is not held against anybody yet
	}
	return items
}

// inHand says that records of this process are between Receive and their outcome.
func (g *generation) inHand() bool {
	for _, p := range g.parts {
		p.mu.Lock()
		lane := p.lane
		p.mu.Unlock()
		if lane != nil && lane.InFlight() > 0 {
			return true
		}
	}
	return g.s.ended.inHand()
}

// endedLanes are epochs that ended with records in hand, which a worker may still
// have. Safe for concurrent use.
type endedLanes struct {
	mu    sync.Mutex
	lanes []*pipeline.Partition // guarded by mu
}

func (e *endedLanes) add(lane *pipeline.Partition) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sweep()
	if lane.InFlight() > 0 {
		e.lanes = append(e.lanes, lane)
	}
}

func (e *endedLanes) inHand() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sweep()
	return len(e.lanes) > 0
}

func (e *endedLanes) sweep() {
	e.lanes = slices.DeleteFunc(e.lanes, func(lane *pipeline.Partition) bool { return lane.InFlight() == 0 })
}
