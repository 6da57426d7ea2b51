package kafka

import (
	"time"

	"github.com/sluice-ml/sluice/internal/kafkawire"
)

// apply implements event: a request has its answer.
func (a *answer) apply(d *dispatcher, now time.Time) {
	n := d.node(a.r.node)
	n.inFlight--
	if a.throttle > 0 {
		n.notBefore = now.Add(a.throttle)
	}
	for i := range a.r.parts {
		f := &a.r.parts[i]
		f.pt.inFlight = false
		if f.rule.action == done {
			d.written(f)
		} else {
			d.refused(f, now)
		}
	}
}

// written moves the sequence on. The batch belongs to the request's goroutine.
func (d *dispatcher) written(f *inFlight) {
	f.pt.advance(f.count)
	if f.pt.healthy() {
		d.p.meters.unwritable.Set(d.p.meters.unwritable.Value() - 1)
		d.p.log.Info("output partition is writable again", "topic", f.pt.topic.name, "partition", f.pt.id)
	}
}

// refused does what the table says about a batch that is not in the log.
func (d *dispatcher) refused(f *inFlight, now time.Time) {
	pt, b := f.pt, f.b
	d.p.meters.retries.With(reason(f.err)).Add(1)
	d.warn(pt, f.err, now)
	b.doubt = b.doubt || f.rule.doubt
	pt.suspect = true
	switch f.rule.action {
	case split:
		d.split(pt, b)
	case retime:
		d.retime(f, now)
	case refuse:
		d.refuse(f)
	case renumber:
		pt.push(b)
		d.renumber(pt)
		pt.pause(now)
	default:
		pt.push(b)
		d.retry(pt, f.rule, f.err, now)
	}
}

// retry keeps the bytes for another attempt, or gives up after the grace.
func (d *dispatcher) retry(pt *partition, r rule, err error, now time.Time) {
	if r.action != again {
		pt.leader = -1
	}
	if r.action == persist && d.grace(pt, now) {
		d.giveUp(pt, err, now)
		return
	}
	pt.pause(now)
}

// grace says whether a partition has refused records for too long.
func (d *dispatcher) grace(pt *partition, now time.Time) bool {
	if pt.refusedSince.IsZero() {
		pt.refusedSince = now
	}
	return pt.isProbing() || now.Sub(pt.refusedSince) >= d.p.cfg.Grace
}

// giveUp fails every record of the partition at once, and those that come
// until the next probe.
func (d *dispatcher) giveUp(pt *partition, cause error, now time.Time) {
	err := unwritable(pt.topic.name, pt.id, cause)
	after := min(d.p.cfg.ProbeAfter<<min(pt.gaveUp, 8), maxProbeAfter)
	if pt.gaveUp++; pt.gaveUp == 1 {
		d.p.meters.unwritable.Set(d.p.meters.unwritable.Value() + 1)
		d.p.log.Error("output partition gave up", "topic", pt.topic.name, "partition", pt.id, "error", err)
	}
	d.discard(pt, err, now.Add(after))
}

// discard fails every record of the partition, and refuses new ones until the
// next probe.
func (d *dispatcher) discard(pt *partition, err error, probeAt time.Time) {
	all := pt.takeAll(err, probeAt)
	for _, b := range all {
		d.settleDoubt(pt, b)
	}
	d.p.fail(pt, all, err)
}

// renumber makes the partition start again with a new producer id: its refused
// batches are encoded again, in the same order.
func (d *dispatcher) renumber(pt *partition) {
	d.p.log.Warn("producer id replaced: the broker does not know this partition's sequence",
		"topic", pt.topic.name, "partition", pt.id, "producer_id", pt.producer.pid, "sequence", pt.sequence)
	for i, b := range pt.retry {
		if b.doubt {
			d.doubtful(pt, b)
		}
		if b.wire != nil {
			whole := d.rebuild(b, 1, func(_ int, rec *kafkawire.WireRecord) (int, int64) { return 0, rec.Timestamp })
			pt.retry[i] = whole[0]
		}
	}
	d.forgetID(pt)
}

// forgetID makes the partition ask for a new producer id.
func (d *dispatcher) forgetID(pt *partition) {
	if pt.producer.serial > 0 {
		pt.lost = pt.producer.serial
	}
	pt.producer, pt.sequence = producerID{}, 0
}

// settleDoubt is for a batch that will not be sent again as it is. Where it may
// be in the log all the same, its sequence must not be used by another: that one
// would be taken for a repeat, and be lost.
func (d *dispatcher) settleDoubt(pt *partition, b *batch) {
	if b.doubt {
		d.doubtful(pt, b)
		d.forgetID(pt)
	}
}

// doubtful counts records that may be in the log although they are written, or
// come, again.
func (d *dispatcher) doubtful(pt *partition, b *batch) {
	d.p.meters.maybeDuplicate.Add(uint64(len(b.waiting)))
	d.p.log.Warn("records may be duplicated", "topic", pt.topic.name, "partition", pt.id, "records", len(b.waiting))
}

// split halves a batch that is too large; a single record fails.
func (d *dispatcher) split(pt *partition, b *batch) {
	pt.leader = -1 // the limit is read again with the leader
	d.halve(pt, b, ErrTooLarge)
}

// halve puts two halves in the batch's place, or fails a single record.
func (d *dispatcher) halve(pt *partition, b *batch, alone error) {
	n := len(b.waiting)
	if n == 1 {
		d.settleDoubt(pt, b)
		d.p.fail(pt, []*batch{b}, alone)
		return
	}
	pt.push(d.replace(pt, b, 2, func(i int, rec *kafkawire.WireRecord) (int, int64) { return 2 * i / n, rec.Timestamp })...)
}

// retime sends the records that the broker names, or all, with the time of
// now. Where that is refused too, the clocks disagree: the partition persists.
func (d *dispatcher) retime(f *inFlight, now time.Time) {
	if f.b.retimed {
		f.pt.push(f.b)
		d.retry(f.pt, rule{action: persist}, f.err, now)
		return
	}
	isNamed, any := f.named()
	out := d.replace(f.pt, f.b, 1, func(i int, rec *kafkawire.WireRecord) (int, int64) {
		if !any || isNamed[int32(i)] {
			return 0, now.UnixMilli()
		}
		return 0, rec.Timestamp
	})
	out[0].retimed = true
	f.pt.push(out[0])
}

// refuse fails the records that the broker names and keeps the rest; where it
// names none the batch is halved to find them.
func (d *dispatcher) refuse(f *inFlight) {
	pt, b := f.pt, f.b
	isNamed, any := f.named()
	if !any {
		d.halve(pt, b, ErrRefused)
		return
	}
	out := d.replace(pt, b, 2, func(i int, rec *kafkawire.WireRecord) (int, int64) {
		if isNamed[int32(i)] {
			return 1, rec.Timestamp
		}
		return 0, rec.Timestamp
	})
	pt.push(out[0])
	d.p.fail(pt, out[1:], ErrRefused)
}

// named is the set of the batch's records that the answer names.
func (f *inFlight) named() (set map[int32]bool, any bool) {
	set = make(map[int32]bool, len(f.records))
	for _, r := range f.records {
		if r.Index >= 0 && int(r.Index) < f.count {
			set[r.Index] = true
		}
	}
	return set, len(set) > 0
}

// replace makes new batches of one that was refused, for the same place in the
// order. The broker did not use the sequence up, unless an earlier attempt is in
// doubt.
func (d *dispatcher) replace(pt *partition, b *batch, parts int, choose func(int, *kafkawire.WireRecord) (int, int64)) []*batch {
	d.settleDoubt(pt, b)
	return d.rebuild(b, parts, choose)
}

// rebuild replaces a batch by its parts and keeps the accounts.
func (d *dispatcher) rebuild(b *batch, parts int, choose func(int, *kafkawire.WireRecord) (int, int64)) []*batch {
	out := b.rebuild(parts, choose)
	for _, part := range out {
		if part != nil {
			d.p.ledger.enter(part.generation)
			d.p.buffered.Add(part.bytes)
		}
	}
	d.p.drop(b)
	return out
}

// reason is an error's label.
func reason(err error) string {
	if code, ok := codeOf(err); ok {
		return code.Name()
	}
	return "NO_ANSWER"
}

// warnEvery is how often a topic's repeated errors are logged.
const warnEvery = 30 * time.Second

// warn logs the first of repeated errors of a topic.
func (d *dispatcher) warn(pt *partition, err error, now time.Time) {
	t := pt.topic
	if reason(err) == t.warned && now.Sub(t.warnedAt) < warnEvery {
		return
	}
	t.warned, t.warnedAt = reason(err), now
	d.p.log.Warn("produce refused, retrying", "topic", t.name, "partition", pt.id, "error", err)
}
