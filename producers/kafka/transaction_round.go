package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sluice-ml/sluice/internal/kafkawire"
	"github.com/sluice-ml/sluice/pipeline"
)

// Transact runs one transaction: the oldest content that waits, together with the
// positions that plan gives when told where the content moves its epochs. plan
// answers nil for no positions, and false when one of the epochs is not its own any
// more. more says that further content waits.
//
// With an error the transaction was not committed, or nobody knows: its items, and
// all that wait behind it, are settled with pipeline.ErrRedo. It must be called
// again also when nothing was sent, until it succeeds: only that ends a transaction
// in doubt. An error matching pipeline.ErrSuperseded is for good.
func (s *TransactionalSink) Transact(ctx context.Context, plan func(moved map[*pipeline.Partition]int64) (*kafkawire.TxnOffsets, bool)) (more bool, err error) {
	if s.mend.Swap(false) {
		s.txn.mend(s.scope())
	}
	if err := s.txn.ready(ctx); err != nil {
		if errors.Is(err, pipeline.ErrSuperseded) {
			s.Drop(fmt.Errorf("%w: %w", pipeline.ErrRedo, err))
		}
		return false, err
	}
	s.probe(ctx)
	s.forgetEnded()
	c := s.oldest()
	moved, ok := c.positions()
	var offsets *kafkawire.TxnOffsets
	if ok {
		offsets, ok = plan(moved)
	}
	if !ok {
		s.drop(c, fmt.Errorf("%w: a partition was given up meanwhile", pipeline.ErrRedo))
		return false, nil
	}
	if offsets == nil && c.empty() {
		return false, nil
	}
	if err := s.txn.commit(ctx, c, offsets); err != nil {
		s.outcomes.With("aborted").Add(1)
		s.learn(c, err)
		s.drop(c, fmt.Errorf("%w: %w", pipeline.ErrRedo, err))
		return false, err
	}
	s.outcomes.With("committed").Add(1)
	return s.committed(c), nil
}

// oldest takes the content that has waited longest; it may be empty.
func (s *TransactionalSink) oldest() *content {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.full) > 0 {
		c := s.full[0]
		s.full = s.full[1:]
		return c
	}
	if s.filling.empty() {
		return newContent() // not the one that is being filled
	}
	c := s.filling
	for _, q := range c.order {
		q.to.topic.turn(q.to)
	}
	s.filling = newContent()
	return c
}

// committed settles a content's items.
func (s *TransactionalSink) committed(c *content) (more bool) {
	s.mu.Lock()
	if len(s.refused) > 0 {
		for _, it := range c.items {
			delete(s.refused, sourceOf(it))
		}
	}
	if c.bytes >= s.maxBytes/2 {
		s.maxBytes = min(2*s.maxBytes, maxContentBytes)
	}
	more = len(s.full) > 0 || len(s.filling.items) >= s.tcfg.MaxRecords
	s.mu.Unlock()
	s.settle(c, nil)
	return more
}

// learn keeps what a failed write said about records, partitions and sizes, so
// that the next try does not fail for the same reason.
func (s *TransactionalSink) learn(c *content, err error) {
	var w *writeError
	if !errors.As(err, &w) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for it, tooLarge := range w.refused {
		r := s.refused[sourceOf(it)]
		if it.Err == nil {
			r.prediction, r.tooLarge = true, tooLarge
		} else {
			r.letter = true
		}
		s.refused[sourceOf(it)] = r
	}
	for _, q := range w.down {
		s.takeOut(q.to, q.err)
	}
	if len(w.down) > 0 && c.bytes > minContentBytes {
		s.maxBytes = max(c.bytes/2, minContentBytes)
	}
}

// takeOut keeps a partition out of the next transactions. mu is held.
func (s *TransactionalSink) takeOut(to *target, cause error) {
	if to.down != nil {
		return
	}
	after := s.cfg.Producer.ProbeAfter
	to.down = &outage{why: unwritable(to.topic.name, to.id, cause), probeAt: time.Now().Add(after), after: after}
	s.meters.unwritable.Set(s.meters.unwritable.Value() + 1)
	s.warned.log.Error("output partition gave up", "topic", to.topic.name, "partition", to.id, "error", to.down.why)
}

// probe tries the partitions that are down and due.
func (s *TransactionalSink) probe(ctx context.Context) {
	s.mu.Lock()
	var due []*target
	for _, t := range s.topics() {
		for _, to := range t.parts {
			if to.down != nil && !time.Now().Before(to.down.probeAt) {
				due = append(due, to)
			}
		}
	}
	s.mu.Unlock()
	for _, to := range due {
		one, cancel := context.WithTimeout(ctx, s.cfg.Producer.ProbeAfter)
		err := to.probe(one, s.client)
		cancel()
		s.mu.Lock()
		if err == nil {
			to.down = nil
			s.meters.unwritable.Set(s.meters.unwritable.Value() - 1)
			s.warned.log.Info("output partition is writable again", "topic", to.topic.name, "partition", to.id)
		} else {
			to.down.after = min(2*to.down.after, maxProbeAfter)
			to.down.probeAt = time.Now().Add(to.down.after)
		}
		s.mu.Unlock()
	}
}

// topics are the output topics, each once.
func (s *TransactionalSink) topics() []*targetTopic {
	all, seen := []*targetTopic{s.out}, map[*targetTopic]bool{}
	for _, t := range s.letters {
		if !seen[t] {
			seen[t] = true
			all = append(all, t)
		}
	}
	return all
}

// forgetEnded drops what is remembered of epochs that are closed.
func (s *TransactionalSink) forgetEnded() {
	s.mu.Lock()
	lanes := make([]*pipeline.Partition, 0, len(s.broken))
	for lane := range s.broken {
		lanes = append(lanes, lane)
	}
	s.mu.Unlock()
	for _, lane := range lanes {
		if lane.Closed() {
			s.mu.Lock()
			delete(s.broken, lane)
			s.mu.Unlock()
		}
	}
}

// warner logs the first of repeated errors of a kind. Safe for concurrent use.
type warner struct {
	log *slog.Logger

	mu   sync.Mutex
	last map[string]time.Time
}

func newWarner(log *slog.Logger) *warner { return &warner{log: log, last: map[string]time.Time{}} }

func (w *warner) warn(message string, err error) {
	key := message + reason(err)
	w.mu.Lock()
	again := time.Since(w.last[key]) < warnEvery
	if !again {
		w.last[key] = time.Now()
	}
	w.mu.Unlock()
	if !again {
		w.log.Warn(message, "error", err)
	}
}
