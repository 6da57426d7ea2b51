package proxy

import (
	"bytes"
	"context"
	"io"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener whose connections are net.Pipe's: they know virtual time.
type pipes struct {
	waiting chan net.Conn
	closed  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.waiting:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return nil }

// connect opens a connection through the proxy.
func (p *pipes) connect() net.Conn {
	ours, theirs := net.Pipe()
	p.waiting <- theirs
	return ours
}

// inProxy runs f in virtual time with a proxy to a server that echoes.
func inProxy(t *testing.T, f func(p *Proxy, net *pipes)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		listener := &pipes{make(chan net.Conn), make(chan struct{})}
		p := New(listener, func(context.Context) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go func() { _, _ = io.Copy(theirs, theirs); _ = theirs.Close() }() // ends with the connection
			return ours, nil
		})
		served := make(chan error, 1)
		go func() { served <- p.Serve(ctx) }() // ends with ctx
		f(p, listener)
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
}

// echo sends data and reads as much back, or what came before the end.
func echo(c io.ReadWriter, data []byte) ([]byte, error) {
	go func() { _, _ = c.Write(data) }() // ends with the connection
	back := make([]byte, len(data))
	n, err := io.ReadFull(c, back)
	return back[:n], err
}

func TestPassForwardsBothWays(t *testing.T) {
	t.Parallel()
	inProxy(t, func(_ *Proxy, net *pipes) {
		data := bytes.Repeat([]byte("0123456789"), 10_000)
		if back, err := echo(net.connect(), data); err != nil || !bytes.Equal(back, data) {
			t.Errorf("%d of %d bytes came back, %v", len(back), len(data), err)
		}
	})
}

// 100 bytes go there and as many would come back; of the 200 the cut lets 150 pass.
func TestCutEndsAConnectionAfterItsBytes(t *testing.T) {
	t.Parallel()
	inProxy(t, func(p *Proxy, net *pipes) {
		old := net.connect()
		if _, err := echo(old, []byte("before")); err != nil {
			t.Fatal(err)
		}
		p.Set(Fault{Mode: Cut, Bytes: 150})
		for i, c := range []io.ReadWriter{old, net.connect()} {
			if back, err := echo(c, make([]byte, 100)); err == nil || len(back) != 50 {
				t.Errorf("connection %d: %d bytes came back, %v; want 50 and an end", i, len(back), err)
			}
		}
		if p.Resets() != 2 {
			t.Errorf("%d resets, want 2", p.Resets())
		}
		p.Set(Fault{})
		if _, err := echo(net.connect(), []byte("after")); err != nil {
			t.Errorf("after the fault: %v", err)
		}
	})
}

// The echo passes the proxy twice.
func TestDelayHoldsEachPieceBack(t *testing.T) {
	t.Parallel()
	inProxy(t, func(p *Proxy, net *pipes) {
		p.Set(Fault{Mode: Delay, Delay: 200 * time.Millisecond})
		c, began := net.connect(), time.Now()
		if _, err := echo(c, []byte("x")); err != nil || time.Since(began) != 400*time.Millisecond {
			t.Errorf("after %v: %v, want 400ms", time.Since(began), err)
		}
	})
}

// At 1000 bytes/s a piece is 100 bytes; while the last one goes back, all before are there.
func TestThrottleKeepsTheRate(t *testing.T) {
	t.Parallel()
	inProxy(t, func(p *Proxy, net *pipes) {
		p.Set(Fault{Mode: Throttle, Rate: 1000})
		c, began := net.connect(), time.Now()
		if _, err := echo(c, make([]byte, 2000)); err != nil || time.Since(began) != 2100*time.Millisecond {
			t.Errorf("2000 bytes after %v: %v, want 2.1s", time.Since(began), err)
		}
	})
}

func TestHalfOpenConnectionsAreNeverAnswered(t *testing.T) {
	t.Parallel()
	inProxy(t, func(p *Proxy, net *pipes) {
		old := net.connect()
		if _, err := echo(old, []byte("before")); err != nil {
			t.Fatal(err)
		}
		p.Set(Fault{Mode: HalfOpen})
		if _, err := old.Read(make([]byte, 1)); err == nil {
			t.Error("the connection from before was not reset")
		}
		c := net.connect()
		synctest.Wait()
		p.Set(Fault{})
		_ = c.SetReadDeadline(time.Now().Add(time.Hour))
		if back, err := echo(c, []byte("x")); err == nil {
			t.Errorf("%q came back", back)
		}
		if _, err := echo(net.connect(), []byte("x")); err != nil {
			t.Errorf("after the fault: %v", err)
		}
	})
}

func TestSilenceDeliversWhenItIsOver(t *testing.T) {
	t.Parallel()
	inProxy(t, func(p *Proxy, net *pipes) {
		old, began := net.connect(), time.Now()
		if _, err := echo(old, []byte("before")); err != nil {
			t.Fatal(err)
		}
		p.Set(Fault{Mode: Silence})
		time.AfterFunc(10*time.Second, func() { p.Set(Fault{}) })
		for i, c := range []io.ReadWriter{old, net.connect()} {
			if _, err := echo(c, []byte("x")); err != nil || time.Since(began) != 10*time.Second {
				t.Errorf("connection %d after %v: %v, want 10s", i, time.Since(began), err)
			}
		}
		if p.Resets() != 0 {
			t.Errorf("%d resets", p.Resets())
		}
	})
}

func TestPlanHasEachModeInARoundAndRepeatsWithItsSeed(t *testing.T) {
	t.Parallel()
	one, again, other := NewPlan(7), NewPlan(7), NewPlan(8)
	differ := false
	for round := range 20 {
		var modes []Mode
		for range 5 {
			f := one.Next()
			if f != again.Next() {
				t.Fatalf("round %d: %v is not repeated", round, f)
			}
			differ = differ || f != other.Next()
			if f.For <= 0 || f.Mode == Cut && f.Bytes < 1 || f.Mode == Throttle && f.Rate < 1 || f.Mode == Delay && f.Delay <= 0 {
				t.Errorf("round %d: %v", round, f)
			}
			modes = append(modes, f.Mode)
		}
		slices.Sort(modes)
		if !slices.Equal(modes, []Mode{Cut, Delay, Throttle, HalfOpen, Silence}) {
			t.Errorf("round %d has %v", round, modes)
		}
	}
	if !differ {
		t.Error("two seeds give one plan")
	}
}
