package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-ml/sluice/internal/kafkawire"
	"github.com/sluice-ml/sluice/internal/metrics"
	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/schemas"
)

// TransactionConfig is what a transactional sink needs beyond a SinkConfig.
type TransactionConfig struct {
	// ID is the transactional id: stable for a process that comes back under its
	// name, never used by two at a time.
	ID string
	// Timeout is after what time the coordinator aborts a transaction; default 10 s.
	// A transaction of ours takes two thirds of it at most.
	Timeout time.Duration
	// Group is the consumer group whose positions the transactions commit.
	Group string
	// Inputs are the input topics, for their dead-letter topics.
	Inputs []string
	// MaxRecords is how many outcomes wait before a transaction is asked for ahead
	// of the interval; default 4096.
	MaxRecords int
	// StartupWait is how long the coordinator may be missing at the start; default
	// 60 s.
	StartupWait time.Duration
}

func (c TransactionConfig) withDefaults() TransactionConfig {
	c.Timeout = cmp.Or(c.Timeout, 10*time.Second)
	c.MaxRecords = cmp.Or(c.MaxRecords, 4096)
	c.StartupWait = cmp.Or(c.StartupWait, time.Minute)
	return c
}

// TransactionalSink writes outcomes in transactions that also commit the positions
// of their inputs (exactly-once). Send gathers and encodes; the source calls
// Transact, from one goroutine at a time, which writes what was gathered while the
// next content is being filled. An item is settled when its transaction is
// committed: acknowledged, durable and visible are one. Safe for concurrent use.
type TransactionalSink struct {
	composer
	tcfg     TransactionConfig
	client   *kafkawire.Client
	txn      *transactor
	failures failurePolicy
	warned   *warner
	meters   producerMeters
	outcomes metrics.Vec // transactions by outcome

	out     *targetTopic
	letters map[string]*targetTopic // by input topic
	floods  map[string]*flood       // by input topic
	wanted  chan struct{}           // size 1: a transaction is asked for
	mend    atomic.Bool             // markers of an earlier transaction are missing

	mu      sync.Mutex // guards everything below
	full    []*content // oldest first
	filling *content
	// maxBytes closes a content: halved when one could not be written in time.
	maxBytes int
	// broken are epochs that ended: nothing of them is taken any more.
	broken map[*pipeline.Partition]error
	// refused are records that the broker does not take, until their input's
	// position has passed them.
	refused map[source]refusal
	pending int64 // items sent and not settled
	changed chan struct{}
	shut    bool
}

var _ pipeline.Sink = (*TransactionalSink)(nil)

// source is where an item came from.
type source struct {
	topic     string
	partition int32
	offset    int64
}

func sourceOf(it *pipeline.Item) source { return source{it.Topic, it.Partition, it.Offset} }

// refusal is what the broker said of an item's records.
type refusal struct {
	prediction bool // its prediction is refused: write a dead letter
	tooLarge   bool // for its size
	letter     bool // its dead letter is refused as well: write a stub
}

const (
	// maxContentBytes: a few hundred milliseconds of writing to a slow broker; a
	// tenth of a second of 160 MB/s.
	maxContentBytes = 16 << 20
	minContentBytes = 64 << 10
)

// NewTransactionalSink looks the output topics up and initialises the transactional
// id, which ends what a process of the same name left open, and fences it.
func NewTransactionalSink(ctx context.Context, client *kafkawire.Client, cfg SinkConfig, tcfg TransactionConfig, tel *pipeline.Telemetry) (*TransactionalSink, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("kafka sink: %w", err)
	}
	if tcfg.ID == "" {
		return nil, errors.New("kafka sink: needs a transactional id")
	}
	cfg, tcfg = cfg.withDefaults(), tcfg.withDefaults()
	cfg.Producer = cfg.Producer.withDefaults()
	s := &TransactionalSink{
		composer: newComposer(cfg), tcfg: tcfg, client: client, failures: newFailurePolicy(cfg.DeadLetter, tel),
		warned: newWarner(logger(tel)), meters: newProducerMeters(tel),
		outcomes: registry(tel).Counter("sluice_transactions", "Transactions by how they ended.", "outcome"),
		letters:  map[string]*targetTopic{}, floods: map[string]*flood{}, wanted: make(chan struct{}, 1),
		filling: newContent(), maxBytes: maxContentBytes, broken: map[*pipeline.Partition]error{},
		refused: map[source]refusal{}, changed: make(chan struct{}),
	}
	registry(tel).OnCollect(func() { s.meters.buffered.Set(float64(s.BufferedBytes())) })
	s.txn = newTransactor(client, tcfg.ID, tcfg.Timeout, cfg.Producer, logger(tel), s.meters)
	return s, s.start(ctx)
}

// start asks until it has answers, at most StartupWait.
func (s *TransactionalSink) start(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, s.tcfg.StartupWait)
	defer cancel()
	pauses := newPauses()
	for {
		err := s.lookUp(limited)
		if err == nil {
			// What a former life of this name came to, for Mend.
			s.txn.shaken = true
			err = s.txn.ready(limited)
		}
		var lost *kafkawire.NetError
		if err == nil || !errors.As(err, &lost) && !passing(err) {
			return err
		}
		s.warned.warn("start transactions, retrying", err)
		if !rest(limited, max(pauses.NextBackOff(), 100*time.Millisecond)) {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return err
		}
	}
}

// lookUp finds the output topics.
func (s *TransactionalSink) lookUp(ctx context.Context) (err error) {
	if s.out, err = newTargetTopic(ctx, s.client, s.cfg.Topic, s.cfg.Producer.BatchBytes); err != nil {
		return err
	}
	byName := map[string]*targetTopic{}
	for _, input := range s.tcfg.Inputs {
		name := s.cfg.deadLetterTopic(input)
		if byName[name] == nil {
			if byName[name], err = newTargetTopic(ctx, s.client, name, s.cfg.Producer.BatchBytes); err != nil {
				return err
			}
		}
		s.letters[input], s.floods[input] = byName[name], newFlood(s.cfg.DeadLetter)
	}
	return nil
}

// Send implements pipeline.Sink. What may not enter a transaction is settled with
// the reason, and so is what comes after it of the same epoch.
func (s *TransactionalSink) Send(_ context.Context, items []*pipeline.Item) {
	now := time.Now()
	w := writers.Get().(*writer)
	var ended []*pipeline.Item
	var errs []error
	s.mu.Lock()
	for _, it := range items {
		taken, err := s.take(w, it, now)
		if !taken {
			ended, errs = append(ended, it), append(errs, err)
		}
	}
	ask := len(s.full) > 0 || len(s.filling.items) >= s.tcfg.MaxRecords
	s.mu.Unlock()
	w.clear()
	writers.Put(w)
	for i, it := range ended {
		it.Settle(errs[i])
	}
	if ask {
		s.ask()
	}
}

// ask wants a transaction now.
func (s *TransactionalSink) ask() {
	select {
	case s.wanted <- struct{}{}:
	default:
	}
}

// Wanted says that a transaction is due ahead of its interval.
func (s *TransactionalSink) Wanted() <-chan struct{} { return s.wanted }

// Mend wants the markers of this name's last transaction to be written again: the
// group's positions wait for one of them.
func (s *TransactionalSink) Mend() {
	s.mend.Store(true)
	s.ask()
}

// Topics are those that the transactions write to.
func (s *TransactionalSink) Topics() []string {
	names := []string{s.out.name}
	for _, t := range s.letters {
		if !slices.Contains(names, t.name) {
			names = append(names, t.name)
		}
	}
	return names
}

// scope is everything that transactions of this name may ever have reached.
func (s *TransactionalSink) scope() scope {
	all := scope{parts: map[*target]bool{}, group: s.tcfg.Group}
	add := func(t *targetTopic) {
		for _, to := range t.parts {
			all.parts[to] = true
		}
	}
	add(s.out)
	for _, t := range s.letters {
		add(t)
	}
	return all
}

// take encodes an item's record into the content. Not taken with a nil error, the
// item needs no record. mu is held.
func (s *TransactionalSink) take(w *writer, it *pipeline.Item, now time.Time) (taken bool, err error) {
	lane := it.Owner()
	if err := s.broken[lane]; err != nil {
		return false, err
	}
	if s.shut {
		return false, ErrClosed
	}
	topic, rec, err := s.compose(w, it, now)
	if err == nil && rec == nil {
		return false, nil
	}
	var to *target
	if err == nil {
		to = topic.pick(rec)
		if to.down != nil {
			err = to.down.why
		}
	}
	if err != nil {
		s.broken[lane] = err
		return false, err
	}
	s.filling.add(to, it, rec, now)
	it.Unload()
	s.pending++
	if s.filling.bytes >= s.maxBytes {
		s.full = append(s.full, s.filling)
		s.filling = newContent()
	}
	return true, nil
}

// compose makes the record of an item and names its topic; both are nil for an
// item that is dropped. mu is held.
func (s *TransactionalSink) compose(w *writer, it *pipeline.Item, now time.Time) (*targetTopic, *Record, error) {
	before := s.refused[sourceOf(it)]
	if before.prediction && it.Err == nil {
		it.Err = unwritten(before.tooLarge)
	}
	if it.Err == nil {
		s.floods[it.Topic].passed(now, 1)
		return s.out, s.prediction(w, it), nil
	}
	if it.Err.Class == schemas.Expired {
		if s.cfg.DeadLetter.Expired == ExpiredDrop {
			return nil, nil, nil
		}
	} else if err := s.failures.mayFail(s.floods[it.Topic], it); err != nil {
		return nil, nil, err
	}
	if before.letter {
		return s.letters[it.Topic], s.letterStub(w, it), nil
	}
	return s.letters[it.Topic], s.letter(w, it), nil
}

// Flush implements pipeline.Sink: it asks for transactions until nothing that was
// sent is unsettled.
func (s *TransactionalSink) Flush(ctx context.Context) error {
	for {
		s.mu.Lock()
		pending, changed := s.pending, s.changed
		s.mu.Unlock()
		if pending == 0 {
			return nil
		}
		s.ask()
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("flush: %d outcomes are not committed yet: %w", pending, context.Cause(ctx))
		}
	}
}

// BufferedBytes is the encoded size of what waits for its transaction.
func (s *TransactionalSink) BufferedBytes() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.filling.bytes
	for _, c := range s.full {
		n += c.bytes
	}
	return int64(n)
}

// Close settles what is left with ErrClosed, and ends a transaction that is in doubt. The
// source has ended before: nobody calls Transact any more.
func (s *TransactionalSink) Close(ctx context.Context) error {
	s.mu.Lock()
	s.shut = true
	s.mu.Unlock()
	s.Drop(ErrClosed)
	if err := s.txn.release(ctx); err != nil {
		s.warned.log.Warn("a transaction may still be open: readers in read_committed wait until it times out", "timeout", s.tcfg.Timeout, "error", err)
	}
	return nil
}

// Drop settles everything that waits with an error.
func (s *TransactionalSink) Drop(err error) { s.drop(nil, err) }

// drop settles this content, which was taken, and all that wait behind it.
func (s *TransactionalSink) drop(c *content, err error) {
	s.mu.Lock()
	var all []*content
	if c != nil {
		all = append(all, c)
	}
	all = append(append(all, s.full...), s.filling)
	s.full, s.filling = nil, newContent()
	for _, c := range all {
		for lane := range c.last {
			if s.broken[lane] == nil {
				s.broken[lane] = err
			}
		}
	}
	s.mu.Unlock()
	for _, c := range all {
		s.settle(c, err)
	}
}

// settle ends a content.
func (s *TransactionalSink) settle(c *content, err error) {
	n := len(c.items)
	c.settle(err)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending -= int64(n); n > 0 {
		close(s.changed)
		s.changed = make(chan struct{})
	}
}
