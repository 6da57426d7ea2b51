package kafka

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/pipeline/pipelinetest"
)

// moody is a model that may be slow for a while; it fails as its base does.
type moody struct {
	*pipelinetest.Model
	until atomic.Int64 // Unix nanoseconds
	by    atomic.Int64
}

func (m *moody) slowly(until time.Time, by time.Duration) {
	m.by.Store(int64(by))
	m.until.Store(until.UnixNano())
}

// Run implements pipeline.Model.
func (m *moody) Run(ctx context.Context, b *pipeline.Batch) error {
	if time.Now().UnixNano() < m.until.Load() {
		timer := time.NewTimer(time.Duration(m.by.Load()))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
	}
	return m.Model.Run(ctx, b)
}

// start launches one of the two.
func (s *simulation) start(who int) { s.live[who] = s.launched(names[who], s.models[who]) }

func (s *simulation) launched(name string, model pipeline.Model) *exact {
	s.Helper()
	p, err := s.launch(settings{id: name, transaction: s.plan.timeout, commit: s.plan.commit, atLeastOnce: s.atLeastOnce, log: s.log}, model)
	if err != nil {
		s.violation("process %s does not start: %v", name, err)
		return nil
	}
	s.all[name] = append(s.all[name], p)
	s.res.Processes++
	return p
}

// wire is the network of the step's process.
func (s *simulation) wire(st faultStep) *wire {
	if p := s.live[st.who]; p != nil {
		return p.wire
	}
	return newWire(s.world)
}

func portOf(st faultStep) string { return strconv.Itoa(9092 + st.port) }

func (s *simulation) under(st faultStep, change func(*sky)) {
	s.wire(st).with(func(n *wire) { change(n.above(portOf(st))) })
}

// away ends a process in the background.
func (s *simulation) away(p *exact) {
	if p != nil {
		s.stops.Go(func() { _ = p.stop() }) // ends with the drain limit
	}
}

// kill is SIGKILL; the process comes back under its name.
func (s *simulation) kill(who int, after time.Duration) {
	p := s.live[who]
	if p == nil {
		return
	}
	p.kill()
	s.away(p)
	if after == 0 {
		s.start(who)
		return
	}
	s.live[who] = nil
	s.after(after, func() { s.start(who) })
}

// halt is SIGTERM and a start when it has ended.
func (s *simulation) halt(who int) {
	p := s.live[who]
	if p == nil {
		return
	}
	if err := p.stop(); err != nil {
		s.log.Info("stop", "error", err)
	}
	s.start(who)
}

// twin starts a second process of a name while the first one lives.
func (s *simulation) twin(who int) {
	p := s.live[who]
	if p == nil {
		return
	}
	s.start(who)
	s.after(5*time.Second, func() { s.away(p) })
}

// visit lets a third member in for a while; it leaves the group, or only goes away.
func (s *simulation) visit(span time.Duration, leaves bool) {
	p := s.launched(guest, &moody{Model: &pipelinetest.Model{Delay: time.Millisecond, FailOn: failsRun}})
	if p == nil {
		return
	}
	p.leaves = leaves
	s.after(span, func() { s.away(p) })
}

// revive is what a supervisor does: who has ended by itself starts again. It may end
// only because another process took its name.
func (s *simulation) revive() {
	for who, p := range s.live {
		if p == nil {
			continue
		}
		select {
		case <-p.ended:
			if !errors.Is(p.err, ErrReplaced) && !errors.Is(p.err, pipeline.ErrSuperseded) {
				s.violation("process %s ended by itself: %v", names[who], p.err)
			}
			s.away(p)
			s.start(who)
		default:
		}
	}
}
