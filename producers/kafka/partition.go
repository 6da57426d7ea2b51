package kafka

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// producerID is what the broker gave us; serial counts how often.
type producerID struct {
	pid    int64
	epoch  int16
	serial int // 0 is none yet
}

// breaker is whether a partition takes records.
type breaker uint8

const (
	// closed: it does.
	closed breaker = iota
	// open: it gave up; records fail at once until the next probe.
	open
	// probing: it gave up and is tried again; one more refusal opens it.
	probing
)

// partition is one output partition: what callers append to, under its mutex,
// and how far the dispatcher is with it. The lobby of a topic, where records
// wait until the number of partitions is known, is a partition too (id -1).
type partition struct {
	topic *topic
	id    int32

	mu      sync.Mutex
	filling *batch
	sealed  []*batch // full, oldest first
	listed  bool     // in the dispatcher's list, or on the way there
	breaker breaker
	probeAt time.Time
	why     error // while the breaker is open
	// downUntil, Unix nanoseconds, is probeAt for those who hold no mutex; 0
	// while records are taken.
	downUntil atomic.Int64

	state // only the dispatcher
}

// state is the dispatcher's view of a partition.
type state struct {
	leader   int32 // -1: not known
	inFlight bool
	// retry goes before everything else: what was refused, in order.
	retry []*batch
	// producer is the id in use, the zero value when one is needed; lost is the
	// serial of the one that the broker forgot.
	producer  producerID
	lost      int
	sequence  int32
	notBefore time.Time
	backoff   *backoff.ExponentialBackOff
	// refusedSince is when the failure that may end in giving up began.
	refusedSince time.Time
	gaveUp       int // in a row, for the growing probe interval
	// suspect: its last request failed, so it travels alone and cannot delay
	// healthy partitions.
	suspect bool
	// ready: chosen in this round.
	ready bool
}

// signal tells what the dispatcher must know after an append; moved tells the
// caller that records without a key go elsewhere by now.
type signal struct{ list, wake, moved bool }

// append adds a record to the open batch; refusal is set instead when the
// partition has given up, or the producer is closed. A record that may go
// anywhere is not added when its turn has moved on meanwhile: it would begin a
// batch of its own here, or be refused though others are up. mu is held.
func (pt *partition) append(p *Producer, rec *Record, ts int64, c Completion, generation int64) (sig signal, refusal error) {
	if p.shut.Load() {
		return sig, ErrClosed
	}
	free := rec.anywhere() && pt.id >= 0
	if free && pt.topic.sticky.Load() != pt.id {
		sig.moved = true
		return sig, nil
	}
	if pt.breaker == open && !pt.probe() {
		return sig, pt.why
	}
	limit := int(pt.topic.batchBytes.Load())
	if b := pt.filling; b != nil && b.writer.Bytes()+recordSize(rec) > limit {
		pt.seal()
		sig.wake = true
		if free && pt.topic.sticky.Load() != pt.id {
			sig.moved = true
			return sig, nil
		}
	}
	if pt.filling == nil {
		pt.filling = newBatch(p.ledger.enter(generation), time.Now(), p.cfg.lingerFor(rec.Waited))
		sig.wake = true
	}
	b := pt.filling
	p.buffered.Add(int64(b.add(ts, rec.Key, rec.Value, rec.Headers, c)))
	if pt.id < 0 {
		b.want = append(b.want, rec.Partition)
	}
	if b.writer.Bytes() >= limit {
		pt.seal()
		sig.wake = true
	}
	if !pt.listed {
		pt.listed, sig.list = true, true
	}
	return sig, nil
}

// probe lets records in again when it is time. mu is held.
func (pt *partition) probe() bool {
	if time.Now().Before(pt.probeAt) {
		return false
	}
	pt.breaker = probing
	return true
}

// seal closes the open batch; mu is held. Records without a key go on to the
// next partition, so that each batch is as large as it can be (KIP-480).
func (pt *partition) seal() {
	if pt.filling == nil {
		return
	}
	pt.sealed = append(pt.sealed, pt.filling)
	pt.filling = nil
	pt.topic.turn(pt.id)
}

// sealOlder closes the open batch for a flush, if it is older than the flush.
func (pt *partition) sealOlder(generation int64) {
	pt.mu.Lock()
	defer pt.mu.Unlock()
	if pt.filling != nil && pt.filling.generation < generation {
		pt.seal()
	}
}

// waiting is since when the partition's next batch waits for company, the zero
// time when it waits for nothing; none means that there is no batch, and the
// partition is off the dispatcher's list.
func (pt *partition) waiting() (opened time.Time, linger time.Duration, none bool) {
	if len(pt.retry) > 0 {
		return opened, 0, false
	}
	pt.mu.Lock()
	defer pt.mu.Unlock()
	switch {
	case len(pt.sealed) > 0:
		return opened, 0, false
	case pt.filling != nil:
		return pt.filling.opened, pt.filling.linger, false
	}
	pt.listed = false
	return opened, 0, true
}

// take hands out the next batch: a refused one first, then the oldest sealed
// one, then what has been filled so far.
func (pt *partition) take() *batch {
	if len(pt.retry) > 0 {
		b := pt.retry[0]
		pt.retry = pt.retry[1:]
		return b
	}
	pt.mu.Lock()
	defer pt.mu.Unlock()
	if len(pt.sealed) == 0 {
		pt.seal()
	}
	if len(pt.sealed) == 0 {
		return nil
	}
	b := pt.sealed[0]
	pt.sealed[0] = nil
	if pt.sealed = pt.sealed[1:]; len(pt.sealed) == 0 {
		pt.sealed = nil
	}
	return b
}

// push puts refused batches back at the head.
func (pt *partition) push(all ...*batch) {
	kept := make([]*batch, 0, len(all)+len(pt.retry))
	for _, b := range all {
		if b != nil {
			kept = append(kept, b)
		}
	}
	pt.retry = append(kept, pt.retry...)
}

// takeAll hands out everything, and opens the breaker in the same moment: a
// record comes either before, and is in the answer, or after, and is refused.
func (pt *partition) takeAll(why error, probeAt time.Time) []*batch {
	all := pt.retry
	pt.retry = nil
	pt.mu.Lock()
	defer pt.mu.Unlock()
	pt.seal()
	all = append(all, pt.sealed...)
	pt.sealed = nil
	pt.breaker, pt.why, pt.probeAt = open, why, probeAt
	pt.downUntil.Store(probeAt.UnixNano())
	pt.topic.turn(pt.id)
	return all
}

// healthy closes the breaker after a success; true when it was not closed.
func (pt *partition) healthy() bool {
	pt.suspect, pt.refusedSince, pt.gaveUp = false, time.Time{}, 0
	if pt.backoff != nil {
		pt.backoff.Reset()
	}
	pt.mu.Lock()
	defer pt.mu.Unlock()
	was := pt.breaker
	pt.breaker, pt.why = closed, nil
	pt.downUntil.Store(0)
	return was != closed
}

// isProbing says whether the partition is on trial.
func (pt *partition) isProbing() bool {
	pt.mu.Lock()
	defer pt.mu.Unlock()
	return pt.breaker == probing
}

// pause makes the partition wait a little longer after each failure in a row.
func (pt *partition) pause(now time.Time) {
	if pt.backoff == nil {
		// 20 ms: a leader move takes about that long; 1 s: at most that late after
		// an outage. MaxElapsedTime 0: outages are retried without end.
		pt.backoff = backoff.NewExponentialBackOff(
			backoff.WithInitialInterval(20*time.Millisecond),
			backoff.WithMaxInterval(time.Second),
			backoff.WithMaxElapsedTime(0))
	}
	pt.notBefore = now.Add(pt.backoff.NextBackOff())
}

// advance moves the sequence over n records; it wraps at 2^31 as the broker's.
func (s *state) advance(n int) {
	s.sequence = int32((int64(s.sequence) + int64(n)) & 0x7fffffff)
}
