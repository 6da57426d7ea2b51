package kafka

import (
	"time"

	"github.com/sluice-ml/sluice/internal/kafkawire"
)

// The reasons a partition stops for, label values of sluice_stopped_partitions.
// Every stop is retried with backoff, at most maxRetryInterval apart, except
// where an operator has to decide; the partition recovers by itself.
const (
	// reasonOutput: the sink gave up (or was told to, by a flood of dead letters).
	reasonOutput = "output"
	// reasonOutOfRange: retention deleted what was not read (input.out_of_range: stop).
	reasonOutOfRange = "out_of_range"
	// reasonRecreated: the topic was deleted with unread records, and made anew.
	reasonRecreated = "recreated"
	// reasonMissing: the cluster does not know the topic or partition.
	reasonMissing = "missing"
	// reasonCorrupt: a batch has a wrong CRC, again and again.
	reasonCorrupt = "corrupt"
	// reasonUnauthorized: reading is not allowed (any more).
	reasonUnauthorized = "unauthorized"
	// reasonUnavailable: no leader answers.
	reasonUnavailable = "unavailable"
	// reasonUnsupported: the broker answers in a way this client cannot read.
	reasonUnsupported = "unsupported"
)

// cures say what an operator does about a reason.
var cures = map[string]string{
	reasonOutput:       "see the error; the partition resumes by itself once the output works",
	reasonOutOfRange:   "set input.out_of_range to earliest or latest to go on without the lost records, or reset the group's offset",
	reasonRecreated:    "restart to go on with the new topic, or set input.out_of_range to earliest or latest to do so without a stop",
	reasonMissing:      "create the topic again, or take it out of input.topics",
	reasonCorrupt:      "check the broker's disks and its log of this partition; a healthy replica as leader mends it",
	reasonUnauthorized: "grant READ on the topic to this principal",
	reasonUnavailable:  "bring the partition's brokers back",
	reasonUnsupported:  "the message format must be version 2 (brokers and topics since Kafka 0.11)",
}

// graceBeforeStop is how long every fetch may fail before a partition counts as
// stopped: longer than an ordinary move of a leader.
const graceBeforeStop = 10 * time.Second

// trouble is why a partition stands still.
type trouble struct {
	reason  string
	err     error
	since   time.Time
	retryAt time.Time
	// epoch is true when a new epoch was needed: then the partition has to make
	// progress before it counts as recovered; otherwise one good fetch is enough.
	epoch bool
	// at is the position that has to be passed, -1 when any good fetch will do.
	at     int64
	logged bool
}

// stop notes a trouble and when to try again. What is in flight goes on: only
// fetching stands still. mu is held.
func (p *partition) stop(reason string, err error) {
	now := time.Now()
	if p.trouble == nil || p.trouble.reason != reason {
		since := now
		if !p.failing.IsZero() {
			since = p.failing
		}
		p.trouble = &trouble{reason: reason, since: since, at: -1}
	}
	p.trouble.err = err
	if reason == reasonCorrupt {
		p.trouble.at = p.fetchPos
		p.corrupt = corruptTries // one look at each retry
	}
	p.stopped.Store(true)
	backoff := p.retry
	if p.trouble.reason == reasonUnavailable {
		backoff = p.again // the broker may be back any moment
	}
	p.notBefore = now.Add(backoff.NextBackOff())
	p.trouble.retryAt = p.notBefore
	nudge(p.g.openWake) // it logs
}

// abandon stops and ends the epoch: its items are dropped and come again, after
// the next try, from the committed offset in a new epoch. mu is held.
func (p *partition) abandon(reason string, err error) {
	if p.lane != nil && !p.orphan && !p.unsure {
		p.settledTo, p.ended = p.lane.Position(), true
		if p.guard != nil {
			p.giveBack() // the sink failed, not the records
		}
		nudge(p.g.s.commitWake)
	}
	p.endEpoch()
	p.phase = opening
	p.stop(reason, err)
	p.trouble.epoch = true
}

// halt stops until a restart. mu is held.
func (p *partition) halt(reason string, err error) {
	p.abandon(reason, err)
	p.phase = halted
	p.notBefore, p.trouble.retryAt = time.Time{}, time.Time{}
}

// endEpoch gives back slots and memory (I3). mu is held.
func (p *partition) endEpoch() {
	if p.lane != nil {
		p.lane.Close()
		p.g.s.ended.add(p.lane)
		p.lane = nil
	}
	p.laneErr.Store(nil)
	p.dropQueue()
}

// fetched ends a trouble that a good fetch ends. mu is held.
func (p *partition) fetched() {
	p.failing = time.Time{}
	p.again.Reset()
	p.missing, p.unsure = false, false
	if t := p.trouble; t != nil && !t.epoch && t.at < 0 {
		p.recover()
	}
}

// progressed ends a trouble that had to be passed. mu is held.
func (p *partition) progressed() {
	t := p.trouble
	if t == nil || p.lane == nil || p.phase != fetching || p.laneErr.Load() != nil {
		return
	}
	position := p.lane.Position()
	idle := p.fetchPos == p.end && p.queued == 0 && p.lane.InFlight() == 0
	switch {
	case t.epoch && (position > p.openedAt || idle):
		p.recover()
	case !t.epoch && t.at >= 0 && position > t.at:
		p.recover()
	}
}

// recover ends the trouble; the opener logs it. mu is held.
func (p *partition) recover() {
	p.past, p.trouble = p.trouble, nil
	p.retry.Reset()
	p.stopped.Store(false)
	nudge(p.g.openWake)
}

// report logs what changed: once when a partition stops, once when it resumes.
func (p *partition) report() {
	p.mu.Lock()
	var stopped, resumed *trouble
	if t := p.trouble; t != nil && !t.logged {
		t.logged = true
		copied := *t
		stopped = &copied
	}
	resumed, p.past = p.past, nil
	p.mu.Unlock()
	log := p.g.s.log
	if resumed != nil && resumed.logged {
		log.Info("partition resumed", "topic", p.topic, "partition", p.id, "reason", resumed.reason, "stopped_for", time.Since(resumed.since))
	}
	if stopped != nil {
		log.Error("partition stopped", "topic", p.topic, "partition", p.id, "reason", stopped.reason, "error", stopped.err, "cure", cures[stopped.reason])
	}
}

// stopReason sorts a code a fetch keeps failing with.
func stopReason(err error) string {
	switch {
	case isCode(err, kafkawire.ErrUnknownTopicOrPartition, kafkawire.ErrUnknownTopicID, kafkawire.ErrInconsistentTopicID):
		return reasonMissing
	case isCode(err, kafkawire.ErrTopicAuthorization, kafkawire.ErrClusterAuthorization, kafkawire.ErrGroupAuthorization):
		return reasonUnauthorized
	case isCode(err, kafkawire.ErrCorruptMessage):
		return reasonCorrupt
	case isCode(err, kafkawire.ErrUnsupportedVersion, kafkawire.ErrUnsupportedCompression):
		return reasonUnsupported
	default:
		return reasonUnavailable
	}
}
