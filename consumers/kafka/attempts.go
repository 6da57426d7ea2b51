package kafka

import (
	"crypto/rand"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
)

// How often processes died with a partition's next records in hand is kept where no
// process can take it along: in the metadata of the group's commits. README.md has
// the rule ("A record that kills the process").

const (
	// companyDeaths is how many processes in a row may die at one position until its
	// records run apart from all others: fewer, and kills from outside, one soon after
	// the other, would slow the group down.
	companyDeaths = 3
	// groupDeaths: one more death, and it was one of the few records of a group, which
	// run alone from now on.
	groupDeaths = companyDeaths + 1
	// letterDeaths: two more with a record alone, and it is a dead letter. Not one: a
	// kill from outside may well meet a record alone, and hardly meets it twice, as the
	// first thing of a new process.
	letterDeaths = groupDeaths + 2
	// maxDeaths bounds what is believed of metadata that anybody may have written.
	maxDeaths = 1000
)

// The fields of a commit's metadata: the deaths in a row at this position, absent for
// none; and the process that may have records of it in hand, absent when it gave the
// partition back.
const (
	diedPrefix = "sluice.died="
	runPrefix  = "sluice.run="
)

// newRunID names one process for its life. Eight digits: only processes that follow
// each other at one position have to differ.
func newRunID() string {
	var id [4]byte
	_, _ = rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}

// deathsIn counts the processes that died in a row with records from this position in
// hand, as a commit's metadata tells it to the process run.
func deathsIn(metadata, run string) int {
	field, _ := metadataField(metadata, diedPrefix)
	died, err := strconv.ParseUint(field, 10, 16)
	if err != nil {
		died = 0
	}
	if last, ok := metadataField(metadata, runPrefix); ok && last != run {
		died++ // it did not give the partition back
	}
	return int(min(died, maxDeaths))
}

// withAttempt adds the deaths so far, and run unless it is empty, to a commit's metadata.
func withAttempt(metadata string, deaths int, run string) string {
	if deaths > 0 {
		metadata += " " + diedPrefix + strconv.Itoa(deaths)
	}
	if run != "" {
		metadata += " " + runPrefix + run
	}
	return strings.TrimSpace(metadata)
}

// attempt is this process's try at a partition's next records. The partition's mutex
// guards it.
type attempt struct {
	// deaths in a row at the position from; none any more once a commit went past it.
	deaths int
	from   int64
	// says is the metadata that the group should have, said what it has; running is
	// says of a process that nothing is held against.
	says, said, running string
	// begun is true from when the group knows that this process has records in hand.
	begun bool
	// guard has the records run apart; nil where none is suspected.
	guard *guard
	// doubt is true from a transaction that failed until the positions are read again:
	// it may have been committed, and nothing may be said at an older position.
	doubt bool
}

// begin starts an attempt at the position at, where the commit at the position
// committed has this metadata. mu is held.
func (p *partition) begin(at, committed int64, found string) {
	run := p.g.s.run
	a := attempt{from: at, said: withoutOwner(found), running: withAttempt(p.metadata, 0, run)}
	if at == committed {
		a.deaths = deathsIn(found, run)
	}
	if a.deaths >= companyDeaths {
		a.guard = newGuard(a.deaths, 2*p.g.s.cfg.MaxInFlight)
		a.says = withAttempt(p.metadata, a.deaths, "")
		p.g.suspicious.Store(true)
		if wait := time.Until(a.guard.notBefore); wait > 0 {
			time.AfterFunc(wait, func() { nudge(p.g.s.wake) })
		}
	} else {
		a.says = withAttempt(p.metadata, a.deaths, run)
	}
	a.begun = a.says == a.said
	p.attempt = a
	if !a.begun {
		nudge(p.g.s.commitWake)
	}
}

// progress forgets deaths at a position that a commit is about to go past. mu is held.
func (p *partition) progress(position int64) {
	if p.deaths > 0 && p.guard == nil && position > p.from {
		p.deaths, p.says = 0, p.running
	}
}

// toSay says that the group does not know yet how this attempt stands, and may be
// told, though the position did not move. mu is held.
func (p *partition) toSay() bool {
	switch {
	case p.says == p.said:
		return false
	case p.lane != nil && !p.lane.Failing():
		return true // its position has never gone back
	default:
		return !p.doubt && (p.lane != nil || p.ended)
	}
}

// told notes what the group has been told. mu is held.
func (p *partition) told(metadata string) {
	p.said, p.doubt = metadata, false
	if p.says != p.said {
		return
	}
	if !p.begun || p.guard != nil {
		p.begun = true
		nudge(p.g.s.wake)
	}
}

// giveBack has the next commit say that this process has nothing of the partition in
// hand any more: whoever opens it there next counts no death. mu is held.
func (p *partition) giveBack() {
	if p.running == "" {
		return // it was never opened
	}
	deaths, at := p.deaths, p.position()
	if at > p.from || p.end >= 0 && at >= p.end {
		deaths = 0 // or there is nothing that it could be held against
	}
	p.says = withAttempt(p.metadata, deaths, "")
}

// position is how far the partition is settled. It never goes back behind what the group
// has: an epoch that was closed while a transaction committed its outcomes does not hear
// of them, and stands where it stood before. mu is held.
func (p *partition) position() int64 {
	if p.lane != nil {
		return max(p.lane.Position(), p.committed)
	}
	return max(p.settledTo, p.committed)
}

// mayTake says that records may be handed out: the group knows of it, or cannot be
// told, as the topic they are of is gone. mu is held.
func (p *partition) mayTake() bool { return p.begun || p.orphan || p.unsure }
