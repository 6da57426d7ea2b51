package kafkawire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/segmentio/kafka-go/sasl"
)

// What brokers show of this client in their metrics (KIP-511).
const (
	softwareName    = "sluice"
	softwareVersion = "1"
)

// Config says where a cluster is and how to talk to it.
type Config struct {
	// Brokers are the bootstrap addresses, host:port, already split.
	Brokers []string
	// TLS gives a new connection its settings, which nobody changes any more; nil
	// for plaintext. Called by many goroutines.
	TLS func() *tls.Config
	// SASL is nil for none.
	SASL sasl.Mechanism
	// ClientID is what brokers log and count quotas by; default "sluice".
	ClientID string
	// Dial opens connections; nil is a net.Dialer with a timeout of 5 s and keep-alive.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// RequestTimeout bounds every request, on top of the time that the request
	// itself allows the broker; a nearer deadline of the context wins. Default 10 s.
	RequestTimeout time.Duration
	// MaxResponse is the largest answer that is read, in bytes; default 256 MiB.
	MaxResponse int
}

const (
	defaultRequestTimeout = 10 * time.Second
	defaultMaxResponse    = 256 << 20
	dialTimeout           = 5 * time.Second
)

// withDefaults fills what is unset and checks the addresses.
func (cfg Config) withDefaults() (Config, error) {
	if len(cfg.Brokers) == 0 {
		return cfg, errors.New("no broker addresses: give at least one host:port")
	}
	for _, addr := range cfg.Brokers {
		if err := checkAddress(addr); err != nil {
			return cfg, err
		}
	}
	if cfg.ClientID == "" {
		cfg.ClientID = softwareName
	}
	if cfg.RequestTimeout <= 0 {
		cfg.RequestTimeout = defaultRequestTimeout
	}
	if cfg.MaxResponse <= 0 {
		cfg.MaxResponse = defaultMaxResponse
	}
	if cfg.Dial == nil {
		cfg.Dial = (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext
	}
	return cfg, nil
}

// checkAddress refuses what would fail later without a hint; a comma list given
// as one address makes kafka-go panic in a goroutine of its own.
func checkAddress(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("broker address %q is not host:port (several are a list, one each): %w", addr, err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || host == "" {
		return fmt.Errorf("broker address %q is not host:port with a port from 1 to 65535", addr)
	}
	return nil
}

// Client sends requests to the brokers of one cluster. Safe for concurrent use.
//
// Every call on a broker sends one request on one connection of its own, and
// returns a *NetError when no answer came (nobody uses the request's memory any
// more then), an ErrorCode, wrapped, when the broker refused the whole request.
type Client struct {
	cfg         Config
	correlation atomic.Int32
	view        view
	coordinator coordinators

	mu     sync.Mutex
	closed bool
	peers  map[string]*peer   // by address
	pauses map[pauseKey]pause // throttled until
}

// NewClient returns a client for the cluster behind cfg.Brokers; it opens no
// connection yet.
func NewClient(cfg Config) (*Client, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, peers: map[string]*peer{}, pauses: map[pauseKey]pause{}}
	c.view.init()
	c.coordinator.nodes = map[coordinatorKey]int32{}
	return c, nil
}

// Close closes idle connections at once and the others when their request ends.
func (c *Client) Close() {
	c.mu.Lock()
	peers := c.peers
	c.peers, c.closed = map[string]*peer{}, true
	for _, p := range peers {
		p.pool.discarded = true
	}
	c.mu.Unlock()
	for _, p := range peers {
		p.pool.CloseIdleConnections()
	}
}

// request is one call, before a version is chosen for it.
type request struct {
	api apiKey
	// lo and hi narrow the versions of the table; both 0 means all of them.
	lo, hi int16
	// wait is how long the broker may take by the request's own terms.
	wait  time.Duration
	alloc func(n int) []byte
	// arrived makes what looks at the answer while it arrives; nil: nothing does.
	arrived func(version int16) func(answer []byte, n int)
	encode  func(w *wireWriter)
}

// call sends r to p in the best common version and returns the answer's body.
func (c *Client) call(ctx context.Context, p *peer, r *request) (*wireReader, error) {
	lo, hi := r.lo, r.hi
	if hi == 0 {
		lo, hi = apis[r.api].min, apis[r.api].max
	}
	if err := c.waitPause(ctx, p, r.api); err != nil {
		return nil, err
	}
	versions, err := c.versions(ctx, p)
	if err != nil {
		return nil, err
	}
	version, err := versions.choose(r.api, p.addr, lo, hi)
	if err != nil {
		return nil, err
	}
	return c.exchange(ctx, p, r, version)
}

// exchange sends r in the given version. The request's own deadline is what
// keeps a peer that went silent from blocking for ever.
func (c *Client) exchange(ctx context.Context, p *peer, r *request, version int16) (*wireReader, error) {
	parent := ctx
	ctx, cancel := context.WithTimeout(ctx, c.cfg.RequestTimeout+r.wait)
	defer cancel()
	id := c.correlation.Add(1)
	e := &exchange{
		api: r.api, correlation: id, maxAnswer: c.cfg.MaxResponse, alloc: r.alloc,
		request: c.encode(r, version, id),
	}
	if r.arrived != nil {
		e.arrived = r.arrived(version)
	}
	if err := c.enter(p); err != nil {
		return nil, c.netError(parent, p, r.api, err)
	}
	stop := context.AfterFunc(ctx, e.abort)
	_, err := p.pool.RoundTrip(ctx, p.netAddr, e)
	stop()
	c.leave(p)
	if err != nil {
		e.abort()
		e.wait()
		if parent.Err() == nil {
			c.drop(p)
			if ctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded) {
				err = fmt.Errorf("no answer within %v: %w", c.cfg.RequestTimeout+r.wait, context.DeadlineExceeded)
			}
		}
		return nil, c.netError(parent, p, r.api, err)
	}
	answer := &wireReader{b: e.answer, version: version, flex: version >= apis[r.api].flex}
	if r.api != apiVersions { // whose answer has the old header in every version (KIP-511)
		answer.tags()
	}
	return answer, nil
}

// encode writes size, header (version 1 or 2) and body.
func (c *Client) encode(r *request, version int16, correlation int32) *wireWriter {
	w := &wireWriter{buf: make([]byte, 4, 512), version: version}
	w.int16(int16(r.api))
	w.int16(version)
	w.int32(correlation)
	w.nullableString(c.cfg.ClientID)
	w.flex = version >= apis[r.api].flex
	w.tags()
	r.encode(w)
	size := w.size() - 4
	w.buf[0], w.buf[1], w.buf[2], w.buf[3] = byte(size>>24), byte(size>>16), byte(size>>8), byte(size)
	return w
}
