package kafkawire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/segmentio/kafka-go/protocol"
)

// errAborted ends an exchange whose caller has left; the connection is closed
// because an answer may still be on its way.
var errAborted = errors.New("the caller has left")

// exchange is one request and its answer on one connection of kafka-go's pool:
// protocol.RawExchanger lets any request of any version travel over it.
//
// Transport.RoundTrip returns when the context ends while its connection
// goroutine goes on with the request. abort makes that goroutine stop at once
// and wait tells when it has: after a call has returned, nobody touches the
// request's bytes or the answer's buffer any more.
type exchange struct {
	api         apiKey
	correlation int32
	request     *wireWriter
	maxAnswer   int
	alloc       func(n int) []byte
	// arrived, when set, is told each time more of the answer is there, by the
	// goroutine that read it: n bytes so far.
	arrived func(answer []byte, n int)
	answer  []byte // behind the correlation id

	mu      sync.Mutex
	conn    deadliner // while the exchange runs
	aborted bool
	done    chan struct{} // closed when the exchange has ended; nil until it begins
}

type deadliner interface{ SetDeadline(t time.Time) error }

var _ protocol.RawExchanger = (*exchange)(nil)

// ApiKey implements protocol.Message.
func (e *exchange) ApiKey() protocol.ApiKey { return protocol.ApiKey(e.api) } //nolint:revive // the library's name

// Required implements protocol.RawExchanger: always.
func (e *exchange) Required(map[protocol.ApiKey]int16) bool { return true }

// RawExchange implements protocol.RawExchanger. An error closes the connection.
func (e *exchange) RawExchange(rw io.ReadWriter) (protocol.Message, error) {
	if !e.begin(rw) {
		return nil, errAborted
	}
	err := e.run(rw)
	if !e.end() && err == nil {
		err = errAborted
	}
	if err != nil {
		return nil, err
	}
	return e, nil
}

func (e *exchange) begin(rw io.ReadWriter) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.aborted {
		return false
	}
	e.conn, _ = rw.(deadliner)
	e.done = make(chan struct{})
	return true
}

// end reports whether the exchange ended by itself.
func (e *exchange) end() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.conn = nil
	close(e.done)
	return !e.aborted
}

// abort stops the exchange where it is; before its begin, for good.
func (e *exchange) abort() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.aborted = true
	if e.conn != nil {
		_ = e.conn.SetDeadline(time.Unix(1, 0))
	}
}

// wait returns when nothing uses the exchange's memory any more; call abort
// before it.
func (e *exchange) wait() {
	e.mu.Lock()
	done := e.done
	e.mu.Unlock()
	if done != nil {
		<-done
	}
}

func (e *exchange) run(rw io.ReadWriter) error {
	if err := e.request.writeTo(rw); err != nil {
		return err
	}
	var head [8]byte
	if _, err := io.ReadFull(rw, head[:]); err != nil {
		return err
	}
	size := int(int32(binary.BigEndian.Uint32(head[:]))) - 4
	if id := int32(binary.BigEndian.Uint32(head[4:])); id != e.correlation {
		return fmt.Errorf("%w: correlation id %d instead of %d", ErrMalformed, id, e.correlation)
	}
	if size < 0 {
		return fmt.Errorf("%w: size %d", ErrMalformed, size)
	}
	if size > e.maxAnswer {
		return fmt.Errorf("%w: %d bytes, limit %d", ErrResponseTooLarge, size, e.maxAnswer)
	}
	e.answer = e.buffer(size)
	return e.read(rw)
}

// readStep bounds one read of an answer that is looked at as it arrives: half of
// a core's cache of 512 KiB, so that it is still there when it is looked at.
const readStep = 256 << 10

// read fills the answer.
func (e *exchange) read(r io.Reader) error {
	if e.arrived == nil {
		_, err := io.ReadFull(r, e.answer)
		return eofInAnswer(err)
	}
	for have := 0; have < len(e.answer); {
		n, err := r.Read(e.answer[have:min(have+readStep, len(e.answer))])
		have += n
		if n > 0 {
			e.arrived(e.answer, have)
		}
		if err != nil && have < len(e.answer) {
			return eofInAnswer(err)
		}
	}
	return nil
}

// eofInAnswer is err, where the end of the connection is unexpected.
func eofInAnswer(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (e *exchange) buffer(n int) []byte {
	if e.alloc != nil {
		if b := e.alloc(n); len(b) >= n {
			return b[:n]
		}
	}
	return make([]byte, n)
}

// copyBelow: pieces smaller than this are gathered into one write; larger ones
// are written from where they lie. A guess between the cost of a system call
// and that of copying 32 KiB, which are about equal.
const copyBelow = 32 << 10

// writeTo writes buf and the pieces between its parts.
func (w *wireWriter) writeTo(out io.Writer) error {
	if len(w.pieces) == 0 {
		_, err := out.Write(w.buf)
		return err
	}
	g := gatherer{out: out}
	at := 0
	for _, p := range w.pieces {
		g.write(w.buf[at:p.at])
		g.write(p.data)
		at = p.at
	}
	g.write(w.buf[at:])
	return g.flush()
}

type gatherer struct {
	out io.Writer
	buf []byte
	err error
}

func (g *gatherer) write(b []byte) {
	if len(b) < copyBelow && len(g.buf)+len(b) <= 2*copyBelow {
		g.buf = append(g.buf, b...)
		return
	}
	_ = g.flush()
	if len(b) < copyBelow {
		g.buf = append(g.buf, b...)
		return
	}
	if g.err == nil {
		_, g.err = g.out.Write(b)
	}
}

func (g *gatherer) flush() error {
	if g.err == nil && len(g.buf) > 0 {
		_, g.err = g.out.Write(g.buf)
	}
	g.buf = g.buf[:0]
	return g.err
}
