package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/sluice-ml/sluice/internal/failpoint"
	"github.com/sluice-ml/sluice/internal/kafkawire"
	"github.com/sluice-ml/sluice/pipeline"
)

// transactor is the producer of one transactional id: it writes one content after
// the other, each in a transaction of its own.
//
//	none --InitProducerID(-1,-1)--> ready --first request--> open --EndTxn ok--> ready
//	 ^                               ^                        |
//	 | fenced, id expired            | InitProducerID(own id, own epoch)
//	 +-------------------------- in doubt <--any error--------+
//
// Whatever goes wrong in a transaction, it is in doubt, and what settles the doubt
// is InitProducerID with the own id and epoch: it aborts what is open, finishes a
// commit that was decided, and is refused only when another process took the name.
// Which of it happened is told by the committed offsets, from which the outcomes
// are made again. Where a broker was away, the markers of that are written again before
// the next transaction (markAgain). Only one goroutine at a time uses it.
type transactor struct {
	client  *kafkawire.Client
	log     *slog.Logger
	id      string
	timeout time.Duration
	cfg     ProducerConfig
	meters  producerMeters

	producer kafkawire.TxnProducer
	none     bool // no producer id: ask for a new one, which fences all others
	doubt    bool // a transaction may be open, or a request of one still be on its way
	// unanswered says that a request of this epoch was repeated because no answer came.
	unanswered bool
	// shaken says that a broker was away, or a partition without a leader: markers of
	// what was answered before may be missing (kafkawire.Client.MarkAgain).
	shaken bool
	// mending says that a marker is missing for certain: see mend.
	mending bool
	// fate of the last transaction, from before it was forgotten by InitProducerID.
	fate kafkawire.TxnFate
	// scope is where this process has written, and so where markers may be missing.
	scope scope
	// sequences are the next ones of the present producer id and epoch.
	sequences map[*target]int32
	// fenced are the times at which another process had taken the name.
	fenced    []time.Time
	notBefore time.Time
	failed    error // for good
}

func newTransactor(client *kafkawire.Client, id string, timeout time.Duration, cfg ProducerConfig, log *slog.Logger, meters producerMeters) *transactor {
	return &transactor{
		client: client, log: log, id: id, timeout: timeout, cfg: cfg, meters: meters,
		producer: kafkawire.TxnProducer{TransactionalID: id}, none: true,
		sequences: map[*target]int32{}, scope: scope{parts: map[*target]bool{}},
	}
}

// scope is what the transactions of a process reach.
type scope struct {
	parts map[*target]bool
	group string
}

// wire is the scope by names.
func (s *scope) wire() kafkawire.TxnScope {
	w := kafkawire.TxnScope{Partitions: map[string][]int32{}, Group: s.group}
	for to := range s.parts {
		w.Partitions[to.topic.name] = append(w.Partitions[to.topic.name], to.id)
	}
	return w
}

// limit is how long a transaction may take from its first request to the last: the
// coordinator aborts it after the timeout, and counts from a little earlier.
func (t *transactor) limit() time.Duration { return t.timeout * 2 / 3 }

// tryLimit bounds one request, so that a connection gone silent leaves time for
// another try.
func (t *transactor) tryLimit() time.Duration { return t.limit() / 3 }

const (
	// A name taken over more often than maxFenced times within fencedWindow is
	// used by another live process; an heir that ends a dead owner's transaction
	// takes it once.
	maxFenced    = 3
	fencedWindow = time.Minute
	// releaseLimit is what the end of a transaction may cost a stop.
	releaseLimit = 2 * time.Second
	// fencedPause lets the group say first who the member of that name is.
	fencedPause = time.Second
)

// ready makes sure that there is a producer id and no transaction in doubt.
func (t *transactor) ready(ctx context.Context) error {
	switch {
	case t.failed != nil:
		return t.failed
	case !t.none && !t.doubt:
		return nil
	case time.Now().Before(t.notBefore):
		return fmt.Errorf("transactional id %q: waits after it was taken over: %w", t.id, kafkawire.ErrProducerFenced)
	}
	pid, epoch := kafkawire.NoProducerID, kafkawire.NoProducerEpoch
	if !t.none {
		pid, epoch = t.producer.ProducerID, t.producer.Epoch
	}
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	// Decided anew with each id, never within one: a broker does not refuse a
	// mixture cleanly.
	v2, err := t.client.TransactionV2(ctx, t.id)
	if err != nil {
		return fmt.Errorf("transactional id %q: %w", t.id, err)
	}
	if err := t.ask(ctx); err != nil {
		return err
	}
	pid, epoch, err = t.client.InitProducerID(ctx, t.id, t.timeout, pid, epoch)
	if err != nil {
		return t.refused(err)
	}
	t.producer.ProducerID, t.producer.Epoch, t.producer.V2, t.none = pid, epoch, v2, false
	clear(t.sequences)
	if t.doubt && t.shaken && t.fate != kafkawire.FateUnknown {
		if err := t.markAgain(ctx); err != nil {
			return err
		}
	}
	if t.doubt { // else the fate is a former life's, kept for mend
		t.fate = kafkawire.FateUnknown
	}
	t.doubt, t.unanswered, t.shaken, t.mending = false, false, false, false
	return nil
}

// ask notes the fate of the last transaction where it may matter: before the name is
// initialised, which makes the coordinator forget it. Each try asks: what is open may be
// one that marks again, which InitProducerID would abort with all that it reaches.
func (t *transactor) ask(ctx context.Context) error {
	if !t.shaken {
		return nil
	}
	state, err := t.client.DescribeTransaction(ctx, t.id)
	switch {
	case err == nil && state.Fate != kafkawire.FateUnknown:
		t.fate = state.Fate
	case err == nil && t.fate == kafkawire.FateUnknown && t.mending:
		t.fate = kafkawire.FateAborted // initialised since: as the heir decides, see there
	case err == nil: // as told before
	case errors.Is(err, kafkawire.ErrUnsupportedVersion), isOneOf(err, kafkawire.ErrTransactionalIDAuthorization):
		// Before Kafka 3.0, or not allowed to Describe: nothing is marked again.
	default:
		return fmt.Errorf("transactional id %q: %w", t.id, err)
	}
	return nil
}

// markAgain writes the markers that a broker may have left out when it came back.
func (t *transactor) markAgain(ctx context.Context) error {
	err := t.client.MarkAgain(ctx, t.producer, t.scope.wire(), t.fate)
	var gone *kafkawire.PartitionError
	switch {
	case errors.As(err, &gone):
		t.log.Warn("markers of the last transaction were not made sure of", "transactional_id", t.id, "error", err)
	case err != nil:
		return t.refused(err)
	default:
		t.log.Info("made sure of the markers of the last transaction", "transactional_id", t.id, "fate", t.fate.String())
	}
	// In the first protocol, which writes them, epochs do not grow: see commit.
	pid, epoch, err := t.client.InitProducerID(ctx, t.id, t.timeout, t.producer.ProducerID, t.producer.Epoch)
	if err != nil {
		return t.refused(err)
	}
	t.producer.ProducerID, t.producer.Epoch = pid, epoch
	return nil
}

// mend makes ready mark everything in this scope again: offsets of the group wait for
// a transaction that nobody has open.
func (t *transactor) mend(all scope) {
	t.scope, t.doubt, t.shaken, t.mending = all, true, true, true
}

// release ends a transaction in doubt when no other follows: open, it would hide what
// others write behind it from readers in read_committed until it times out, which the
// coordinator looks for every 10 s only.
func (t *transactor) release(ctx context.Context) error {
	if t.failed != nil || t.none || !t.doubt {
		return nil // nothing was begun, or another process ended it
	}
	ctx, cancel := context.WithTimeout(ctx, releaseLimit)
	defer cancel()
	return t.repeat(ctx, t.ready)
}

// refused sorts the answers to InitProducerID.
func (t *transactor) refused(err error) error {
	switch {
	case isOneOf(err, kafkawire.ErrProducerFenced, kafkawire.ErrInvalidProducerEpoch):
		return t.takenOver(err)
	case isOneOf(err, kafkawire.ErrInvalidProducerIDMapping, kafkawire.ErrUnknownProducerID):
		t.none = true // expired: transactional.id.expiration.ms, 7 days by default
	case isOneOf(err, kafkawire.ErrInvalidTxnTimeout):
		t.failed = fmt.Errorf("transaction.timeout %v is above the broker's transaction.max.timeout.ms (15m by default): %w", t.timeout, err)
		return t.failed
	case isOneOf(err, kafkawire.ErrTransactionalIDAuthorization):
		return fmt.Errorf("%w; %s", err, TransactionACL(t.id))
	}
	return fmt.Errorf("transactional id %q: %w", t.id, err)
}

// takenOver notes that another process initialised the name. It may have been an
// heir that took this one for dead: then the name is taken back.
func (t *transactor) takenOver(cause error) error {
	now := time.Now()
	kept := t.fenced[:0]
	for _, at := range t.fenced {
		if now.Sub(at) < fencedWindow {
			kept = append(kept, at)
		}
	}
	kept = append(kept, now)
	t.fenced = kept
	if len(t.fenced) > maxFenced {
		t.failed = fmt.Errorf("%w: transactional id %q was taken over %d times within %v; give each process its own input.instance: %w",
			pipeline.ErrSuperseded, t.id, len(t.fenced), fencedWindow, cause)
		return t.failed
	}
	t.none, t.notBefore, t.fate = true, now.Add(fencedPause), kafkawire.FateUnknown
	t.log.Warn("transactional id was taken over by another process", "transactional_id", t.id, "error", cause)
	return fmt.Errorf("transactional id %q: %w", t.id, cause)
}

// TransactionACL is the command that grants what a transactional id needs.
func TransactionACL(id string) string {
	return "allow Describe and Write: kafka-acls.sh --add --operation Write --operation Describe --transactional-id " + id
}

// commit writes the content and commits it together with the offsets, which may be
// nil. An error means that it was aborted, or that its fate is unknown until ready.
func (t *transactor) commit(ctx context.Context, c *content, offsets *kafkawire.TxnOffsets) (err error) {
	defer func() { // a right that was taken away meanwhile
		if isOneOf(err, kafkawire.ErrTransactionalIDAuthorization) {
			err = fmt.Errorf("transactional id %q: %w; %s", t.id, err, TransactionACL(t.id))
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, t.limit())
	defer cancel()
	t.doubt, t.fate = true, kafkawire.FateUnknown
	for _, q := range c.order {
		t.scope.parts[q.to] = true
	}
	failpoint.Here(failpoint.TxnBegin)
	if !c.empty() {
		if err := t.write(ctx, c); err != nil {
			return err
		}
	}
	failpoint.Here(failpoint.TxnProduced)
	pipeline.Written(c.items)
	if offsets != nil {
		t.scope.group = offsets.Group
		if err := t.offsets(ctx, offsets); err != nil {
			return err
		}
	}
	failpoint.Here(failpoint.TxnOffsets)
	failpoint.Soon(failpoint.TxnEnding)
	next, err := t.end(ctx)
	if err != nil {
		return err
	}
	failpoint.Here(failpoint.TxnEnded)
	if next.ProducerID != t.producer.ProducerID || next.Epoch != t.producer.Epoch {
		clear(t.sequences)
	}
	// A request that was repeated may arrive after all. In the first protocol the next
	// transaction has the same epoch, and a late EndTxn would commit it without its
	// positions: a new epoch refuses what is late. The second protocol has one each time.
	t.producer, t.doubt = next, t.shaken || t.unanswered && !next.V2
	return nil
}

// offsets puts the positions into the transaction.
func (t *transactor) offsets(ctx context.Context, o *kafkawire.TxnOffsets) error {
	if !t.producer.V2 {
		if err := t.repeat(ctx, func(ctx context.Context) error {
			return t.client.AddOffsetsToTxn(ctx, &t.producer, o.Group)
		}); err != nil {
			return err
		}
	}
	return t.repeat(ctx, func(ctx context.Context) error {
		node, err := t.client.FindCoordinator(ctx, o.Group)
		if err != nil {
			return err
		}
		err = t.client.TxnOffsetCommit(ctx, node, &t.producer, o)
		if err != nil && elsewhere(err) {
			t.client.ForgetCoordinator(o.Group)
		}
		return err
	})
}

// end commits. The same request is repeated until it has an answer: a commit that
// was carried out succeeds again.
func (t *transactor) end(ctx context.Context) (next kafkawire.TxnProducer, err error) {
	err = t.repeat(ctx, func(ctx context.Context) (err error) {
		next, err = t.client.EndTxn(ctx, &t.producer, true)
		return err
	})
	return next, err
}

// elsewhere says that the coordinator may have moved.
func elsewhere(err error) bool {
	var lost *kafkawire.NetError
	return errors.As(err, &lost) || errors.Is(err, kafkawire.ErrNotCoordinator) || errors.Is(err, kafkawire.ErrCoordinatorNotAvailable)
}

// passing says that the same request to a coordinator may well succeed soon.
func passing(err error) bool {
	return elsewhere(err) || isOneOf(err, kafkawire.ErrCoordinatorLoading, kafkawire.ErrConcurrentTransactions, kafkawire.ErrRequestTimedOut,
		kafkawire.ErrNotEnoughReplicas, kafkawire.ErrNotEnoughReplicasAfterAppend, kafkawire.ErrThrottlingQuota)
}

// isOneOf says whether err is one of these answers of a broker.
func isOneOf(err error, codes ...kafkawire.ErrorCode) bool {
	code, ok := codeOf(err)
	return ok && slices.Contains(codes, code)
}

// repeat tries while the error is passing and ctx lasts.
func (t *transactor) repeat(ctx context.Context, f func(ctx context.Context) error) error {
	pauses := newPauses()
	for {
		one, cancel := context.WithTimeout(ctx, t.tryLimit())
		err := f(one)
		cancel()
		t.heard(err)
		if err == nil || !passing(err) || !rest(ctx, pauses.NextBackOff()) {
			return err
		}
	}
}

// heard notes a request that may have been sent and had no answer, and what says that
// a broker was away.
func (t *transactor) heard(err error) {
	var lost *kafkawire.NetError
	if errors.As(err, &lost) || errors.Is(err, context.DeadlineExceeded) {
		t.unanswered, t.shaken = true, true
	}
	if isOneOf(err, kafkawire.ErrNotCoordinator, kafkawire.ErrCoordinatorNotAvailable, kafkawire.ErrCoordinatorLoading,
		kafkawire.ErrNotLeader, kafkawire.ErrLeaderNotAvailable) {
		t.shaken = true
	}
}

// newPauses are between tries in a transaction: 5 ms is about what a coordinator
// needs to finish the transaction before; outages end with the transaction's limit.
func newPauses() *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(backoff.WithInitialInterval(5*time.Millisecond),
		backoff.WithMaxInterval(200*time.Millisecond), backoff.WithMaxElapsedTime(0))
}

// rest waits; false when ctx ended first.
func rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
