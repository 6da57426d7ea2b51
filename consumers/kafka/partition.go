package kafka

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/sluice-ml/sluice/internal/kafkawire"
	"github.com/sluice-ml/sluice/internal/metrics"
	"github.com/sluice-ml/sluice/pipeline"
)

// phase is what a partition needs next.
//
//	opening -> routing -> fetching
//	   ^          ^  |________|        leader moved, network
//	   |          |___________|
//	   |__ ranging <----------|        offset out of range: policy decides
//	   |                      |
//	   |__ (stopped) <--------|        delivery failed, topic recreated: new epoch
//	                        closed     the generation ended
type phase uint8

const (
	opening  phase = iota // needs its committed offset and a new epoch
	ranging               // its position is not in the log: needs the log's bounds
	routing               // needs its leader
	fetching              // is fetched from its leader
	halted                // waits for an operator
	closed                // belongs to an ended generation
)

func (p phase) String() string {
	return [...]string{"opening", "ranging", "routing", "fetching", "halted", "closed"}[p]
}

// chunk is one partition's part of a fetch answer, not yet decoded.
type chunk struct {
	lease   *lease
	records []byte
	// verified is how many bytes of records need no CRC.
	verified int
	aborted  []kafkawire.AbortedTxn
	// skipTo, when there are no records, moves the position (out of range).
	skipTo int64
}

// partition is one assigned partition in one generation. It outlives the epochs
// (pipeline.Partition) it goes through.
type partition struct {
	topicPartition
	g *generation

	received, lost *metrics.Series
	held           atomic.Int64 // bytes of fetch answers and decompressed batches
	stopped        atomic.Bool  // has a trouble
	ready          atomic.Bool  // there may be something to decode
	paused         atomic.Bool  // left out of a fetch for lack of room
	// laneErr is set by the epoch when delivery failed; the opener acts on it, as
	// the call may come while mu is held.
	laneErr atomic.Pointer[error]

	mu    sync.Mutex // guards everything below; generation.mu may be taken under it (a leaf), never the other way
	phase phase
	// topicID is what the partition is fetched by.
	topicID [16]byte
	lane    *pipeline.Partition // nil until opened
	// openedAt is where the epoch began; committed is what the group has, -1 for
	// nothing.
	openedAt, committed int64
	// settledTo is where an epoch that delivery ended had come to and that is not
	// committed yet: every record below it has its outcome (I2). 0 for none.
	settledTo int64
	ended     bool   // delivery ended an epoch at settledTo, and none has begun since
	metadata  string // written with each commit, see start.go
	attempt          // the rest of what is written with it
	// orphan is true when the topic was recreated under the epoch: its positions
	// mean nothing any more and must not be committed.
	orphan  bool
	lostTo  int64 // records below it are counted as lost already
	missing bool  // the cluster does not know the topic now
	// unsure is true from a commit refused for an unknown topic until a fetch by
	// id or the metadata says that the topic is still the same: the position of a
	// deleted topic must not be committed to the next one of its name.
	unsure bool
	// unstableSince is when a transaction was first seen to hold the committed
	// offset, inheritedAt when the last try was made to end it.
	unstableSince, inheritedAt time.Time

	node, leaderEpoch int32
	fetchPos          int64 // next offset to ask for
	end               int64 // last stable offset or high watermark, -1 unknown
	endAt             time.Time
	inFetch           bool
	hot               bool  // more is known to be there
	maxBytes          int32 // of one fetch, grows when not even one batch came
	notBefore         time.Time
	failing           time.Time                   // since when every try failed, zero when not
	corrupt           int                         // fetches in a row with a bad batch at this position
	again             *backoff.ExponentialBackOff // moving leaders, cut connections
	retry             *backoff.ExponentialBackOff // stopped
	trouble, past     *trouble                    // now; and one that ended, to be logged
	fetcher           *fetcher                    // of node

	oldestSeen int64 // timestamp of the oldest record not settled, for lag

	queue  []chunk
	queued int64 // bytes in queue and in the cursor's rest
	head   chunk // what the cursor walks
	cur    cursor
	ratio  int64 // how much the last compressed batch grew
}

func newPartition(g *generation, tp topicPartition) *partition {
	s := g.s
	p := &partition{
		topicPartition: tp, g: g,
		received: s.metrics.receivedOf(tp), lost: s.metrics.lostOf(tp),
		committed: -1, end: -1, leaderEpoch: -1, node: -1,
		maxBytes: int32(s.cfg.FetchBytes),
		again:    newBackoff(100*time.Millisecond, 2*time.Second),
		retry:    newBackoff(250*time.Millisecond, maxRetryInterval),
	}
	p.cur.limit = s.cfg.Headers
	return p
}

// dropQueue gives back what was fetched and not decoded. mu is held.
func (p *partition) dropQueue() {
	p.cur.reset()
	if p.head.lease != nil {
		p.head.lease.Release()
	}
	p.head = chunk{}
	for i := range p.queue {
		if p.queue[i].lease != nil {
			p.queue[i].lease.Release()
		}
		p.queue[i] = chunk{}
	}
	p.queue = p.queue[:0]
	p.queued = 0
	p.ready.Store(false)
}

// push adds a chunk. mu is held.
func (p *partition) push(c chunk) {
	p.queue = append(p.queue, c)
	p.queued += int64(len(c.records))
	p.ready.Store(true)
}

// pop makes the oldest chunk the head; false when there is none. mu is held.
func (p *partition) pop() bool {
	if p.head.lease != nil {
		p.head.lease.Release()
	}
	p.queued -= int64(len(p.head.records))
	p.head = chunk{}
	if len(p.queue) == 0 {
		return false
	}
	p.head = p.queue[0]
	copy(p.queue, p.queue[1:])
	p.queue[len(p.queue)-1] = chunk{}
	p.queue = p.queue[:len(p.queue)-1]
	p.cur.load(p.head.records, p.head.verified, p.head.aborted)
	return true
}

// due says whether the next try may be made. mu is held.
func (p *partition) due(now time.Time) bool { return !now.Before(p.notBefore) }

// room is how many bytes the partition may ask for, 0 for none: one fetch ahead
// of decoding, and never more than its share of the memory. mu is held.
func (p *partition) room(share int64) int32 {
	if p.queued >= int64(p.maxBytes) {
		return 0
	}
	left := share - p.held.Load()
	if left <= 0 {
		return 0
	}
	return int32(min(left, int64(p.maxBytes)))
}
