package kafkawire

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go"
)

// Settings of kafka-go's connection pools.
const (
	// A pool asks its broker for metadata at a random time within this; the
	// answers are not used here, they only cost a request. It also bounds how
	// long a new pool waits for a broker that accepts and stays silent.
	poolMetadataTTL = 30 * time.Second
	// Above two long polls, below the 4 minutes after which load balancers
	// forget a connection without a word.
	poolIdleTimeout = time.Minute
)

// peer is one broker address with its own kafka-go Transport. One Transport per
// address, rather than one for the cluster, keeps the library's metadata cache
// off the path: which broker leads a partition, and where that broker is, is
// known from our own metadata alone; a broker that moved is simply another
// address, and after a failure all pooled connections of one address can be
// thrown away without touching the others.
type peer struct {
	addr     string
	node     int32 // -1 for a bootstrap address
	netAddr  net.Addr
	pool     *pool
	versions atomic.Pointer[BrokerVersions]
	asking   chan struct{} // capacity 1: held by the caller that asks for versions
}

// pool is an address's Transport with the count of its round trips. A round trip
// on a Transport whose connections were closed opens new ones, and a goroutine
// with them, that nobody would end: so the last one closes them again.
type pool struct {
	kafka.Transport
	users     int          // round trips under way; guarded by Client.mu
	discarded bool         // guarded by Client.mu
	until     atomic.Int64 // Unix nanoseconds when a session nears its end, 0: never
}

// enter and leave stand around a round trip.
func (c *Client) enter(p *peer) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	p.pool.users++
	return nil
}

func (c *Client) leave(p *peer) {
	c.mu.Lock()
	p.pool.users--
	last := p.pool.discarded && p.pool.users == 0
	c.mu.Unlock()
	if last {
		p.pool.CloseIdleConnections()
	}
}

// peerAt returns the peer of an address.
func (c *Client) peerAt(addr string, node int32) (*peer, error) {
	c.mu.Lock()
	over := c.peers[addr]
	c.mu.Unlock()
	if over != nil && over.pool.over() {
		c.discard(over)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, &NetError{API: "request", Node: node, Addr: addr, Err: ErrClosed}
	}
	if p := c.peers[addr]; p != nil && p.node == node {
		return p, nil
	}
	p := &peer{
		addr: addr, node: node, netAddr: kafka.TCP(addr), asking: make(chan struct{}, 1),
		pool: &pool{Transport: kafka.Transport{
			DialTimeout: dialTimeout, IdleTimeout: poolIdleTimeout,
			MetadataTTL: poolMetadataTTL, MetadataTopics: []string{}, // empty is none, nil would be all
			ClientID: c.cfg.ClientID,
		}},
	}
	pool := p.pool
	pool.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		return c.dial(ctx, network, addr, pool)
	}
	if old := c.peers[addr]; old != nil {
		p.pool = old.pool // a bootstrap address that turned out to be a broker
	}
	c.peers[addr] = p
	return p, nil
}

// drop forgets a peer after a failure: the connections in its pool are likely
// as dead as the one that failed, and the broker may come back with other
// versions.
func (c *Client) drop(p *peer) {
	c.discard(p)
	c.view.suspect()
}

// discard closes a peer's pooled connections and forgets what is known of it.
func (c *Client) discard(p *peer) {
	c.mu.Lock()
	current := c.peers[p.addr]
	mine := current != nil && current.pool == p.pool
	if mine {
		delete(c.peers, p.addr)
		p.pool.discarded = true
	}
	c.mu.Unlock()
	if mine {
		p.pool.CloseIdleConnections()
	}
}

// retire drops the peers of addresses that the cluster no longer names.
func (c *Client) retire(keep map[string]bool) {
	for _, addr := range c.cfg.Brokers {
		keep[addr] = true
	}
	var gone []*peer
	c.mu.Lock()
	for addr, p := range c.peers {
		if !keep[addr] {
			gone = append(gone, p)
			p.pool.discarded = true
			delete(c.peers, addr)
		}
	}
	c.mu.Unlock()
	for _, p := range gone {
		p.pool.CloseIdleConnections()
	}
}

// netError is the error of a call that got no answer. A context that the caller
// ended is the caller's business, not the network's.
func (c *Client) netError(ctx context.Context, p *peer, api apiKey, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return fmt.Errorf("%s to %s: %w", apis[api].name, p.addr, context.Cause(ctx))
	}
	var code kafka.Error
	if errors.As(err, &code) { // SASL and version negotiation of the library
		err = &handshakeError{code: ErrorCode(code), err: err}
	}
	return &NetError{API: apis[api].name, Node: p.node, Addr: p.addr, Err: err}
}

// handshakeError is a refusal while a connection was set up: the library's
// error text, with our code for errors.Is.
type handshakeError struct {
	code ErrorCode
	err  error
}

func (e *handshakeError) Error() string { return e.err.Error() }

func (e *handshakeError) Unwrap() error { return e.code }

// note makes the next request ask for the broker's versions again when it did
// not know the version of this one.
func (p *peer) note(code ErrorCode) {
	if code == ErrUnsupportedVersion {
		p.versions.Store(nil)
	}
}

// refused notes the code of a whole request and returns it.
func (p *peer) refused(code ErrorCode) ErrorCode {
	p.note(code)
	return code
}

// anyPeer is a broker that answered a metadata request, for calls that every
// broker answers.
func (c *Client) anyPeer(ctx context.Context) (*peer, error) {
	if list := c.view.addresses(); len(list) > 0 && !c.view.isDoubtful() {
		b := list[rand.IntN(len(list))]
		return c.peerAt(b.addr, b.node)
	}
	if _, err := c.metadata(ctx, nil, false); err != nil {
		return nil, err
	}
	answered := c.view.lastAnswer()
	return c.peerAt(answered.addr, answered.node)
}
