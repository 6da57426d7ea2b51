package kafkawire

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// coordinatorKey names a group (kind 0) or a transactional id (kind 1).
type coordinatorKey struct {
	kind int8
	name string
}

func groupKey(group string) coordinatorKey    { return coordinatorKey{0, group} }
func transactionKey(id string) coordinatorKey { return coordinatorKey{1, id} }

type coordinators struct {
	mu    sync.Mutex
	nodes map[coordinatorKey]int32
}

// FindCoordinator returns the broker that keeps a group, from the cache until
// ForgetCoordinator. On a new cluster this request, and no other, creates the
// topic behind it: until then every group call answers NOT_COORDINATOR. It
// retries until ctx ends, but no longer than half a minute, while the
// coordinator is being made, loads or moves.
func (c *Client) FindCoordinator(ctx context.Context, group string) (node int32, err error) {
	return c.findCoordinator(ctx, groupKey(group))
}

// ForgetCoordinator makes the next FindCoordinator ask the cluster.
func (c *Client) ForgetCoordinator(group string) { c.forgetCoordinator(groupKey(group)) }

func (c *Client) forgetCoordinator(key coordinatorKey) {
	c.coordinator.mu.Lock()
	defer c.coordinator.mu.Unlock()
	delete(c.coordinator.nodes, key)
}

// findCoordinatorLimit: a broker makes its internal topics in 1 to 2 s, an
// election after a crash takes up to 12 s with default settings.
const findCoordinatorLimit = 30 * time.Second

func (c *Client) findCoordinator(ctx context.Context, key coordinatorKey) (int32, error) {
	c.coordinator.mu.Lock()
	node, ok := c.coordinator.nodes[key]
	c.coordinator.mu.Unlock()
	if ok {
		return node, nil
	}
	ctx, cancel := context.WithTimeout(ctx, findCoordinatorLimit)
	defer cancel()
	for {
		node, err := c.askCoordinator(ctx, key)
		switch {
		case err == nil:
			c.coordinator.mu.Lock()
			c.coordinator.nodes[key] = node
			c.coordinator.mu.Unlock()
			return node, nil
		case errors.Is(err, ErrCoordinatorLoading), errors.Is(err, ErrCoordinatorNotAvailable), errors.Is(err, ErrNotCoordinator):
		default:
			return -1, err
		}
		if sleep(ctx, 2*coordinatorRetry) != nil {
			return -1, err
		}
	}
}

func (c *Client) askCoordinator(ctx context.Context, key coordinatorKey) (int32, error) {
	p, err := c.anyPeer(ctx)
	if err != nil {
		return -1, err
	}
	r, err := c.call(ctx, p, &request{api: apiFindCoordinator, encode: func(w *wireWriter) {
		encodeFindCoordinator(w, key)
	}})
	if err != nil {
		return -1, err
	}
	node, message, throttle, code, err := decodeFindCoordinator(r)
	if err != nil {
		return -1, c.netError(ctx, p, apiFindCoordinator, err)
	}
	c.throttled(p, apiFindCoordinator, throttle)
	if code != ErrNone {
		if message != "" {
			return -1, fmt.Errorf("find the coordinator of %q: %w (%s)", key.name, p.refused(code), message)
		}
		return -1, fmt.Errorf("find the coordinator of %q: %w", key.name, p.refused(code))
	}
	return node, nil
}

func encodeFindCoordinator(w *wireWriter, key coordinatorKey) {
	w.string(key.name)
	w.int8(key.kind)
	w.tags()
}

func decodeFindCoordinator(r *wireReader) (node int32, message string, throttleMillis int32, code ErrorCode, err error) {
	throttleMillis = r.int32()
	code = ErrorCode(r.int16())
	message = r.string()
	node = r.int32()
	_ = r.string() // host
	r.int32()      // port: both are in the metadata
	r.tags()
	return node, message, throttleMillis, code, r.err
}
