package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluice-ml/sluice/internal/kafkawire"
	"github.com/sluice-ml/sluice/pipeline"
)

// errRefusedRecords ends a transaction with records that the broker will never
// take: when it is made again, they are dead letters.
var errRefusedRecords = errors.New("the broker refuses records of the transaction, which become dead letters")

// mendable is how long a transaction waits for an output partition that refuses
// records for something that may mend itself, such as a leader that does not know
// its topic yet; a guess above what a leader move takes.
const mendable = time.Second

// writing is the production of one content.
type writing struct {
	t *transactor
	// refused are the items whose record the broker will not take; true for size.
	refused map[*pipeline.Item]bool
	// failed ends the transaction: the reason, and the output partition that is
	// at fault, if it is one.
	failed error
	down   []*queue
}

// writeError is a transaction that could not be written.
type writeError struct {
	err     error
	refused map[*pipeline.Item]bool
	down    []*queue // output partitions that take no records; why is in queue.err
}

// Error implements error.
func (e *writeError) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *writeError) Unwrap() error { return e.err }

// write puts every batch into the transaction: the same bytes until there is a
// definite answer, one batch at a time of each partition, the partitions of one
// broker together.
func (t *transactor) write(ctx context.Context, c *content) error {
	if !t.producer.V2 {
		if err := t.repeat(ctx, func(ctx context.Context) error {
			return t.client.AddPartitionsToTxn(ctx, &t.producer, c.partitions())
		}); err != nil {
			return c.notAdded(err)
		}
	}
	w := &writing{t: t, refused: map[*pipeline.Item]bool{}}
	pauses := newPauses()
	for {
		requests, waiting := w.plan(ctx, c)
		if !waiting {
			break
		}
		moved := w.round(ctx, requests)
		switch {
		case w.failed != nil:
			return &writeError{w.failed, w.refused, w.down}
		case moved:
			pauses.Reset()
		case !rest(ctx, pauses.NextBackOff()):
			return w.expired(ctx, c)
		}
	}
	if len(w.refused) > 0 {
		return &writeError{errRefusedRecords, w.refused, nil}
	}
	return nil
}

// notAdded finds the partition that may not be written.
func (c *content) notAdded(err error) error {
	var refused *kafkawire.PartitionError
	if !errors.As(err, &refused) || ruleFor(refused.Code).action != persist || aborts(refused) {
		return err
	}
	for _, q := range c.order {
		if q.to.id == refused.Partition && q.to.topic.name == refused.Topic {
			q.err = refused.Code
			return &writeError{err: err, down: []*queue{q}}
		}
	}
	return err
}

// partitions are the output partitions of a content, by topic.
func (c *content) partitions() map[string][]int32 {
	parts := map[string][]int32{}
	for _, q := range c.order {
		parts[q.to.topic.name] = append(parts[q.to.topic.name], q.to.id)
	}
	return parts
}

// plan puts the next batch of every partition into one request per leader;
// waiting is false when nothing is left.
func (w *writing) plan(ctx context.Context, c *content) (requests map[int32][]*queue, waiting bool) {
	requests = map[int32][]*queue{}
	for _, q := range c.order {
		if q.head() == nil {
			continue
		}
		waiting = true
		one, cancel := context.WithTimeout(ctx, w.t.tryLimit())
		node, _, err := w.t.client.Leader(one, q.to.topic.name, q.to.id)
		cancel()
		if err != nil {
			w.judge(q, err, nil)
			continue
		}
		requests[node] = append(requests[node], q)
	}
	return requests, waiting
}

// expired is the end of a transaction's time. Partitions that did not take their
// batch while others did are taken out of the next ones; where none did, the
// cluster is away, and waiting for it is all there is to do.
func (w *writing) expired(ctx context.Context, c *content) error {
	if errors.Is(ctx.Err(), context.Canceled) { // the generation ends: nobody's fault
		return context.Cause(ctx)
	}
	err := fmt.Errorf("not written within %v", w.t.limit())
	some := slices.ContainsFunc(c.order, func(q *queue) bool { return q.head() == nil })
	for _, q := range c.order {
		if q.head() == nil || q.err == nil {
			continue
		}
		if some {
			w.down = append(w.down, q)
		}
		err = fmt.Errorf("%s/%d not written within %v: %w", q.to.topic.name, q.to.id, w.t.limit(), q.err)
	}
	return &writeError{err, w.refused, w.down}
}

// round sends the requests, all at once, and judges the answers; moved says that
// something was written.
func (w *writing) round(ctx context.Context, requests map[int32][]*queue) (moved bool) {
	var all sync.WaitGroup
	answers := make(map[int32]*kafkawire.ProduceResponse, len(requests))
	failures := make(map[int32]error, len(requests))
	var mu sync.Mutex
	for node, queues := range requests {
		all.Go(func() { // ends with the request
			res, err := w.t.produce(ctx, node, queues)
			mu.Lock()
			defer mu.Unlock()
			answers[node], failures[node] = res, err
		})
	}
	all.Wait()
	for node, queues := range requests {
		for _, q := range queues {
			records, err := verdictOf(answers[node], failures[node], q.to)
			if w.judge(q, err, records) {
				moved = true
			}
		}
	}
	return moved
}

// produce sends the heads of these queues to their leader.
func (t *transactor) produce(ctx context.Context, node int32, queues []*queue) (*kafkawire.ProduceResponse, error) {
	req := &kafkawire.ProduceRequest{
		TransactionalID: t.id, TransactionV2: t.producer.V2, Timeout: min(t.cfg.RequestTimeout, t.tryLimit()),
	}
	for _, q := range sortedByTopic(queues) {
		b := q.head()
		b.stamp(t.cfg.Compression, &t.producer, t.sequences[q.to])
		req.Partitions = append(req.Partitions, kafkawire.ProducePartition{
			Topic: q.to.topic.name, Partition: q.to.id, Records: [][]byte{b.wire},
		})
	}
	t.meters.requests.Add(1)
	ctx, cancel := context.WithTimeout(ctx, t.tryLimit())
	defer cancel()
	return t.client.Produce(ctx, node, req)
}

// verdictOf finds a partition's part of an answer.
func verdictOf(res *kafkawire.ProduceResponse, err error, to *target) ([]kafkawire.RecordError, error) {
	if err != nil {
		return nil, err
	}
	for i := range res.Partitions {
		if got := &res.Partitions[i]; got.Partition == to.id && got.Topic == to.topic.name {
			if got.Err == kafkawire.ErrNone {
				return nil, nil
			}
			return got.RecordErrors, got.Err
		}
	}
	return nil, errNoAnswer
}

// aborts are the codes after which a transaction cannot be committed, whatever the
// table of plain produces says.
func aborts(err error) bool {
	return isOneOf(err, kafkawire.ErrInvalidTxnState, kafkawire.ErrTransactionAbortable,
		kafkawire.ErrTransactionalIDAuthorization, kafkawire.ErrUnsupportedVersion) ||
		ruleFor(err).action == renumber // 45, 47, 49, 59, 90
}

// judge does what the answer asks for; it reports whether the partition moved.
func (w *writing) judge(q *queue, err error, records []kafkawire.RecordError) (moved bool) {
	b := q.head()
	if r := ruleFor(err); r.action == done {
		w.t.advance(q.to, len(b.items))
		q.next++
		q.err, q.refused = nil, time.Time{}
		return true
	}
	w.t.meters.retries.With(reason(err)).Add(1)
	w.t.heard(err)
	q.err = err
	if q.refused.IsZero() {
		q.refused = time.Now()
	}
	if aborts(err) {
		w.fail(fmt.Errorf("write to %s/%d: %w", q.to.topic.name, q.to.id, err))
		return false
	}
	switch r := ruleFor(err); r.action {
	case split:
		w.t.client.Forget(q.to.topic.name)
		w.halve(q, true)
	case refuse:
		w.drop(q, records)
	case retime:
		return w.retime(q, records)
	case persist:
		w.persist(q)
		return false
	case relocate:
		w.t.client.Forget(q.to.topic.name)
		return false
	default: // again
		return false
	}
	return true // something was done about it: no pause
}

func (w *writing) fail(err error) {
	if w.failed == nil {
		w.failed = err
	}
}

// advance moves a partition's sequence; it wraps at 2^31 as the broker's.
func (t *transactor) advance(to *target, n int) {
	t.sequences[to] = int32((int64(t.sequences[to]) + int64(n)) & 0x7fffffff)
}

// persist waits for what may mend itself, and takes the partition out of the next
// transactions where it does not.
func (w *writing) persist(q *queue) {
	w.t.client.Forget(q.to.topic.name)
	maybe := isOneOf(q.err, kafkawire.ErrUnknownTopicOrPartition, kafkawire.ErrUnknownTopicID, kafkawire.ErrCorruptMessage)
	if maybe && time.Since(q.refused) < mendable {
		return
	}
	w.down = append(w.down, q)
	w.fail(fmt.Errorf("write to %s/%d: %w", q.to.topic.name, q.to.id, q.err))
}

// halve splits a batch that is refused, down to the record that is the reason. The
// sequence was not used up.
func (w *writing) halve(q *queue, tooLarge bool) {
	b := q.head()
	n := len(b.items)
	if n == 1 {
		w.refused[b.items[0]] = tooLarge
		q.replace()
		return
	}
	q.replace(b.rebuild(2, func(i int, ts int64) (int, int64) { return 2 * i / n, ts })...)
}

// drop takes the records out that the broker names, or looks for them.
func (w *writing) drop(q *queue, records []kafkawire.RecordError) {
	b := q.head()
	named := namedRecords(records, len(b.items))
	if len(named) == 0 {
		w.halve(q, false)
		return
	}
	for i := range named {
		w.refused[b.items[i]] = false
	}
	parts := b.rebuild(2, func(i int, ts int64) (int, int64) {
		if named[i] {
			return 1, ts
		}
		return 0, ts
	})
	if parts[1] != nil {
		parts[1].recycle()
	}
	q.replace(parts[0])
}

// retime sends the records that the broker names, or all, with the time of now,
// once.
func (w *writing) retime(q *queue, records []kafkawire.RecordError) (moved bool) {
	b := q.head()
	if b.retimed {
		w.persist(q)
		return false
	}
	named, now := namedRecords(records, len(b.items)), time.Now().UnixMilli()
	parts := b.rebuild(1, func(i int, ts int64) (int, int64) {
		if len(named) == 0 || named[i] {
			return 0, now
		}
		return 0, ts
	})
	parts[0].retimed = true
	q.replace(parts[0])
	return true
}

// namedRecords is the set of a batch's records that an answer names.
func namedRecords(records []kafkawire.RecordError, count int) map[int]bool {
	named := map[int]bool{}
	for _, r := range records {
		if r.Index >= 0 && int(r.Index) < count {
			named[int(r.Index)] = true
		}
	}
	return named
}

// sortedByTopic puts the queues of one topic together: one entry per topic in the
// request.
func sortedByTopic(queues []*queue) []*queue {
	slices.SortStableFunc(queues, func(a, b *queue) int { return strings.Compare(a.to.topic.name, b.to.topic.name) })
	return queues
}
