package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-ml/sluice/internal/kafkawire"
	"github.com/sluice-ml/sluice/internal/metrics"
	"github.com/sluice-ml/sluice/pipeline"
)

// membership is a place in the group, whatever the protocol: run takes part until ctx
// ends (nil) or for good cause (an error) and tells the Source by enter; leave says
// goodbye afterwards. See pipeline/decisions/0002.
type membership interface {
	run(ctx context.Context) error
	leave(ctx context.Context) error
}

// Source is a member of a consumer group that hands out the records of its
// partitions, tracked, and commits what is settled. Start begins, Close ends.
// Receive is called from one goroutine; the rest is safe for concurrent use.
type Source struct {
	client  *kafkawire.Client
	cfg     Config
	log     *slog.Logger
	once    *onceLog
	metrics *sourceMetrics
	memory  *memory
	ahead   readAhead
	gate    *pipeline.Gate
	topics  *topicBook
	member  membership

	wake       chan struct{} // size 1: Receive looks again
	commitWake chan struct{} // size 1: the committer commits now
	starved    atomic.Bool   // Receive waits for items to be settled

	run   string     // of this process, in the metadata of its commits
	ended endedLanes // epochs of it
	heir  heir       // only the opener of the present generation

	gen    atomic.Pointer[generation]
	joined chan struct{}
	failed chan struct{} // closed when err is set
	err    error         // read after failed

	cancel context.CancelFunc
	done   chan struct{} // closed when run has returned
	closed sync.Once

	items []*pipeline.Item // only the receiving goroutine
}

var _ pipeline.Source = (*Source)(nil)

// NewSource checks cfg; it asks nothing of the cluster yet.
func NewSource(client *kafkawire.Client, cfg Config, tel *pipeline.Telemetry) (*Source, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	s := &Source{
		client: client, cfg: cfg, log: slog.New(slog.DiscardHandler), topics: newTopicBook(), run: newRunID(),
		wake: make(chan struct{}, 1), commitWake: make(chan struct{}, 1),
		joined: make(chan struct{}), failed: make(chan struct{}), done: make(chan struct{}),
	}
	registry := metrics.NewRegistry()
	if tel != nil && tel.Metrics != nil {
		registry = tel.Metrics
	}
	if tel != nil && tel.Logger != nil {
		s.log = tel.Logger
	}
	s.once = newOnceLog(s.log)
	s.metrics = newSourceMetrics(registry)
	registry.OnCollect(s.collect)
	budget := cfg.Budget
	if budget == nil {
		budget = pipeline.NewBudget(cfg.MaxInFlightBytes)
	}
	s.ahead.budget = budget
	s.memory = &memory{budget: budget, keep: cfg.MaxInFlightBytes / 8, outside: true, released: s.released}
	if cfg.Transactions == nil {
		// With transactions what is settled is committed: there is nothing between.
		s.gate = pipeline.NewGate(cfg.MaxInFlight, func() { nudge(s.commitWake) })
	}
	s.member = &member{s: s, generation: -1}
	return s, nil
}

// released passes on that a settled item made room.
func (s *Source) released(whole bool) {
	if s.starved.Load() && s.starved.CompareAndSwap(true, false) {
		nudge(s.wake)
	}
	if whole {
		if g := s.gen.Load(); g != nil {
			g.nudgeFetchers()
		}
	}
}

// Start waits until the input topics and the group's coordinator answer, at most
// StartupWait, and then takes part in the group until Close. Ending ctx only
// ends the waiting: what runs has to drain.
func (s *Source) Start(ctx context.Context) error {
	if err := s.waitForCluster(ctx); err != nil {
		close(s.done)
		return err
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.cancel = cancel
	go func() { // ends with Close, or for good cause
		defer close(s.done)
		if err := s.member.run(run); err != nil {
			s.log.Error("source failed", "error", err)
			s.fail(err)
		}
	}()
	return nil
}

func (s *Source) fail(err error) {
	s.err = err
	close(s.failed)
}

// waitForCluster asks for topics and coordinator until both answer.
func (s *Source) waitForCluster(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, s.cfg.StartupWait)
	defer cancel()
	again := newBackoff(100*time.Millisecond, 2*time.Second)
	for {
		err := s.look(limited)
		if err == nil {
			return nil
		}
		if isCode(err, kafkawire.ErrTopicAuthorization, kafkawire.ErrGroupAuthorization, kafkawire.ErrSASLAuthentication, kafkawire.ErrInvalidTopic) {
			return err
		}
		s.once.warn("look for input topics failed, retrying", err)
		wait := again.NextBackOff()
		if !pause(limited, wait) || limited.Err() != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return fmt.Errorf("after %v: %w", s.cfg.StartupWait, err)
		}
	}
}

func (s *Source) look(ctx context.Context) error {
	call, cancel := context.WithTimeout(ctx, offsetsTimeout)
	defer cancel()
	meta, err := s.client.Metadata(call, s.cfg.Topics...)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range s.cfg.Topics {
		t := meta.Topic(name)
		switch {
		case t == nil || t.Err == kafkawire.ErrUnknownTopicOrPartition:
			errs = append(errs, fmt.Errorf("%w: %s: create it with kafka-topics.sh --create --topic %s --partitions N, or mend input.topics", ErrTopicMissing, name, name))
		case t.Err == kafkawire.ErrTopicAuthorization:
			errs = append(errs, fmt.Errorf("input topic %s: grant READ and DESCRIBE on it to this principal: %w", name, t.Err))
		case t.Err != kafkawire.ErrNone:
			errs = append(errs, fmt.Errorf("input topic %s: %w", name, t.Err))
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	s.topics.see(meta)
	if _, err := s.client.FindCoordinator(call, s.cfg.Group); err != nil {
		if isCode(err, kafkawire.ErrGroupAuthorization) {
			return fmt.Errorf("group %s: grant READ on it to this principal: %w", s.cfg.Group, err)
		}
		return fmt.Errorf("find the coordinator of group %s: %w", s.cfg.Group, err)
	}
	return nil
}

// enter begins a generation.
func (s *Source) enter(ctx context.Context, g *generation) {
	g.live.Store(true)
	s.gen.Store(g)
	g.start(ctx)
	s.log.Info("joined group", "group", s.cfg.Group, "generation", g.id, "member", g.memberID,
		"leader", g.leader, "assignor", g.protocol, "partitions", len(g.parts))
	select {
	case <-s.joined:
	default:
		close(s.joined)
	}
}

// leaveGeneration ends what others see of it.
func (s *Source) leaveGeneration() {
	if g := s.gen.Load(); g != nil {
		g.live.Store(false)
	}
}

// Joined is closed once the source is in the group for the first time, also
// with no partitions.
func (s *Source) Joined() <-chan struct{} { return s.joined }

// Receive implements pipeline.Source. An error is for good: the member was
// replaced, or the cluster refuses its settings.
func (s *Source) Receive(ctx context.Context, limit int) ([]*pipeline.Item, error) {
	for {
		s.items = s.items[:0]
		g := s.gen.Load()
		if g != nil {
			now := time.Now().UnixNano()
			var starved bool
			if s.items, starved = g.take(s.items, limit, now); len(s.items) == 0 && starved {
				// Set before the second look: what is settled after it wakes us.
				s.starved.Store(true)
				s.items, _ = g.take(s.items, limit, now)
			}
		}
		if s.ahead.received(len(s.items)) && g != nil {
			g.nudgeFetchers()
		}
		if len(s.items) > 0 {
			return s.items, nil
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-s.failed:
			return nil, s.err
		case <-s.done:
			select {
			case <-s.failed: // and ended after it: the reason is the failure
				return nil, s.err
			default:
				return nil, ErrClosed
			}
		case <-s.wake:
		}
	}
}

// Close ends the membership: the last commit of what is settled, and, with
// leave, a goodbye that gives the partitions to others at once (a static member
// that will be back keeps its place without it). The pipeline has drained
// before. ctx bounds the last requests.
func (s *Source) Close(ctx context.Context, leave bool) error {
	var err error
	s.closed.Do(func() {
		if s.cancel != nil {
			s.cancel()
			<-s.done
		}
		if g := s.gen.Load(); g != nil && g.live.Load() {
			g.fence()
			g.lastCommit(ctx)
			g.finish()
			s.leaveGeneration()
		}
		if leave {
			err = s.member.leave(ctx)
		}
		s.memory.close()
	})
	return err
}
