package kafka

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-ml/sluice/internal/kafkawire"
)

const (
	// requestsPerLeader: one brings backlog, one waits at the ends of quiet
	// partitions, one serves a partition that fell quiet while the second waits.
	requestsPerLeader = 3
	// shortWait bounds a long poll that runs beside another one, so that they
	// meet again and become one.
	shortWait = 100 * time.Millisecond
	// hotBytes and coldBytes bound one answer, hot for backlog; coldPartBytes one
	// quiet partition's part of it.
	hotBytes      = 4 << 20
	coldBytes     = 1 << 20
	coldPartBytes = 256 << 10
	minFetchBytes = 64 << 10
	// minBacklogPart is the least that is asked of a partition with backlog: what is
	// asked for ends within a batch, half of which comes twice.
	minBacklogPart = 1 << 20
	// fetchGrace is what an answer may take beyond the broker's wait.
	fetchGrace = 15 * time.Second
)

// fetcher fetches the partitions that one broker leads. Its loops share the
// work by marking partitions as being fetched, so one partition is never in two
// requests. Backlog (hot partitions) never waits behind a long poll.
type fetcher struct {
	g    *generation
	node int32
	wake chan struct{}
	// polls counts the long polls under way.
	polls atomic.Int32
	// quietUntil, Unix nanoseconds: the broker asked for a pause.
	quietUntil atomic.Int64
	// turn rotates the order of partitions: a broker fills an answer in order.
	turn atomic.Uint32
	// after is where the next request for backlog begins: behind the last one's last
	// partition, for what may be asked for is rarely enough for all.
	after atomic.Uint32
	// asked is how much backlog is under way.
	asked atomic.Int64
}

// wanted is one request's partition.
type wanted struct {
	p      *partition
	offset int64
}

// request is what one loop reuses.
type request struct {
	parts []wanted
	wire  kafkawire.FetchRequest
	hot   bool
	buf   []byte // of the answer, while nobody else has it
}

// run starts the loops and returns when ctx ends them.
func (f *fetcher) run(ctx context.Context) {
	var loops sync.WaitGroup
	for range requestsPerLeader {
		loops.Go(func() { f.loop(ctx) }) // ends with ctx
	}
	loops.Wait()
}

func (f *fetcher) loop(ctx context.Context) {
	s := f.g.s
	req := request{wire: kafkawire.FetchRequest{MinBytes: 1, ReadCommitted: !s.cfg.ReadUncommitted}}
	req.wire.Alloc = func(n int) []byte {
		req.buf = s.memory.answer(n)
		return req.buf
	}
	for ctx.Err() == nil {
		now := time.Now()
		if quiet := time.Unix(0, f.quietUntil.Load()); quiet.After(now) {
			pause(ctx, quiet.Sub(now))
			continue
		}
		next := f.pick(&req, now)
		if len(req.parts) == 0 {
			f.rest(ctx, next)
			continue
		}
		nudge(f.wake) // the others may find more
		f.fetch(ctx, &req)
	}
}

// rest waits for a nudge, or until next, when a paused partition is due.
func (f *fetcher) rest(ctx context.Context, next time.Time) {
	var due <-chan time.Time
	if !next.IsZero() {
		t := time.NewTimer(time.Until(next))
		defer t.Stop()
		due = t.C
	}
	select {
	case <-ctx.Done():
	case <-f.wake:
	case <-due:
	}
}

// pick claims the partitions of the next request: those with backlog, or else
// the quiet ones. next is when a waiting partition is due.
func (f *fetcher) pick(req *request, now time.Time) (next time.Time) {
	if next = f.claim(req, now, true); len(req.parts) == 0 {
		if n := f.claim(req, now, false); !n.IsZero() && (next.IsZero() || n.Before(next)) {
			next = n
		}
	}
	return next
}

func (f *fetcher) claim(req *request, now time.Time, hot bool) (next time.Time) {
	s := f.g.s
	req.hot, req.parts, req.wire.Partitions = hot, req.parts[:0], req.wire.Partitions[:0]
	limit, share, part := int64(coldBytes), f.g.byteShare(), f.g.backlogPart()
	if hot {
		limit = hotBytes
	}
	limit = min(limit, max(s.cfg.MaxInFlightBytes/4, minFetchBytes))
	total := int64(0)
	first := int(f.turn.Add(1))
	if hot {
		first = int(f.after.Load())
	}
	for i := range f.g.parts {
		p := f.g.parts[(first+i)%len(f.g.parts)]
		p.mu.Lock()
		if p.phase == fetching && p.fetcher == f && !p.inFetch && !p.orphan && p.hot == hot {
			switch n := p.room(share); {
			case !p.due(now):
				if next.IsZero() || p.notBefore.Before(next) {
					next = p.notBefore
				}
			case n == 0:
				p.paused.Store(true)
			case hot && s.ahead.full(f.asked.Load()):
			case total < limit || !hot: // a poll waits for all quiet ones, its answer is bounded anyway
				switch {
				case p.maxBytes > int32(s.cfg.FetchBytes): // not even one batch came
				case !hot, p.end < 0:
					n = min(n, coldPartBytes) // quiet, or nothing is known yet: many share a request
				default:
					n = min(n, part)
				}
				if hot {
					f.after.Store(uint32((first + i + 1) % len(f.g.parts)))
				}
				p.inFetch = true
				total += int64(n)
				req.parts = append(req.parts, wanted{p, p.fetchPos})
				req.wire.Partitions = append(req.wire.Partitions, kafkawire.FetchPartition{
					Topic: p.topic, TopicID: p.topicID, Partition: p.id,
					LeaderEpoch: p.leaderEpoch, Offset: p.fetchPos, MaxBytes: n,
				})
			}
		}
		p.mu.Unlock()
	}
	req.wire.MaxBytes = int32(min(total, limit))
	if hot {
		f.asked.Add(int64(req.wire.MaxBytes))
	}
	return next
}

// fetch sends one request: its bytes are reserved before and settled after (I4).
func (f *fetcher) fetch(ctx context.Context, req *request) {
	s := f.g.s
	if req.hot {
		defer f.asked.Add(-int64(req.wire.MaxBytes))
	}
	reserved := int64(req.wire.MaxBytes)
	if s.memory.budget.Reserve(ctx, reserved) != nil {
		f.unclaim(req)
		return
	}
	req.wire.MaxWait = s.cfg.FetchWait
	if !req.hot && f.polls.Add(1) > 1 {
		req.wire.MaxWait = min(req.wire.MaxWait, shortWait)
	}
	call, cancel := context.WithTimeout(ctx, req.wire.MaxWait+fetchGrace)
	resp, err := s.client.Fetch(call, f.node, &req.wire)
	cancel()
	if !req.hot {
		f.polls.Add(-1)
	}
	if err == nil && resp.Err != kafkawire.ErrNone {
		err = resp.Err
	}
	if err != nil {
		s.memory.budget.Release(reserved)
		s.memory.recycle(req.buf)
		req.buf = nil
		f.failed(ctx, req, err)
		return
	}
	req.buf = nil // the answer's lease has it
	settle(s.memory.budget, reserved, int64(cap(resp.Buf)))
	if resp.Throttle > 0 {
		f.quietUntil.Store(time.Now().Add(resp.Throttle).UnixNano())
	}
	f.deliver(req, resp)
}

// deliver hands each partition its part of the answer.
func (f *fetcher) deliver(req *request, resp *kafkawire.FetchResponse) {
	whole := f.g.s.memory.lease(resp.Buf, nil)
	got := false
	for i := range resp.Partitions {
		fp := &resp.Partitions[i]
		if w := req.find(fp.Topic, fp.Partition, i); w != nil {
			got = w.p.settle(w.offset, fp, whole) || got
			w.p = nil
		}
	}
	whole.Release()
	f.unclaim(req) // what the answer left out
	if got {
		nudge(f.g.s.wake)
	}
}

// find looks where the answer's order matches the request's first.
func (r *request) find(topic string, id int32, at int) *wanted {
	for i := range r.parts {
		w := &r.parts[(at+i)%len(r.parts)]
		if w.p != nil && w.p.id == id && w.p.topic == topic {
			return w
		}
	}
	return nil
}

func (f *fetcher) unclaim(req *request) {
	for _, w := range req.parts {
		if w.p != nil {
			w.p.mu.Lock()
			w.p.inFetch = false
			w.p.mu.Unlock()
		}
	}
}

// failed is a request without an answer: its partitions look for their leader
// again.
func (f *fetcher) failed(ctx context.Context, req *request, err error) {
	if ctx.Err() != nil {
		f.unclaim(req)
		return
	}
	f.g.s.once.warn("fetch failed, retrying", err, "broker", f.node)
	for _, w := range req.parts {
		w.p.mu.Lock()
		w.p.inFetch = false
		if w.p.fetchedFrom(w.offset) { // else it has begun anew, and has no epoch to be fetched into
			w.p.fetchFailed(err)
		}
		w.p.mu.Unlock()
		f.g.s.client.Forget(w.p.topic)
	}
	f.g.wakeOpeners()
}

// settle takes the answer for a partition; true when there is something to
// decode.
func (p *partition) settle(offset int64, fp *kafkawire.FetchedPartition, whole *lease) bool {
	forget := false
	defer func() {
		if forget {
			p.g.s.client.Forget(p.topic)
			p.g.wakeOpeners()
		}
	}()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inFetch = false
	if !p.fetchedFrom(offset) {
		return false // fenced, refetched or moved meanwhile
	}
	if fp.Err != kafkawire.ErrNone {
		p.fetchFailed(fp.Err)
		forget = true
		return false
	}
	p.fetched()
	p.end = fp.LastStable
	if p.g.s.cfg.ReadUncommitted || fp.LastStable < 0 {
		p.end = fp.HighWatermark
	}
	p.endAt = time.Now()
	size, next := walk(fp.Records, offset)
	if size == 0 {
		// Nothing, or not one whole batch although the first always comes whole.
		p.hot = len(fp.Records) > 0
		if p.hot {
			p.maxBytes = min(p.maxBytes*2, int32(min(p.g.s.cfg.MaxInFlightBytes, 1<<30)))
		}
		return false
	}
	p.maxBytes = int32(p.g.s.cfg.FetchBytes)
	p.push(chunk{lease: whole.part(size, &p.held), records: fp.Records[:size], verified: fp.Verified, aborted: fp.Aborted})
	p.fetchPos = next
	p.hot = next < p.end
	return true
}

// fetchedFrom tells whether a fetch that asked from offset is still of use. mu is held.
func (p *partition) fetchedFrom(offset int64) bool {
	return p.phase == fetching && p.fetchPos == offset && !p.orphan
}

// fetchFailed decides what a failed fetch means. mu is held.
func (p *partition) fetchFailed(err error) {
	now := time.Now()
	if p.failing.IsZero() {
		p.failing = now
	}
	p.notBefore = now.Add(p.again.NextBackOff())
	var net *kafkawire.NetError
	switch {
	case isCode(err, kafkawire.ErrOffsetOutOfRange):
		p.phase = ranging
		return
	case isCode(err, kafkawire.ErrUnknownTopicOrPartition, kafkawire.ErrUnknownTopicID, kafkawire.ErrInconsistentTopicID):
		p.phase, p.missing = routing, true
		nudge(p.g.watchWake) // it was deleted or recreated: ask now
		if now.Sub(p.failing) >= graceBeforeStop {
			p.stop(reasonMissing, err)
		}
	case isCode(err, kafkawire.ErrTopicAuthorization):
		p.stop(reasonUnauthorized, err)
	case isCode(err, kafkawire.ErrCorruptMessage):
		p.refetch(err)
	case errors.As(err, &net), retriable(err):
		p.phase = routing
		if now.Sub(p.failing) >= graceBeforeStop {
			p.stop(reasonUnavailable, err)
		}
	default:
		p.phase = routing
		p.stop(stopReason(err), err)
	}
}

func retriable(err error) bool {
	var code kafkawire.ErrorCode
	return errors.As(err, &code) && code.Retriable()
}

// wakeFetch tells the leader's loops that a partition left out for lack of room
// has some again. mu is held.
func (p *partition) wakeFetch() {
	if p.fetcher != nil && p.paused.Load() && p.room(p.g.byteShare()) > 0 {
		p.paused.Store(false)
		nudge(p.fetcher.wake)
	}
}
