package kafka

import (
	"errors"
	"fmt"

	"github.com/sluice-ml/sluice/internal/kafkawire"
	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/schemas"
)

// corruptTries is how often a batch with a wrong CRC is fetched again before the
// partition stops: a fault on the way mends itself, one on the disk does not.
const corruptTries = 3

// leastTurn is how many records a partition gives in its turn, where it has so many. Who
// asks for a few at a time, as a pipeline does whose slots are full, would otherwise get
// them from as many partitions. With 100 events in each of 1,000 partitions sluice used
// 18.9 us of its own CPU an event with it and 23.4 without (two rounds).
const leastTurn = 32

// take decodes up to limit items, in turns over the partitions with fetched records: each
// gets an equal part of limit, leastTurn at least, even if that takes several calls.
// starved is true when records wait, but all their partitions have their share.
// Only the receiving goroutine calls it.
func (g *generation) take(items []*pipeline.Item, limit int, now int64) (_ []*pipeline.Item, starved bool) {
	if g.suspicious.Load() {
		if suspects, turn := g.takeSuspects(items, limit, now); turn {
			return suspects, len(suspects) == 0
		}
	}
	waiting := 0
	for _, p := range g.parts {
		if p.ready.Load() {
			waiting++
		}
	}
	if waiting == 0 {
		return items, false
	}
	share := g.itemShare()
	for len(items) < limit {
		turn := max((limit-len(items))/waiting, leastTurn)
		before := len(items)
		waiting = 0
		for range g.parts {
			p := g.parts[g.turn%len(g.parts)]
			if !p.ready.Load() {
				g.next()
				continue
			}
			waiting++
			n, had := min(turn-g.taken, limit-len(items)), len(items)
			items = p.take(items, n, share, now)
			got := len(items) - had
			if g.taken += got; got < n || g.taken >= turn {
				g.next()
			}
			if len(items) == limit {
				return items, false
			}
		}
		if len(items) == before {
			return items, waiting > 0
		}
		waiting = max(waiting, 1)
	}
	return items, false
}

// next gives the next partition its turn.
func (g *generation) next() { g.turn, g.taken = g.turn+1, 0 }

// take decodes up to n items of this partition, never more than it may hold.
func (p *partition) take(items []*pipeline.Item, n, share int, now int64) []*pipeline.Item {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.guard != nil || !p.mayTake() {
		return items
	}
	return p.takeHere(items, n, share, now)
}

// takeHere is take with mu held.
func (p *partition) takeHere(items []*pipeline.Item, n, share int, now int64) []*pipeline.Item {
	if p.lane == nil || p.phase == closed || p.laneErr.Load() != nil {
		return items
	}
	n = min(n, share-p.lane.Unwritten(), p.lane.Free())
	got := 0
	var rec kafkawire.WireRecord
	for got < n {
		if p.head.lease == nil && !p.advance() {
			break
		}
		it := p.g.spareItem()
		rec.Headers = it.Headers[:0]
		s := p.cur.next(&rec, p)
		if s.event == gotRecord || s.event == gotStub {
			p.fill(it, &rec, s.err, now)
			p.lane.Track(it, s.next) // I2: tracked before anyone else sees it
			p.g.spare = nil
			items = append(items, it)
			got++
			continue
		}
		if !p.pass(s) {
			break
		}
	}
	p.received.Add(uint64(got))
	p.wakeFetch()
	return items
}

// advance goes to the next chunk; false when there is none. mu is held.
func (p *partition) advance() bool {
	for p.pop() {
		if p.head.lease != nil {
			return true
		}
		p.lane.SkipTo(p.head.skipTo)
		p.cur.position = p.head.skipTo
	}
	p.ready.Store(false)
	return false
}

// pass deals with an event that gives no item; false ends the turn. mu is held.
func (p *partition) pass(s step) bool {
	switch s.event {
	case gotSkip:
		p.lane.SkipTo(s.next)
		return true
	case gotEnd:
		p.corrupt = 0
		return p.advance()
	case gotCorrupt:
		p.refetch(s.err)
		return false
	default: // blocked: the next turn tries again
		return false
	}
}

// spareItem is the next item to fill: one that was not needed the last time, or
// a new one. Only the receiving goroutine calls it.
func (g *generation) spareItem() *pipeline.Item {
	if g.spare == nil {
		g.spare = pipeline.NewItem()
	}
	return g.spare
}

// maxLetterHeaders bounds what a record's headers take when all of them are decoded
// for its dead letter: some 2.5 MB, where two bytes on the wire make a header.
const maxLetterHeaders = 1 << 16

// fill makes rec the item's record. Key, value and headers stay where they are:
// the item holds the lease. mu is held.
func (p *partition) fill(it *pipeline.Item, rec *kafkawire.WireRecord, err error, now int64) {
	it.Record = schemas.Record{
		Topic: p.topic, Partition: p.id, Offset: rec.Offset, Timestamp: rec.Timestamp,
		Key: rec.Key, Value: rec.Value, Headers: rec.Headers,
	}
	it.TopicID = p.topicID
	it.FetchedAt = now
	switch {
	case err != nil:
		it.Err = stubError(err)
	case rec.HeadersCut:
		headers, whole := rec.ParseHeaders(maxLetterHeaders)
		it.Headers = headers
		it.Err = &schemas.Error{
			Class: schemas.TooLarge, Stage: schemas.StageDecode,
			Message: fmt.Sprintf("more than %d headers or %d bytes of them", p.cur.limit.Count, p.cur.limit.Bytes),
		}
		if !whole {
			it.Err.Message += fmt.Sprintf("; this dead letter has the first %d", len(headers))
		}
	}
	l := p.cur.lease
	if l == nil {
		l = p.head.lease
	}
	l.hold()
	it.Buffer = l
}

// stubError is the dead letter of a batch that nobody can read.
func stubError(err error) *schemas.Error {
	e := &schemas.Error{Class: schemas.Undecodable, Stage: schemas.StageDecode, Message: "record batch: " + err.Error()}
	if errors.Is(err, kafkawire.ErrTooLarge) {
		e.Class = schemas.TooLarge
	}
	return e
}

// refetch drops what was fetched and asks again from the position reached; after
// a few tries the partition stops: a bad log loses nothing by waiting. mu is held.
func (p *partition) refetch(err error) {
	at := p.cur.position
	p.dropQueue()
	p.fetchPos = at
	p.corrupt++
	if p.corrupt > corruptTries {
		p.stop(reasonCorrupt, fmt.Errorf("batch at offset %d: %w", at, err))
	}
}

// unpack implements unpacker: memory for one decompressed batch. When memory is
// short, one batch is let through all the same if nothing decompressed is alive:
// otherwise undecoded batches could wait for each other. mu is held.
func (p *partition) unpack(b *kafkawire.RawBatch) (*lease, []byte, error) {
	s := p.g.s
	guess := min(int64(len(b.Payload))*max(p.ratio, firstRatio), s.cfg.MaxBatchBytes)
	dst := s.memory.alloc(int(guess))
	size := int64(cap(dst))
	if !s.memory.budget.TryReserve(size) {
		if s.memory.unpacked.Load() > 0 {
			s.memory.recycle(dst)
			return nil, nil, nil
		}
		s.memory.budget.Add(size)
	}
	payload, err := b.Decompress(dst[:0], s.cfg.MaxBatchBytes)
	if err != nil {
		s.memory.recycle(dst)
		s.memory.budget.Release(size)
		return nil, nil, err
	}
	data := dst
	if cap(payload) > 0 && &payload[:1][0] != &dst[:1][0] { // it grew
		s.memory.recycle(dst)
		data = payload[:cap(payload)]
		settle(s.memory.budget, size, int64(cap(data)))
	}
	p.ratio = int64(len(payload)/max(len(b.Payload), 1) + 1)
	return s.memory.lease(data, &p.held), payload, nil
}

// firstRatio is the first guess of how much a batch grows; later ones are what
// the batch before did.
const firstRatio = 4

// settle makes a reservation of had bytes one of used bytes.
func settle(b *pipeline.Budget, had, used int64) {
	if used > had {
		b.Add(used - had)
	} else {
		b.Release(had - used)
	}
}
