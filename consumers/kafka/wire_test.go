package kafka

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// wire is a process's network. It knows requests and answers apart by the headers
// of the protocol, so that what happens to them can be aimed.
type wire struct {
	w *world

	mu    sync.Mutex
	links map[*link]bool
	dead  bool
	// What is lost next: answers of any kind, answers and requests of a kind. A lost
	// request was not carried out, one whose answer is lost was; both connections end.
	lose                    int
	loseAnswer, loseRequest map[kmsg.Key]int
	holdNext                map[kmsg.Key]time.Duration // the next request of a kind arrives so much later
	offsetsUntil            time.Time                  // each TxnOffsetCommit takes offsetsBy longer
	offsetsBy               time.Duration
	deafUntil               time.Time // heartbeats do not arrive
	pausedUntil             time.Time // EndTxn does not arrive before
	skies                   map[string]*sky
}

// sky is the way to one broker, by its port.
type sky struct {
	cut, silent time.Time     // no connection; no answer, until then
	slowUntil   time.Time     // answers take
	slow        time.Duration // so much longer
	lateUntil   time.Time     // requests arrive
	late        time.Duration // so much later, also those of a process that is dead by then
}

var errCut = errors.New("cut by the test")

func newWire(w *world) *wire {
	return &wire{w: w, links: map[*link]bool{}, loseAnswer: map[kmsg.Key]int{}, loseRequest: map[kmsg.Key]int{}, holdNext: map[kmsg.Key]time.Duration{}, skies: map[string]*sky{}}
}

func (n *wire) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	refused := n.dead || time.Now().Before(n.above(port).cut)
	n.mu.Unlock()
	if refused {
		return nil, errCut
	}
	c, err := n.w.network.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	l := &link{Conn: c, n: n, port: port, asked: map[int32]kmsg.Key{}, reading: make(chan struct{}, 1), closed: make(chan struct{})}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.links[l] = true
	return l, nil
}

// above is the sky over a port. mu is held.
func (n *wire) above(port string) *sky {
	s := n.skies[port]
	if s == nil {
		s = &sky{}
		n.skies[port] = s
	}
	return s
}

// with changes the wire.
func (n *wire) with(change func(n *wire)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change(n)
}

// cut ends every connection and refuses new ones: the process is gone. What it has
// sent and is late still arrives.
func (n *wire) cut() {
	n.mu.Lock()
	n.dead = true
	n.mu.Unlock()
	n.hangUp("")
}

// hangUp closes the connections to a port, "" for all.
func (n *wire) hangUp(port string) {
	n.mu.Lock()
	var all []*link
	for l := range n.links {
		if port == "" || l.port == port {
			all = append(all, l)
		}
	}
	n.mu.Unlock()
	for _, l := range all {
		_ = l.Close()
	}
}

// answered says what becomes of an answer: lost, or held until a time.
func (n *wire) answered(port string, key kmsg.Key) (lost bool, until time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	s, now := n.above(port), time.Now()
	switch {
	case n.lose > 0:
		n.lose--
		return true, now
	case n.loseAnswer[key] > 0:
		n.loseAnswer[key]--
		return true, now
	}
	until = s.silent
	if now.Before(s.slowUntil) && until.Before(now.Add(s.slow)) {
		until = now.Add(s.slow)
	}
	return false, until
}

// sent says what becomes of requests.
func (n *wire) sent(port string, keys []kmsg.Key) (lost bool, due time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	s, now := n.above(port), time.Now()
	for _, key := range keys {
		if n.loseRequest[key] > 0 {
			n.loseRequest[key]--
			return true, now
		}
		if key == kmsg.Heartbeat && now.Before(n.deafUntil) {
			return true, now
		}
		if by, ok := n.holdNext[key]; ok {
			delete(n.holdNext, key)
			return false, now.Add(by)
		}
		if key == kmsg.TxnOffsetCommit && now.Before(n.offsetsUntil) {
			return false, now.Add(n.offsetsBy)
		}
		if key == kmsg.EndTxn && now.Before(n.pausedUntil) {
			return false, n.pausedUntil
		}
	}
	if now.Before(s.lateUntil) {
		return false, now.Add(s.late)
	}
	return false, now
}
