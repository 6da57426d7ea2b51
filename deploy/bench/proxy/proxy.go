// Package proxy is a TCP proxy that disturbs what goes through it: for fault
// campaigns, in front of a broker that advertises the proxy's address.
package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// Proxy forwards connections and disturbs them. Safe for concurrent use.
type Proxy struct {
	listener net.Listener
	dial     func(ctx context.Context) (net.Conn, error)
	all      sync.WaitGroup

	mu      sync.Mutex
	fault   Fault
	changed chan struct{} // closed and replaced when the fault changes
	links   map[*link]struct{}
	resets  int
}

// New makes a proxy from listener to what dial connects to. It forwards while Serve
// runs.
func New(listener net.Listener, dial func(ctx context.Context) (net.Conn, error)) *Proxy {
	return &Proxy{listener: listener, dial: dial, changed: make(chan struct{}), links: map[*link]struct{}{}}
}

// Serve accepts connections until ctx is done; then all are closed.
func (p *Proxy) Serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer p.all.Wait()
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = p.listener.Close() })
	defer stop()
	for {
		client, err := p.listener.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		p.all.Go(func() { p.serve(ctx, client) }) // ends with the connection or ctx
	}
}

// Set begins a fault, and ends the one before: Fault{} lets everything through.
// Fault.For is the caller's to keep.
func (p *Proxy) Set(f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault = f
	close(p.changed)
	p.changed = make(chan struct{})
	for l := range p.links {
		switch f.Mode {
		case Cut:
			l.left = f.Bytes
		case HalfOpen:
			p.reset(l)
		default:
		}
	}
}

// Resets is how many connections were reset so far.
func (p *Proxy) Resets() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.resets
}

// link is one connection through the proxy.
type link struct {
	client, server net.Conn // server is nil while nobody answers
	left           int      // bytes until the cut; guarded by Proxy.mu
	closed         bool     // guarded by Proxy.mu
}

// serve forwards one connection until an end closes it, or a fault does.
func (p *Proxy) serve(ctx context.Context, client net.Conn) {
	l := &link{client: client}
	p.mu.Lock()
	dead := p.fault.Mode == HalfOpen
	l.left = p.fault.Bytes
	p.links[l] = struct{}{}
	p.mu.Unlock()
	stop := context.AfterFunc(ctx, func() { p.drop(l) })
	defer stop()
	defer p.drop(l)
	if dead {
		_, _ = io.Copy(io.Discard, client)
		return
	}
	server, err := p.dial(ctx)
	if err != nil {
		return // the client sees the end of its connection, as without a proxy
	}
	if !p.attach(l, server) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { p.pump(ctx, l, server, client) }) // each ends with the link
	both.Go(func() { p.pump(ctx, l, client, server) })
	both.Wait()
}

// attach gives a link its server, unless it was closed meanwhile.
func (p *Proxy) attach(l *link, server net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l.closed {
		_ = server.Close()
		return false
	}
	l.server = server
	return true
}

// piece is how much is forwarded at once.
const piece = 16 << 10

// pump forwards one way.
func (p *Proxy) pump(ctx context.Context, l *link, to, from net.Conn) {
	defer p.drop(l)
	buffer := make([]byte, piece)
	for {
		n, err := from.Read(buffer)
		for data := buffer[:n]; len(data) > 0; {
			now, ok := p.pass(ctx, l, len(data))
			if now > 0 {
				if _, err := to.Write(data[:now]); err != nil {
					return
				}
			}
			if !ok {
				p.mu.Lock()
				p.reset(l)
				p.mu.Unlock()
				return
			}
			data = data[now:]
		}
		if err != nil {
			return
		}
	}
}

// pass waits as the fault demands and tells how many of n bytes may go now. Not ok:
// after these the connection is cut.
func (p *Proxy) pass(ctx context.Context, l *link, n int) (now int, ok bool) {
	for {
		p.mu.Lock()
		f, changed := p.fault, p.changed
		if f.Mode == Cut {
			now = min(n, l.left)
			l.left -= now
			p.mu.Unlock()
			return now, now == n
		}
		p.mu.Unlock()
		switch f.Mode {
		case Delay:
			return n, wait(ctx, f.Delay, nil) == nil
		case Throttle:
			n = min(n, max(1, f.Rate/10))
			return n, wait(ctx, time.Duration(n)*time.Second/time.Duration(f.Rate), changed) == nil
		case Silence:
			if err := wait(ctx, 0, changed); err != nil {
				return 0, false
			}
		default:
			return n, true
		}
	}
}

// wait ends after d (0: never), when changed is closed, or with ctx, whose error it
// gives.
func wait(ctx context.Context, d time.Duration, changed <-chan struct{}) error {
	var due <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-due:
	case <-changed:
	case <-ctx.Done():
		return errors.New("the proxy ends")
	}
	return nil
}

// reset closes a link so that its ends see a reset connection. With mu.
func (p *Proxy) reset(l *link) {
	if l.closed {
		return
	}
	p.resets++
	for _, c := range []net.Conn{l.client, l.server} {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
	}
	p.close(l)
}

// drop closes a link and forgets it.
func (p *Proxy) drop(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.close(l)
}

// close does so with mu.
func (p *Proxy) close(l *link) {
	if l.closed {
		return
	}
	l.closed = true
	delete(p.links, l)
	_ = l.client.Close()
	if l.server != nil {
		_ = l.server.Close()
	}
}
