package kafkawire

import (
	"context"
	"errors"
	"fmt"
)

// TxnProducer is the producer of a transaction as its coordinator knows it.
type TxnProducer struct {
	// TransactionalID is the name that outlives the process: whoever initialises
	// it next fences this one.
	TransactionalID string
	ProducerID      int64
	Epoch           int16
	// V2 is the second transaction protocol (KIP-890), for all calls of a
	// transaction or for none: see TransactionV2.
	V2 bool
}

// transactionFeature is the finalized feature that says which transaction
// protocol a cluster has agreed on; a broker in a rolling upgrade offers the
// versions of V2 before that.
const transactionFeature = "transaction.version"

// TransactionV2 says whether the coordinator of a transactional id, and so its
// cluster, follows KIP-890.
func (c *Client) TransactionV2(ctx context.Context, transactionalID string) (bool, error) {
	p, err := c.txnPeer(ctx, transactionalID, apiVersions)
	if err != nil {
		return false, err
	}
	v, err := c.versions(ctx, p)
	if err != nil {
		c.forgetCoordinator(transactionKey(transactionalID)) // it may have died
		return false, err
	}
	return v.Features[transactionFeature] >= 2 && v.APIs[int16(apiProduce)].Max > lastTransactionV1 &&
		v.APIs[int16(apiEndTxn)].Max >= 5 && v.APIs[int16(apiTxnOffsetCommit)].Max >= 5, nil
}

// lastV1 is the highest version of EndTxn and TxnOffsetCommit that the first
// transaction protocol was tried with.
const lastV1 = 3

// versionsFor narrows a request to one transaction protocol.
func (t *TxnProducer) versionsFor(r *request) *request {
	r.lo, r.hi = apis[r.api].min, lastV1
	if t.V2 {
		r.lo, r.hi = apis[r.api].max, apis[r.api].max
	}
	return r
}

// txnPeer is the coordinator of a transactional id.
func (c *Client) txnPeer(ctx context.Context, id string, api apiKey) (*peer, error) {
	node, err := c.findCoordinator(ctx, transactionKey(id))
	if err != nil {
		return nil, err
	}
	return c.peer(ctx, node, api)
}

// txnCall sends a request to the transaction's coordinator and forgets where
// that is when the answer, or its absence, says that it may have moved.
func (c *Client) txnCall(ctx context.Context, t *TxnProducer, q *request, decode func(r *wireReader) (throttleMillis int32, code ErrorCode)) error {
	p, err := c.txnPeer(ctx, t.TransactionalID, q.api)
	if err != nil {
		return err
	}
	r, err := c.call(ctx, p, q)
	if err == nil {
		throttle, code := decode(r)
		if r.err != nil {
			return c.netError(ctx, p, q.api, r.err)
		}
		c.throttled(p, q.api, throttle)
		err = p.refused(code).err()
	}
	var lost *NetError
	if errors.As(err, &lost) || errors.Is(err, ErrNotCoordinator) || errors.Is(err, ErrCoordinatorNotAvailable) {
		c.forgetCoordinator(transactionKey(t.TransactionalID))
	}
	if err != nil {
		return fmt.Errorf("%s of %q: %w", apis[q.api].name, t.TransactionalID, err)
	}
	return nil
}

// PartitionError is the refusal of one partition of a request.
type PartitionError struct {
	Topic     string
	Partition int32
	Code      ErrorCode
}

// Error implements error.
func (e *PartitionError) Error() string {
	return fmt.Sprintf("%s/%d: %v", e.Topic, e.Partition, e.Code)
}

// Unwrap returns the code.
func (e *PartitionError) Unwrap() error { return e.Code }

// AddPartitionsToTxn tells the coordinator which partitions the transaction will
// write to, before the first batch to them; only in the first protocol. A refusal
// is a *PartitionError of the first partition that has one.
func (c *Client) AddPartitionsToTxn(ctx context.Context, t *TxnProducer, parts map[string][]int32) error {
	var refused PartitionError
	err := c.txnCall(ctx, t, &request{api: apiAddPartitionsToTxn, encode: func(w *wireWriter) {
		t.encodeAddPartitions(w, parts)
	}}, func(r *wireReader) (int32, ErrorCode) {
		throttle, e := decodeAddPartitions(r)
		refused = e
		return throttle, e.Code
	})
	if err != nil && refused.Code != ErrNone {
		return fmt.Errorf("AddPartitionsToTxn of %q: %w", t.TransactionalID, &refused)
	}
	return err
}

func (t *TxnProducer) encodeAddPartitions(w *wireWriter, parts map[string][]int32) {
	t.encode(w)
	encodePartitions(w, parts)
	w.tags()
}

// encode writes the three fields that begin most requests of a transaction.
func (t *TxnProducer) encode(w *wireWriter) {
	w.string(t.TransactionalID)
	w.int64(t.ProducerID)
	w.int16(t.Epoch)
}

func decodeAddPartitions(r *wireReader) (throttleMillis int32, refused PartitionError) {
	throttleMillis = r.int32()
	for n := r.arrayLen(2); n > 0 && r.err == nil; n-- {
		topic := r.string()
		for n := r.arrayLen(6); n > 0 && r.err == nil; n-- {
			got := PartitionError{topic, r.int32(), ErrorCode(r.int16())}
			// When one partition is refused, the others were not attempted.
			if got.Code != ErrNone && (refused.Code == ErrNone || refused.Code == ErrOperationNotAttempted) {
				refused = got
			}
			r.tags()
		}
		r.tags()
	}
	r.tags()
	return throttleMillis, refused
}

// AddOffsetsToTxn tells the coordinator that the transaction will commit offsets
// of a group, before TxnOffsetCommit; only in the first protocol.
func (c *Client) AddOffsetsToTxn(ctx context.Context, t *TxnProducer, group string) error {
	return c.txnCall(ctx, t, &request{api: apiAddOffsetsToTxn, encode: func(w *wireWriter) {
		t.encodeAddOffsets(w, group)
	}}, decodeThrottleAndCode)
}

func (t *TxnProducer) encodeAddOffsets(w *wireWriter, group string) {
	t.encode(w)
	w.string(group)
	w.tags()
}

func decodeThrottleAndCode(r *wireReader) (throttleMillis int32, code ErrorCode) {
	throttleMillis, code = r.int32(), ErrorCode(r.int16())
	r.tags()
	return throttleMillis, code
}

// EndTxn commits or aborts. In the second protocol the answer carries the epoch of
// the next transaction, which begins with sequences of 0; the producer returned is
// t with it. It may be repeated when no answer came: a commit that was carried out
// succeeds again and answers the present epoch, and never turns into an abort.
func (c *Client) EndTxn(ctx context.Context, t *TxnProducer, commit bool) (next TxnProducer, err error) {
	next = *t
	err = c.txnCall(ctx, t, t.versionsFor(&request{api: apiEndTxn, encode: func(w *wireWriter) {
		t.encodeEndTxn(w, commit)
	}}), func(r *wireReader) (int32, ErrorCode) {
		throttle, code := next.decodeEndTxn(r)
		return throttle, code
	})
	if err != nil {
		return *t, err
	}
	return next, nil
}

func (t *TxnProducer) encodeEndTxn(w *wireWriter, commit bool) {
	t.encode(w)
	w.bool(commit)
	w.tags()
}

// decodeEndTxn takes over the bumped epoch where the answer has one.
func (t *TxnProducer) decodeEndTxn(r *wireReader) (throttleMillis int32, code ErrorCode) {
	throttleMillis, code = r.int32(), ErrorCode(r.int16())
	if r.version >= 5 {
		pid, epoch := r.int64(), r.int16()
		if pid >= 0 && epoch >= 0 && code == ErrNone {
			t.ProducerID, t.Epoch = pid, epoch
		}
	}
	r.tags()
	return throttleMillis, code
}

// TxnOffsets are positions that a transaction commits for a group. Generation and
// member fence them: with -1 and "" a live group takes them from anyone.
type TxnOffsets struct {
	Group                string
	Generation           int32
	MemberID, InstanceID string
	Offsets              []GroupOffset
}

// TxnOffsetCommit sends the positions to the group's coordinator, on broker node;
// they count when the transaction is committed. A refusal of any of them is an
// *OffsetsError.
func (c *Client) TxnOffsetCommit(ctx context.Context, node int32, t *TxnProducer, o *TxnOffsets) error {
	p, err := c.peer(ctx, node, apiTxnOffsetCommit)
	if err != nil {
		return err
	}
	r, err := c.call(ctx, p, t.versionsFor(&request{api: apiTxnOffsetCommit, wait: commitWait, encode: func(w *wireWriter) {
		t.encodeTxnOffsets(w, o)
	}}))
	if err != nil {
		return err
	}
	offsets, throttle, err := (&OffsetCommitRequest{Offsets: o.Offsets}).decode(r) // the answers are alike
	if err != nil {
		return c.netError(ctx, p, apiTxnOffsetCommit, err)
	}
	c.throttled(p, apiTxnOffsetCommit, throttle)
	if refused := (&OffsetsError{offsets}); refused.Unwrap() != nil {
		return refused
	}
	return nil
}

func (t *TxnProducer) encodeTxnOffsets(w *wireWriter, o *TxnOffsets) {
	w.string(t.TransactionalID)
	w.string(o.Group)
	w.int64(t.ProducerID)
	w.int16(t.Epoch)
	w.int32(o.Generation)
	w.string(o.MemberID)
	w.nullableString(o.InstanceID)
	encodeOffsets(w, o.Offsets)
	w.tags()
}

// OffsetsError is a commit that the group's coordinator refused for some of its
// partitions; each has its verdict.
type OffsetsError struct{ Offsets []GroupOffset }

// Error implements error.
func (e *OffsetsError) Error() string {
	for i := range e.Offsets {
		if o := &e.Offsets[i]; o.Err != ErrNone {
			return fmt.Sprintf("commit offset %d of %s/%d: %v", o.Offset, o.Topic, o.Partition, o.Err)
		}
	}
	return "commit offsets"
}

// Unwrap returns the first refusal.
func (e *OffsetsError) Unwrap() error {
	for i := range e.Offsets {
		if code := e.Offsets[i].Err; code != ErrNone {
			return code
		}
	}
	return nil
}

// TxnAuthorized asks the coordinator whether this principal may use a
// transactional id, without touching what runs under it: an abort by a producer
// that does not exist is refused for that only after the permission was checked.
func (c *Client) TxnAuthorized(ctx context.Context, transactionalID string) error {
	ctx, cancel := context.WithTimeout(ctx, findCoordinatorLimit)
	defer cancel()
	for {
		_, err := c.EndTxn(ctx, &TxnProducer{TransactionalID: transactionalID, ProducerID: NoProducerID, Epoch: NoProducerEpoch}, false)
		switch {
		case errors.Is(err, ErrInvalidProducerIDMapping), errors.Is(err, ErrProducerFenced),
			errors.Is(err, ErrInvalidProducerEpoch), errors.Is(err, ErrInvalidTxnState):
			return nil
		case errors.Is(err, ErrCoordinatorLoading), errors.Is(err, ErrCoordinatorNotAvailable),
			errors.Is(err, ErrNotCoordinator), errors.Is(err, ErrConcurrentTransactions):
		default:
			return err
		}
		if sleep(ctx, coordinatorRetry) != nil {
			return err
		}
	}
}
