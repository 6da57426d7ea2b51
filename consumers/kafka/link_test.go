package kafka

import (
	"encoding/binary"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// link is one connection.
type link struct {
	net.Conn
	n    *wire
	port string

	// Only the reader: an answer as far as it has come, one to be handed out, and
	// until when it is held.
	in, ready []byte
	held      time.Time
	// reading is held in a read of the connection. No mutex: who waits for one stops the
	// virtual time, and what is read when the connection is closed may take some.
	reading chan struct{}

	mu       sync.Mutex
	asked    map[int32]kmsg.Key // by correlation id
	head     []byte             // of the request that is being written
	left     int                // bytes of it to come
	deadline time.Time          // for reading
	queue    []parcel           // late requests, oldest first
	posting  bool
	once     sync.Once
	closed   chan struct{}
}

// parcel is bytes on their way.
type parcel struct {
	bytes []byte
	due   time.Time
}

// Read hands answers out when the whole of them is there.
func (l *link) Read(b []byte) (int, error) {
	for len(l.ready) == 0 {
		if err := l.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(b, l.ready)
	l.ready = l.ready[n:]
	return n, nil
}

func (l *link) fill() error {
	need := 4
	for {
		if len(l.in) >= 4 {
			need = 4 + int(binary.BigEndian.Uint32(l.in))
		}
		if len(l.in) == need {
			break
		}
		l.in = slices.Grow(l.in, need-len(l.in))
		n, err := l.read(l.in[len(l.in):need])
		l.in = l.in[:len(l.in)+n]
		if err != nil {
			return err
		}
	}
	if l.held.IsZero() {
		id := int32(binary.BigEndian.Uint32(l.in[4:]))
		l.mu.Lock()
		key := l.asked[id]
		delete(l.asked, id)
		l.mu.Unlock()
		lost, until := l.n.answered(l.port, key)
		if lost {
			_ = l.Close()
			return io.ErrUnexpectedEOF
		}
		l.held = until
	}
	if err := l.hold(l.held); err != nil {
		return err
	}
	l.ready, l.in, l.held = l.in, nil, time.Time{}
	return nil
}

func (l *link) read(b []byte) (int, error) {
	select {
	case <-l.closed:
		return 0, net.ErrClosed
	case l.reading <- struct{}{}:
	}
	defer func() { <-l.reading }()
	select {
	case <-l.closed:
		return 0, net.ErrClosed
	default:
		return l.Conn.Read(b)
	}
}

// hold waits as a read does: until then, the deadline or the end of the connection.
func (l *link) hold(until time.Time) error {
	const look = 50 * time.Millisecond // how long a deadline set meanwhile may go unseen
	for {
		now := time.Now()
		if !now.Before(until) {
			return nil
		}
		l.mu.Lock()
		deadline := l.deadline
		l.mu.Unlock()
		if !deadline.IsZero() && !now.Before(deadline) {
			return os.ErrDeadlineExceeded
		}
		timer := time.NewTimer(min(until.Sub(now), look))
		select {
		case <-timer.C:
		case <-l.closed:
			timer.Stop()
			return net.ErrClosed
		case <-l.n.w.Context().Done(): // the test ends
			timer.Stop()
			return net.ErrClosed
		}
	}
}

// Write sends now or later.
func (l *link) Write(b []byte) (int, error) {
	l.mu.Lock()
	keys := l.begun(b)
	l.mu.Unlock()
	lost, due := l.n.sent(l.port, keys)
	if lost {
		_ = l.Close()
		return 0, errCut
	}
	l.mu.Lock()
	select {
	case <-l.closed:
		l.mu.Unlock()
		return 0, net.ErrClosed
	default:
	}
	if !l.posting && !due.After(time.Now()) {
		l.mu.Unlock()
		return l.Conn.Write(b)
	}
	l.queue = append(l.queue, parcel{slices.Clone(b), due})
	if !l.posting {
		l.posting = true
		go l.post() // ends with the queue
	}
	l.mu.Unlock()
	return len(b), nil
}

// begun is the kinds of the requests whose header is completed by b. mu is held.
func (l *link) begun(b []byte) (keys []kmsg.Key) {
	const header = 12 // size, kind, version, correlation id
	for len(b) > 0 {
		if l.left > 0 {
			n := min(l.left, len(b))
			l.left, b = l.left-n, b[n:]
			continue
		}
		n := min(header-len(l.head), len(b))
		l.head, b = append(l.head, b[:n]...), b[n:]
		if len(l.head) < header {
			break
		}
		key := kmsg.Key(binary.BigEndian.Uint16(l.head[4:]))
		l.asked[int32(binary.BigEndian.Uint32(l.head[8:]))] = key
		l.left = 4 + int(binary.BigEndian.Uint32(l.head)) - header
		l.head = l.head[:0]
		keys = append(keys, key)
	}
	return keys
}

// post delivers late requests. The connection may be closed on this side by then:
// the broker still gets them, and nobody reads its answers.
func (l *link) post() {
	for {
		l.mu.Lock()
		if len(l.queue) == 0 {
			l.posting = false
			l.mu.Unlock()
			return
		}
		p := l.queue[0]
		l.queue = l.queue[1:]
		l.mu.Unlock()
		timer := time.NewTimer(time.Until(p.due))
		select {
		case <-timer.C:
		case <-l.n.w.Context().Done(): // the test ends
			timer.Stop()
		}
		if _, err := l.Conn.Write(p.bytes); err != nil {
			_ = l.Conn.Close()
		}
	}
}

// Close ends this side at once. The broker's side stays open while it has requests to
// get, or a place in the group to answer: kfake would keep a member for ever to whom
// the answer to JoinGroup cannot be delivered, while a broker's session runs from there.
func (l *link) Close() error {
	l.once.Do(func() {
		l.n.with(func(n *wire) { delete(n.links, l) })
		l.mu.Lock()
		close(l.closed)
		open := l.posting
		for _, key := range l.asked {
			open = open || key == kmsg.JoinGroup || key == kmsg.SyncGroup
		}
		l.mu.Unlock()
		if !open {
			_ = l.Conn.Close()
			return
		}
		_ = l.Conn.SetReadDeadline(time.Unix(0, 0)) // the reader is not to wait
		go func() {                                 // ends with the cluster
			l.reading <- struct{}{}
			defer func() { <-l.reading }()
			_ = l.Conn.SetDeadline(time.Time{})
			_, _ = io.Copy(io.Discard, l.Conn)
			_ = l.Conn.Close()
		}()
	})
	return nil
}

// SetDeadline implements net.Conn.
func (l *link) SetDeadline(t time.Time) error {
	l.setDeadline(t)
	return l.Conn.SetDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (l *link) SetReadDeadline(t time.Time) error {
	l.setDeadline(t)
	return l.Conn.SetReadDeadline(t)
}

func (l *link) setDeadline(t time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deadline = t
}
