package kafkawire

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// TxnFate is what became, or will become, of the last transaction of a transactional
// id.
type TxnFate int8

// The fates.
const (
	// FateUnknown is that of a name without a transaction since InitProducerID.
	FateUnknown TxnFate = iota
	// FateCommitted is decided, whether all markers are written or not.
	FateCommitted
	// FateAborted includes an open one: InitProducerID aborts it.
	FateAborted
)

// String is the word for logs.
func (f TxnFate) String() string {
	switch f {
	case FateCommitted:
		return "committed"
	case FateAborted:
		return "aborted"
	case FateUnknown:
	}
	return "unknown"
}

// TxnState is a transactional id as its coordinator knows it (KIP-664).
type TxnState struct {
	Fate TxnFate
	// Complete says that the coordinator has no marker left to write.
	Complete bool
	// Epoch of the producer; each transaction has one of its own in the second protocol.
	Epoch int16
}

// txnStates are the names that DescribeTransactions answers with.
var txnStates = map[string]TxnState{
	"Empty":             {Fate: FateUnknown, Complete: true},
	"Dead":              {Fate: FateUnknown, Complete: true},
	"Ongoing":           {Fate: FateAborted},
	"PrepareCommit":     {Fate: FateCommitted},
	"CompleteCommit":    {Fate: FateCommitted, Complete: true},
	"PrepareAbort":      {Fate: FateAborted},
	"PrepareEpochFence": {Fate: FateAborted},
	"CompleteAbort":     {Fate: FateAborted, Complete: true},
}

// DescribeTransaction asks the coordinator what a transactional id's last transaction
// came to; for one that nobody has used all is unknown and complete. It retries until
// ctx ends while the coordinator loads or moves.
func (c *Client) DescribeTransaction(ctx context.Context, transactionalID string) (state TxnState, err error) {
	t := &TxnProducer{TransactionalID: transactionalID}
	err = c.retryTxn(ctx, func() error {
		var name string
		var epoch int16
		err := c.txnCall(ctx, t, &request{api: apiDescribeTxns, encode: func(w *wireWriter) {
			encodeDescribeTxn(w, transactionalID)
		}}, func(r *wireReader) (throttle int32, code ErrorCode) {
			throttle, code, name, epoch = decodeDescribeTxn(r)
			return throttle, code
		})
		switch known := false; {
		case errors.Is(err, ErrTransactionalIDNotFound):
			state, err = TxnState{Complete: true}, nil
		case err == nil:
			if state, known = txnStates[name]; !known {
				err = fmt.Errorf("DescribeTransactions of %q: unknown state %q", transactionalID, name)
			}
			state.Epoch = epoch
		}
		return err
	})
	return state, err
}

func encodeDescribeTxn(w *wireWriter, id string) {
	w.arrayLen(1)
	w.string(id)
	w.tags()
}

// decodeDescribeTxn reads the state of the only id and its epoch.
func decodeDescribeTxn(r *wireReader) (throttleMillis int32, code ErrorCode, state string, epoch int16) {
	throttleMillis = r.int32()
	for n := r.arrayLen(27); n > 0 && r.err == nil; n-- {
		code = ErrorCode(r.int16())
		_ = r.string() // the id
		state = r.string()
		_, _ = r.int32(), r.int64() // timeout, start
		_ = r.int64()               // producer id
		epoch = r.int16()
		for n := r.arrayLen(3); n > 0 && r.err == nil; n-- {
			_, _ = r.string(), r.int32s() // partitions that have no marker yet
			r.tags()
		}
		r.tags()
	}
	r.tags()
	return throttleMillis, code, state, epoch
}

// TransactionalIDs lists the transactional ids that begin so, of all coordinators;
// only those that this principal may describe (KIP-664).
func (c *Client) TransactionalIDs(ctx context.Context, prefix string) ([]string, error) {
	meta, err := c.metadata(ctx, nil, false)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, b := range meta.Brokers {
		p, err := c.peer(ctx, b.ID, apiListTxns)
		if err != nil {
			return nil, err
		}
		r, err := c.call(ctx, p, &request{api: apiListTxns, encode: encodeListTxns})
		if err != nil {
			return nil, err
		}
		throttle, code, some := decodeListTxns(r, prefix)
		if r.err != nil {
			return nil, c.netError(ctx, p, apiListTxns, r.err)
		}
		c.throttled(p, apiListTxns, throttle)
		if err := p.refused(code).err(); err != nil {
			return nil, fmt.Errorf("list the transactions of broker %d: %w", b.ID, err)
		}
		ids = append(ids, some...)
	}
	return ids, nil
}

func encodeListTxns(w *wireWriter) {
	w.arrayLen(0) // any state
	w.arrayLen(0) // any producer
	w.tags()
}

func decodeListTxns(r *wireReader, prefix string) (throttleMillis int32, code ErrorCode, ids []string) {
	throttleMillis, code = r.int32(), ErrorCode(r.int16())
	for n := r.arrayLen(1); n > 0 && r.err == nil; n-- { // states it does not know
		_ = r.string()
	}
	for n := r.arrayLen(11); n > 0 && r.err == nil; n-- {
		id := r.string()
		_, _ = r.int64(), r.string() // producer, state
		r.tags()
		if strings.HasPrefix(id, prefix) {
			ids = append(ids, id)
		}
	}
	r.tags()
	return throttleMillis, code, ids
}

// TxnScope is where a transactional id may have written: partitions by topic, and the
// group whose positions it commits ("" for none).
type TxnScope struct {
	Partitions map[string][]int32
	Group      string
}

// MarkAgain writes the marker of a fate to everything in scope, in a transaction
// without records. Kafka 4.1 to 4.3 take a partition without a leader for deleted
// while they complete a transaction, as all are when a lone broker comes back, and
// leave its marker out (KAFKA-20734): readers in read_committed and the group's
// positions then wait for it for good, and an answered commit is half undone. A
// marker where no transaction is open changes nothing. t is what InitProducerID
// answered last; the next transaction needs a new epoch, so call that again.
func (c *Client) MarkAgain(ctx context.Context, t TxnProducer, scope TxnScope, fate TxnFate) error {
	t.V2 = false // only the first protocol adds a partition without a record
	if len(scope.Partitions) > 0 {
		if err := c.retryTxn(ctx, func() error { return c.AddPartitionsToTxn(ctx, &t, scope.Partitions) }); err != nil {
			return err
		}
	}
	if scope.Group != "" {
		if err := c.retryTxn(ctx, func() error { return c.AddOffsetsToTxn(ctx, &t, scope.Group) }); err != nil {
			return err
		}
	}
	return c.retryTxn(ctx, func() error {
		_, err := c.EndTxn(ctx, &t, fate == FateCommitted)
		return err
	})
}

// retryTxn repeats a request to a transaction's coordinator until ctx ends while it
// loads, moves, or completes the transaction before.
func (c *Client) retryTxn(ctx context.Context, call func() error) error {
	for {
		err := call()
		var lost *NetError
		switch {
		case errors.As(err, &lost):
		case errors.Is(err, ErrNotCoordinator), errors.Is(err, ErrCoordinatorNotAvailable),
			errors.Is(err, ErrCoordinatorLoading), errors.Is(err, ErrConcurrentTransactions):
		default:
			return err
		}
		if sleep(ctx, coordinatorRetry) != nil {
			return err
		}
	}
}
