package kafka

import (
	"context"
	"time"
)

// event is news for the dispatcher, applied on its goroutine.
type event interface {
	apply(d *dispatcher, now time.Time)
}

// dispatcher decides what is sent when. All of its state, and the state part
// of every partition, belongs to one goroutine; requests run on their own and
// report back by events.
type dispatcher struct {
	p *Producer
	// active partitions have something to send, or in flight.
	active []*partition
	nodes  map[int32]*node
	ids    identity
	// tasks is how many goroutines owe an event.
	tasks int
	// next is when to look again, at the latest.
	next time.Time
}

// node is a broker as a target of produces.
type node struct {
	inFlight  int
	sentAt    time.Time // of the latest request
	notBefore time.Time // the broker throttles us
	// fire: a partition is due, so that all that have something go along.
	fire bool
	// request is being put together in this round.
	request *request
}

const (
	// requestsPerNode: several, so that a slow answer does not hold the other
	// partitions of the broker; few, so that batches grow while the broker is busy.
	requestsPerNode = 4
	// maxRequestBytes keeps a request well below socket.request.max.bytes (100 MB).
	maxRequestBytes = 16 << 20
	// idle is how long the dispatcher sleeps with nothing to do.
	idle = time.Hour
)

func newDispatcher(p *Producer) *dispatcher {
	return &dispatcher{p: p, nodes: map[int32]*node{}}
}

// run loops until ctx is done, then fails what is left and waits for the
// goroutines that owe an event.
func (d *dispatcher) run(ctx context.Context) {
	defer close(d.p.ended)
	timer := time.NewTimer(idle)
	defer timer.Stop()
	for ctx.Err() == nil {
		now := time.Now()
		d.next = now.Add(idle)
		d.admit()
		d.look(ctx, now)
		d.send(ctx)
		timer.Reset(d.next.Sub(now))
		select {
		case <-d.p.wake:
		case e := <-d.p.events:
			d.tasks--
			e.apply(d, time.Now())
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	for ; d.tasks > 0; d.tasks-- {
		(<-d.p.events).apply(d, time.Now())
	}
	d.abandon()
}

// start runs a request on its own goroutine; its event comes back.
func (d *dispatcher) start(f func() event) {
	d.tasks++
	// Ends with the request, whose context ends with the producer's.
	d.p.task(func() { d.p.events <- f() })
}

// wait makes the dispatcher look again at that time.
func (d *dispatcher) wait(at time.Time) {
	if at.Before(d.next) {
		d.next = at
	}
}

// admit takes over the partitions that have something new.
func (d *dispatcher) admit() {
	d.p.mu.Lock()
	defer d.p.mu.Unlock()
	d.active = append(d.active, d.p.arrivals...)
	clear(d.p.arrivals)
	d.p.arrivals = d.p.arrivals[:0]
}

// look finds out which partitions could send and which brokers are due, and
// drops the partitions that have nothing left.
func (d *dispatcher) look(ctx context.Context, now time.Time) {
	for _, n := range d.nodes {
		n.fire = false
	}
	kept := d.active[:0]
	for _, pt := range d.active {
		if d.consider(ctx, pt, now) {
			kept = append(kept, pt)
		}
	}
	clear(d.active[len(kept):])
	d.active = kept
}

// consider sets pt.ready; false means that the partition has nothing to do.
func (d *dispatcher) consider(ctx context.Context, pt *partition, now time.Time) bool {
	pt.ready = false
	if pt.inFlight {
		return true
	}
	opened, linger, none := pt.waiting()
	if none {
		return false
	}
	if pt.notBefore.After(now) {
		d.wait(pt.notBefore)
		return true
	}
	if pt.leader < 0 {
		d.ask(ctx, pt.topic, now)
		return true
	}
	if !d.identify(ctx, pt, now) {
		return true
	}
	n := d.node(pt.leader)
	if n.notBefore.After(now) {
		d.wait(n.notBefore)
		return true
	}
	if n.inFlight >= requestsPerNode && !pt.suspect {
		return true // the next answer looks again
	}
	pt.ready = true
	if due := n.due(opened, linger, d.p.cfg.Linger); due.After(now) {
		d.wait(due)
	} else {
		n.fire = true
	}
	return true
}

// patience, in lingers, is how long records wait at most for the answer to the
// request before theirs: a slow broker gets further requests all the same.
const patience = 5

// due is when a batch that was opened then, with that linger of its own, should leave for
// the broker; the zero time is a batch that waits for nothing.
func (n *node) due(opened time.Time, own, linger time.Duration) time.Time {
	switch {
	case opened.IsZero():
		return opened
	case n.inFlight > 0:
		// The broker is at work: what comes meanwhile costs no request of its own.
		// The answer makes the dispatcher look again.
		return opened.Add(max(own, patience*linger))
	case n.sentAt.Before(opened):
		// A pause between the requests to a broker is what the linger is for: after
		// a longer silence nobody is known to come, and the record leaves at once.
		return n.sentAt.Add(own)
	default:
		return opened.Add(own)
	}
}

// node finds or makes the broker of that id.
func (d *dispatcher) node(id int32) *node {
	n := d.nodes[id]
	if n == nil {
		n = &node{}
		d.nodes[id] = n
	}
	return n
}

// send puts what is ready at each due broker into one request, also batches
// that could linger: they cost no request of their own. Suspects go alone.
func (d *dispatcher) send(ctx context.Context) {
	for _, pt := range d.active {
		n := d.nodes[pt.leader]
		if !pt.ready || n == nil || !n.fire {
			continue
		}
		b := pt.take()
		if b == nil {
			continue
		}
		pt.inFlight = true
		if pt.suspect {
			r := &request{node: pt.leader}
			r.add(pt, b)
			d.launch(ctx, r)
			continue
		}
		if n.request == nil {
			n.request = &request{node: pt.leader}
		}
		if n.request.add(pt, b); n.request.bytes >= maxRequestBytes {
			d.launch(ctx, n.request)
			n.request = nil
		}
	}
	for _, n := range d.nodes {
		if n.request != nil {
			d.launch(ctx, n.request)
			n.request = nil
		}
	}
}

// launch sends a request on its own goroutine.
func (d *dispatcher) launch(ctx context.Context, r *request) {
	n := d.node(r.node)
	n.inFlight++
	n.sentAt = time.Now()
	d.p.meters.requests.Add(1)
	d.tasks++
	// Ends with the request, whose context ends with the producer's. The
	// dispatcher is told first, so that the partition's next batch does not wait
	// for the completions of this one.
	d.p.task(func() {
		d.p.events <- d.p.exchange(ctx, r)
		d.p.complete(r)
	})
}

// abandon fails everything that is left when the producer closes.
func (d *dispatcher) abandon() {
	d.p.topics.Range(func(_, v any) bool {
		t := v.(*topic)
		d.discard(t.lobby, ErrClosed, time.Now().Add(idle))
		if parts := t.parts.Load(); parts != nil {
			for _, pt := range *parts {
				d.discard(pt, ErrClosed, time.Now().Add(idle))
			}
		}
		return true
	})
}
