package kafka

import (
	"sync/atomic"
	"time"

	"github.com/sluice-ml/sluice/internal/kafkawire"
)

// topic is one output topic. The number of partitions is fixed by the first
// answer, so that a key keeps its partition for the life of the process.
type topic struct {
	name string
	// lobby holds records until the partitions are known.
	lobby *partition
	// parts is nil until then; set once, under the lobby's mutex.
	parts atomic.Pointer[[]*partition]
	// sticky is where records without a key go for now.
	sticky atomic.Int32
	// batchBytes is the size at which a batch is closed.
	batchBytes atomic.Int64

	// Only the dispatcher:
	asking   bool
	askAt    time.Time // not before
	misses   int       // answers in a row that did not help
	count    int       // partitions in the latest answer
	warned   string    // the error logged last, and when: repeated ones are not
	warnedAt time.Time
}

// newTopic is a topic of which only the name is known.
func newTopic(name string, batchBytes int) *topic {
	t := &topic{name: name}
	t.batchBytes.Store(int64(batchBytes))
	t.lobby = &partition{topic: t, id: ByKey, state: state{leader: -1}}
	return t
}

// pick chooses the partition of a record; nil when the topic has no such.
func (t *topic) pick(parts []*partition, rec *Record) *partition {
	n := len(parts)
	switch {
	case rec.Partition <= sameBase:
		return parts[int(sameBase-rec.Partition)%n]
	case rec.Partition >= 0:
		if int(rec.Partition) >= n {
			return nil
		}
		return parts[rec.Partition]
	case rec.Key != nil:
		return parts[kafkawire.PartitionForKey(rec.Key, n)]
	default:
		return parts[t.sticky.Load()]
	}
}

// turn moves records without a key on when the batch of their partition is
// closed; partitions that gave up are passed over until their next probe.
func (t *topic) turn(from int32) {
	parts := t.parts.Load()
	if parts == nil || len(*parts) < 2 {
		return
	}
	n := int32(len(*parts))
	at := t.sticky.Load()
	if at != from {
		return
	}
	next := (from + 1) % n
	for now := time.Now().UnixNano(); next != from && (*parts)[next].downUntil.Load() > now; {
		next = (next + 1) % n
	}
	t.sticky.CompareAndSwap(at, next)
}

// enter puts a record into the lobby; parts is set instead when the partitions
// have become known meanwhile.
func (t *topic) enter(p *Producer, rec *Record, ts int64, c Completion) (sig signal, parts *[]*partition, refusal error) {
	t.lobby.mu.Lock()
	defer t.lobby.mu.Unlock()
	if parts = t.parts.Load(); parts != nil {
		return sig, parts, nil
	}
	sig, refusal = t.lobby.append(p, rec, ts, c, newGeneration)
	return sig, nil, refusal
}

// publish makes the partitions known and moves the waiting records to them, in
// order. A caller that comes meanwhile waits for the lobby's mutex and then
// sees the partitions. Lock order: lobby, then partition.
func (t *topic) publish(p *Producer, count int) {
	parts := make([]*partition, count)
	for i := range parts {
		parts[i] = &partition{topic: t, id: int32(i), state: state{leader: -1}}
	}
	t.lobby.mu.Lock()
	defer t.lobby.mu.Unlock()
	t.lobby.seal()
	for _, b := range t.lobby.sealed {
		p.disperse(t, parts, b)
	}
	t.lobby.sealed = nil
	for _, pt := range parts {
		pt.sealOlder(p.ledger.latest()) // a flush may be waiting for them
	}
	t.parts.Store(&parts)
}
