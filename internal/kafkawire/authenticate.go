package kafkawire

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/segmentio/kafka-go/sasl"
)

const (
	apiSaslHandshake    = 17 // version 1: what follows is wrapped in requests (KIP-152)
	apiSaslAuthenticate = 36 // version 1: tells how long the session lasts (KIP-368)

	// maxSASLAnswer is far above any challenge.
	maxSASLAnswer = 64 << 10
	// sessionShare of a session's life is used: what is under way then has the
	// rest of it to end. Java's clients take 85 to 95 %.
	sessionShare = 0.85
)

// authenticate logs in on a new connection and returns how long the broker
// takes requests on it, 0 for ever. kafka-go would do the same and not tell how
// long. The error is an ErrorCode, wrapped, when the broker refuses.
func authenticate(ctx context.Context, conn net.Conn, mechanism sasl.Mechanism, clientID string) (time.Duration, error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // a broker that stays silent
	defer stop()
	a := saslExchange{conn: conn, clientID: clientID}
	life, err := a.run(ctx, mechanism)
	if err != nil && ctx.Err() != nil {
		return 0, fmt.Errorf("log in by SASL %s: %w", mechanism.Name(), ctx.Err())
	}
	if err != nil {
		return 0, fmt.Errorf("log in by SASL %s: %w", mechanism.Name(), err)
	}
	return life, nil
}

type saslExchange struct {
	conn        net.Conn
	clientID    string
	correlation int32
}

func (a *saslExchange) run(ctx context.Context, mechanism sasl.Mechanism) (time.Duration, error) {
	r, err := a.ask(apiSaslHandshake, func(w *wireWriter) { w.string(mechanism.Name()) })
	if err != nil {
		return 0, err
	}
	if code := ErrorCode(r.int16()); code != ErrNone && r.err == nil {
		return 0, code
	}
	session, state, err := mechanism.Start(ctx)
	if err != nil {
		return 0, err
	}
	for {
		challenge, life, err := a.step(state)
		if errors.Is(err, io.EOF) { // how some brokers refuse
			err = fmt.Errorf("the broker hung up: %w", ErrSASLAuthentication)
		}
		if err != nil {
			return 0, err
		}
		done, next, err := session.Next(ctx, challenge)
		if done || err != nil {
			return life, err
		}
		state = next
	}
}

func (a *saslExchange) step(state []byte) (challenge []byte, life time.Duration, err error) {
	r, err := a.ask(apiSaslAuthenticate, func(w *wireWriter) { w.bytes(state) })
	if err != nil {
		return nil, 0, err
	}
	code, text := ErrorCode(r.int16()), r.string()
	challenge = r.bytes()
	life = time.Duration(r.int64()) * time.Millisecond
	switch {
	case r.err != nil:
		return nil, 0, r.err
	case code != ErrNone && text != "":
		return nil, 0, fmt.Errorf("%w: %.200q", code, text)
	case code != ErrNone:
		return nil, 0, code
	}
	return challenge, life, nil
}

// ask sends a request in version 1 and returns the answer's body.
func (a *saslExchange) ask(api int16, encode func(w *wireWriter)) (*wireReader, error) {
	a.correlation++
	w := &wireWriter{buf: make([]byte, 4, 256), version: 1}
	w.int16(api)
	w.int16(1)
	w.int32(a.correlation)
	w.nullableString(a.clientID)
	encode(w)
	binary.BigEndian.PutUint32(w.buf, uint32(len(w.buf)-4))
	if _, err := a.conn.Write(w.buf); err != nil {
		return nil, err
	}
	var size [4]byte
	if _, err := io.ReadFull(a.conn, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n < 4 || n > maxSASLAnswer {
		return nil, fmt.Errorf("%w: an answer of %d bytes; is this a Kafka port, with TLS as configured?", ErrMalformed, n)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(a.conn, b); err != nil {
		return nil, err
	}
	r := &wireReader{b: b, version: 1}
	if id := r.int32(); id != a.correlation {
		return nil, fmt.Errorf("%w: answer %d to request %d", ErrMalformed, id, a.correlation)
	}
	return r, nil
}

// login authenticates a new connection of a pool and notes when the pool is to
// be replaced.
func (c *Client) login(ctx context.Context, conn net.Conn, p *pool) error {
	life, err := authenticate(ctx, conn, c.cfg.SASL, c.cfg.ClientID)
	if err != nil || life <= 0 {
		return err
	}
	end := time.Now().Add(time.Duration(float64(life) * sessionShare)).UnixNano()
	for {
		old := p.until.Load()
		if (old != 0 && old <= end) || p.until.CompareAndSwap(old, end) {
			return nil
		}
	}
}

// over says that a session of the pool nears its end. Its connections are then
// replaced, rather than authenticated again (KIP-368): requests that are under
// way end on the old ones.
func (p *pool) over() bool {
	until := p.until.Load()
	return until != 0 && time.Now().UnixNano() >= until
}
