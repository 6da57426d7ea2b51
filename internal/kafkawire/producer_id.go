package kafkawire

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// NoProducerID and NoProducerEpoch ask InitProducerID for a new id. Zeros would
// be a claim to producer 0: accepted for a fresh transactional id, fenced for an
// existing one.
const (
	NoProducerID    int64 = -1
	NoProducerEpoch int16 = -1
)

// coordinatorRetry is the pause between two tries while a coordinator loads;
// measured loads take 20 ms to 2 s.
const coordinatorRetry = 50 * time.Millisecond

// InitProducerID returns a producer id and epoch: for an idempotent producer
// from any broker, for a transactional id from its coordinator, where it also
// ends the transaction a predecessor left open. It retries until ctx ends while
// the coordinator loads, moves, or completes such a transaction.
func (c *Client) InitProducerID(ctx context.Context, transactionalID string, txnTimeout time.Duration, pid int64, epoch int16) (int64, int16, error) {
	ctx, cancel := context.WithTimeout(ctx, initProducerLimit)
	defer cancel()
	for {
		id, e, err := c.initProducerID(ctx, transactionalID, txnTimeout, pid, epoch)
		switch {
		case err == nil:
			return id, e, nil
		case errors.Is(err, ErrNotCoordinator), errors.Is(err, ErrCoordinatorNotAvailable):
			c.forgetCoordinator(transactionKey(transactionalID))
		case errors.Is(err, ErrCoordinatorLoading), errors.Is(err, ErrConcurrentTransactions):
		default:
			return -1, -1, err
		}
		if sleep(ctx, coordinatorRetry) != nil {
			return -1, -1, err
		}
	}
}

// initProducerLimit: a transaction in completion is retried for at most a
// minute (kafka-real.md has seen 2 s).
const initProducerLimit = time.Minute

func (c *Client) initProducerID(ctx context.Context, txnID string, txnTimeout time.Duration, pid int64, epoch int16) (int64, int16, error) {
	p, err := c.producerPeer(ctx, txnID)
	if err != nil {
		return -1, -1, err
	}
	r, err := c.call(ctx, p, &request{api: apiInitProducerID, encode: func(w *wireWriter) {
		encodeInitProducerID(w, txnID, txnTimeout, pid, epoch)
	}})
	if err != nil {
		c.forgetCoordinator(transactionKey(txnID)) // it may have died
		return -1, -1, err
	}
	id, e, throttle, code, err := decodeInitProducerID(r)
	if err != nil {
		return -1, -1, c.netError(ctx, p, apiInitProducerID, err)
	}
	c.throttled(p, apiInitProducerID, throttle)
	if code != ErrNone {
		return -1, -1, fmt.Errorf("get a producer id from broker %d: %w", p.node, p.refused(code))
	}
	if id < 0 || e < 0 {
		// A batch with -1 would be stored without the checks it relies on.
		return -1, -1, c.netError(ctx, p, apiInitProducerID, fmt.Errorf("%w: producer id %d, epoch %d", ErrMalformed, id, e))
	}
	return id, e, nil
}

// producerPeer is the coordinator of a transactional id, or any broker.
func (c *Client) producerPeer(ctx context.Context, txnID string) (*peer, error) {
	if txnID == "" {
		return c.anyPeer(ctx)
	}
	node, err := c.findCoordinator(ctx, transactionKey(txnID))
	if err != nil {
		return nil, err
	}
	return c.peer(ctx, node, apiInitProducerID)
}

func encodeInitProducerID(w *wireWriter, txnID string, txnTimeout time.Duration, pid int64, epoch int16) {
	w.nullableString(txnID)
	w.int32(millis(txnTimeout))
	w.int64(pid)
	w.int16(epoch)
	w.tags()
}

func decodeInitProducerID(r *wireReader) (pid int64, epoch int16, throttleMillis int32, code ErrorCode, err error) {
	throttleMillis = r.int32()
	code = ErrorCode(r.int16())
	pid, epoch = r.int64(), r.int16()
	r.tags()
	return pid, epoch, throttleMillis, code, r.err
}
