package kafkawire

import (
	"context"
	"fmt"
	"time"
)

// A broker that is over a quota answers at once and then reads nothing from
// that connection for the throttle time (KIP-219). The next request of the same
// kind to that broker waits here instead of timing out there. Kinds are kept
// apart so that a throttled fetch does not hold up a heartbeat.
type pauseKey struct {
	addr string
	kind pauseKind
}

type pauseKind uint8

const (
	pauseOther pauseKind = iota
	pauseFetch
	pauseProduce
)

func kindOf(api apiKey) pauseKind {
	switch api {
	case apiFetch:
		return pauseFetch
	case apiProduce:
		return pauseProduce
	default:
		return pauseOther
	}
}

type pause struct{ until time.Time }

// mutedFrom is the throttle time from which the pool of the muted connection is
// dropped, so that another kind of request does not pick that connection and
// wait on it. Below it the wait is shorter than a heartbeat interval.
const mutedFrom = 500 * time.Millisecond

// throttled notes a broker's throttle time and returns it.
func (c *Client) throttled(p *peer, api apiKey, millis int32) time.Duration {
	if millis <= 0 {
		return 0
	}
	d := time.Duration(millis) * time.Millisecond
	key := pauseKey{p.addr, kindOf(api)}
	c.mu.Lock()
	if until := time.Now().Add(d); until.After(c.pauses[key].until) {
		c.pauses[key] = pause{until}
	}
	c.mu.Unlock()
	if d >= mutedFrom {
		c.discard(p)
	}
	return d
}

// waitPause waits until the broker accepts this kind of request again. The wait
// does not count against the request's own timeout.
func (c *Client) waitPause(ctx context.Context, p *peer, api apiKey) error {
	key := pauseKey{p.addr, kindOf(api)}
	c.mu.Lock()
	until, ok := c.pauses[key]
	c.mu.Unlock()
	if !ok {
		return nil
	}
	d := time.Until(until.until)
	if d > 0 {
		if err := sleep(ctx, d); err != nil {
			return c.netError(ctx, p, api, fmt.Errorf("throttled by the broker for another %v: %w", time.Until(until.until), err))
		}
	}
	c.mu.Lock()
	if c.pauses[key] == until {
		delete(c.pauses, key)
	}
	c.mu.Unlock()
	return nil
}

// sleep waits for d or the end of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
