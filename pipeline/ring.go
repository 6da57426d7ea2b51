package pipeline

// entryState is where a record is between Track and Committed.
type entryState uint8

const (
	entryWaiting entryState = iota // tracked; no worker has begun it
	entryRunning                   // a worker has begun it
	entryHeld                      // finished, waiting for its turn or the gate
	entrySent                      // the sink has it
	entrySettled                   // its outcome is durable
	entryRefused                   // the sink gave it up: the partition stops
)

// entry is one tracked record.
type entry struct {
	offset, next, timestamp int64
	fetchedAt               int64
	item                    *Item // only while held
	state                   entryState
	gated                   bool // counted by the gate until it is committed
}

// ring holds the entries of places freed..tail in a circle whose size is a power of
// two. Invariant: freed <= commit <= tail, commit <= deliver <= tail when ordered.
type ring struct {
	entries []entry
	tail    uint64 // the next place to be tracked
	deliver uint64 // ordered: the next place to be sent
	commit  uint64 // the first place not settled
	freed   uint64 // the first place not committed
}

// firstRing is the size a ring begins with: most partitions never need more.
const firstRing = 1 << 10

func (r *ring) len() int { return int(r.tail - r.freed) }

func (r *ring) at(seq uint64) *entry { return &r.entries[seq&uint64(len(r.entries)-1)] }

// push appends an entry; the circle doubles while it is smaller than limit.
func (r *ring) push(e entry, limit int) {
	if r.len() == len(r.entries) {
		r.grow(limit)
	}
	*r.at(r.tail) = e
	r.tail++
}

func (r *ring) grow(limit int) {
	size := max(2*len(r.entries), 1)
	for size < limit && size < firstRing {
		size *= 2
	}
	old := *r
	r.entries = make([]entry, size)
	for seq := r.freed; seq < r.tail; seq++ {
		*r.at(seq) = *old.at(seq)
	}
}
