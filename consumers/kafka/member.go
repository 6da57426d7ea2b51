package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sluice-ml/sluice/internal/failpoint"
	"github.com/sluice-ml/sluice/internal/kafkawire"
	"github.com/sluice-ml/sluice/pipeline"
)

// member is this process's place in the group: the classic group protocol, eager.
//
//	join -> sync -> hold --heartbeat says rebalance--> drain -> last commit -+
//	 ^ ^             |                                                       |
//	 | |             +--unknown member, illegal generation--> close at once -+
//	 | +--refused: backoff                                                   |
//	 +-----------------------------------------------------------------------+
//
// A coordinator that is away, loading or moved ends nothing: the generation is
// kept until an answer says otherwise. Only the goroutine of run touches it.
type member struct {
	s  *Source
	id string
	// previous is what this member had in its last generation, for the sticky
	// assignor.
	previous   []topicPartition
	generation int32
}

// outcome of holding a generation.
type ending uint8

const (
	leaving     ending = iota // Close: the generation is left to it
	rebalancing               // drain, commit, rejoin
	expelled                  // close, rejoin
)

// run takes part in the group until ctx ends (nil), or for good cause (an error).
func (m *member) run(ctx context.Context) error {
	again := newBackoff(100*time.Millisecond, maxRetryInterval)
	for {
		g, err := m.join(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			again.Reset()
		case m.fatal(err) != nil:
			return m.fatal(err)
		default:
			m.s.once.warn("join group failed, retrying", err, "group", m.s.cfg.Group)
			if !pause(ctx, again.NextBackOff()) {
				return nil
			}
			continue
		}
		m.s.enter(ctx, g)
		end, err := m.hold(ctx, g)
		if end == leaving {
			return nil
		}
		m.end(ctx, g, end, err)
		if err := m.fatal(err); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}

// fatal translates the answers that no retry mends.
func (m *member) fatal(err error) error {
	cfg := &m.s.cfg
	switch {
	case isCode(err, kafkawire.ErrFencedInstanceID):
		return fmt.Errorf("%w %q in group %q: give each process its own input.instance", ErrReplaced, cfg.Instance, cfg.Group)
	case errors.Is(err, pipeline.ErrSuperseded):
		return err
	case isCode(err, kafkawire.ErrInvalidSessionTimeout):
		return fmt.Errorf("%w: input.session_timeout %v is outside the broker's group.min.session.timeout.ms and group.max.session.timeout.ms (6s to 30m by default): %w",
			ErrConfiguration, cfg.SessionTimeout, err)
	}
	return nil
}

// join goes through JoinGroup and SyncGroup.
func (m *member) join(ctx context.Context) (*generation, error) {
	s := m.s
	for {
		node, err := s.client.FindCoordinator(ctx, s.cfg.Group)
		if err != nil {
			return nil, err
		}
		resp, err := s.client.JoinGroup(ctx, node, m.request())
		if err == nil && resp.Err != kafkawire.ErrNone {
			err = resp.Err
		}
		switch {
		case err == nil:
			m.id = resp.MemberID
			failpoint.Here(failpoint.Joining)
			g, err := m.sync(ctx, node, resp)
			return g, m.joinFailed(err)
		case isCode(err, kafkawire.ErrMemberIDRequired):
			m.id = resp.MemberID // KIP-394: now join under it
		default:
			return nil, m.joinFailed(err)
		}
	}
}

// joinFailed forgets what the error proves wrong.
func (m *member) joinFailed(err error) error {
	switch {
	case err == nil:
	case lostCoordinator(err):
		m.s.client.ForgetCoordinator(m.s.cfg.Group)
	case isCode(err, kafkawire.ErrUnknownMemberID):
		m.id = ""
	case isCode(err, kafkawire.ErrInconsistentGroupProtocol):
		return fmt.Errorf("the group's members have no assignor in common; this one offers %s and %s, a Java consumer must list one of them in partition.assignment.strategy: %w",
			stickyProtocol, rangeProtocol, err)
	}
	return err
}

func (m *member) request() *kafkawire.JoinGroupRequest {
	cfg := &m.s.cfg
	sticky := stickyData{Previous: byTopic(m.previous), Generation: m.generation}
	plain := subscription{Topics: cfg.Topics, Generation: -1}
	withData := plain
	withData.UserData = sticky.encode()
	return &kafkawire.JoinGroupRequest{
		Group: cfg.Group, SessionTimeout: cfg.SessionTimeout, RebalanceTimeout: cfg.RebalanceTimeout,
		MemberID: m.id, InstanceID: cfg.Instance,
		Protocols: []kafkawire.GroupProtocol{
			{Name: stickyProtocol, Metadata: withData.encode(subscriptionVersion)},
			{Name: rangeProtocol, Metadata: plain.encode(subscriptionVersion)},
		},
	}
}

// sync sends the assignment, if it is on this member to make it, and takes its own.
func (m *member) sync(ctx context.Context, node int32, joined *kafkawire.JoinGroupResponse) (*generation, error) {
	s := m.s
	req := &kafkawire.SyncGroupRequest{
		Group: s.cfg.Group, Generation: joined.Generation, MemberID: m.id, InstanceID: s.cfg.Instance, Protocol: joined.Protocol,
	}
	leader := joined.Leader == m.id
	if leader && !joined.SkipAssignment {
		assignments, err := m.lead(ctx, joined)
		if err != nil {
			return nil, fmt.Errorf("assign partitions: %w", err)
		}
		req.Assignments = assignments
	}
	raw, err := s.client.SyncGroup(ctx, node, req)
	if err != nil {
		return nil, err
	}
	mine, err := parseAssignment(raw)
	if err != nil {
		return nil, err
	}
	parts := assignedParts(mine)
	g := newGeneration(s, joined.Generation, m.id, parts)
	g.protocol, g.leader = joined.Protocol, leader
	if g.counts = parseCounts(mine.UserData); g.counts == nil {
		g.counts = map[string]int32{}
	}
	m.previous, m.generation = parts, joined.Generation
	return g, nil
}

// lead assigns the partitions of every topic a member wants. A topic the
// cluster does not have gets none: the watcher sees it come.
func (m *member) lead(ctx context.Context, joined *kafkawire.JoinGroupResponse) ([]kafkawire.GroupAssignment, error) {
	cs, err := candidatesOf(joined.Members)
	if err != nil {
		return nil, err
	}
	topics := subscribedTopics(cs)
	meta, err := m.s.client.Metadata(ctx, topics...)
	if err != nil {
		return nil, err
	}
	counts := map[string]int32{}
	for _, name := range topics {
		counts[name] = 0
		if t := meta.Topic(name); t != nil && t.Err == kafkawire.ErrNone {
			counts[name] = int32(len(t.Partitions))
		}
	}
	data := encodeCounts(counts)
	plan := assign(joined.Protocol, cs, counts)
	out := make([]kafkawire.GroupAssignment, 0, len(cs))
	for _, c := range cs {
		a := assignment{Topics: byTopic(plan[c.id]), UserData: data}
		out = append(out, kafkawire.GroupAssignment{MemberID: c.id, Assignment: a.encode()})
	}
	return out, nil
}

// hold keeps the membership alive until something ends the generation.
func (m *member) hold(ctx context.Context, g *generation) (ending, error) {
	t := time.NewTimer(m.s.cfg.heartbeatInterval())
	defer t.Stop()
	again := newBackoff(100*time.Millisecond, m.s.cfg.heartbeatInterval())
	for {
		select {
		case <-ctx.Done():
			return leaving, nil
		case err := <-g.lost:
			return expelled, err
		case <-g.rejoin:
			return rebalancing, nil
		case <-t.C:
		}
		err := m.beat(ctx, g)
		wait := m.s.cfg.heartbeatInterval()
		switch {
		case ctx.Err() != nil:
			return leaving, nil
		case err == nil:
			again.Reset()
		case isCode(err, kafkawire.ErrRebalanceInProgress):
			return rebalancing, nil
		case lostMembership(err):
			return expelled, err
		default:
			m.s.once.warn("heartbeat failed, retrying", err, "group", m.s.cfg.Group)
			wait = again.NextBackOff()
		}
		t.Reset(wait)
	}
}

// beat sends one heartbeat, to a coordinator found again where needed.
func (m *member) beat(ctx context.Context, g *generation) error {
	s := m.s
	call, cancel := context.WithTimeout(ctx, max(s.cfg.SessionTimeout/2, time.Second))
	defer cancel()
	node, err := s.client.FindCoordinator(call, s.cfg.Group)
	if err != nil {
		return err
	}
	err = s.client.Heartbeat(call, node, s.cfg.Group, g.id, m.id, s.cfg.Instance)
	if err != nil && (lostCoordinator(err) || errors.Is(err, context.DeadlineExceeded)) {
		s.client.ForgetCoordinator(s.cfg.Group)
	}
	return err
}

// end gives the partitions back: after a rebalance signal what is running is
// finished and committed in the old generation, which the coordinator accepts
// until the next one begins; after an expulsion nothing is.
func (m *member) end(ctx context.Context, g *generation, why ending, cause error) {
	s := m.s
	began := time.Now()
	g.fence()
	clean := false
	if why == rebalancing {
		clean, cause = m.drain(ctx, g)
	}
	if cause != nil && isCode(cause, kafkawire.ErrUnknownMemberID) {
		m.id = ""
	}
	last, cancel := context.WithTimeout(ctx, max(s.cfg.drainLimit()/4, time.Second))
	defer cancel()
	if !lostMembership(cause) {
		g.lastCommit(last)
		if ctx.Err() != nil {
			return // Close came meanwhile: the end is left to it
		}
	}
	g.finish()
	s.leaveGeneration()
	s.log.Info("generation ended", "generation", g.id, "expelled", lostMembership(cause), "drained", clean, "took", time.Since(began))
}

// drain waits for running work, with heartbeats: the coordinator answers them
// with REBALANCE_IN_PROGRESS, but counts them.
func (m *member) drain(ctx context.Context, g *generation) (clean bool, cause error) {
	limited, cancel := context.WithTimeout(ctx, m.s.cfg.drainLimit())
	defer cancel()
	done := make(chan bool, 1)
	go func() { done <- g.drained(limited) }() // ends with limited
	t := time.NewTicker(m.s.cfg.heartbeatInterval())
	defer t.Stop()
	for {
		select {
		case clean = <-done:
			return clean, nil
		case err := <-g.lost:
			return false, err
		case <-t.C:
			if err := m.beat(limited, g); lostMembership(err) {
				return false, err
			}
		}
	}
}

// leave tells the coordinator, so that others need not wait for the session to
// end.
func (m *member) leave(ctx context.Context) error {
	s := m.s
	if m.id == "" {
		return nil
	}
	node, err := s.client.FindCoordinator(ctx, s.cfg.Group)
	if err == nil {
		err = s.client.LeaveGroup(ctx, node, s.cfg.Group, m.id, s.cfg.Instance)
	}
	if err != nil && !lostMembership(err) {
		return fmt.Errorf("leave group %s: %w; its partitions move when the session ends", s.cfg.Group, err)
	}
	return nil
}
