package kafka

import "time"

// Status is the source as an operator wants to see it.
type Status struct {
	// Joined is true while the source is a member of the group.
	Joined     bool              `json:"joined"`
	Group      string            `json:"group"`
	Member     string            `json:"member"`
	Instance   string            `json:"instance,omitempty"`
	Generation int32             `json:"generation"`
	Leader     bool              `json:"leader"`
	Assignor   string            `json:"assignor"`
	Partitions []PartitionStatus `json:"partitions"`
	// Stopped are the partitions that stand still; they are in Partitions too.
	Stopped []StoppedPartition `json:"stopped"`
	// Error is why the source ended, empty while it runs.
	Error string `json:"error,omitempty"`
}

// PartitionStatus is one assigned partition. Offsets are -1 where unknown.
type PartitionStatus struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	// State is opening, ranging, routing, fetching or halted.
	State     string `json:"state"`
	Leader    int32  `json:"leader"`
	Committed int64  `json:"committed"`
	// Fetched is the next offset to ask for, End the end of the log.
	Fetched    int64   `json:"fetched"`
	End        int64   `json:"end"`
	InFlight   int     `json:"in_flight"`
	LagRecords int64   `json:"lag_records"`
	LagSeconds float64 `json:"lag_seconds"`
}

// StoppedPartition says why a partition stands still and what to do about it.
type StoppedPartition struct {
	Topic     string    `json:"topic"`
	Partition int32     `json:"partition"`
	Reason    string    `json:"reason"`
	Error     string    `json:"error"`
	Cure      string    `json:"cure"`
	Since     time.Time `json:"since"`
	// RetryAt is zero when it waits for an operator.
	RetryAt time.Time `json:"retry_at"`
}

// Status reports the present state. Safe for concurrent use.
func (s *Source) Status() Status {
	st := Status{Group: s.cfg.Group, Instance: s.cfg.Instance, Generation: -1, Partitions: []PartitionStatus{}, Stopped: []StoppedPartition{}}
	select {
	case <-s.failed:
		st.Error = s.err.Error()
	default:
	}
	g := s.gen.Load()
	if g == nil || !g.live.Load() {
		return st
	}
	st.Joined, st.Member, st.Generation, st.Leader, st.Assignor = true, g.memberID, g.id, g.leader, g.protocol
	now := time.Now()
	for _, p := range g.parts {
		records, age := p.lag(now)
		p.mu.Lock()
		ps := PartitionStatus{
			Topic: p.topic, Partition: p.id, State: p.phase.String(), Leader: p.node,
			Committed: p.committed, Fetched: p.fetchPos, End: p.end, LagRecords: records, LagSeconds: age.Seconds(),
		}
		if p.lane != nil {
			ps.InFlight = p.lane.InFlight()
		}
		if t := p.trouble; t != nil {
			st.Stopped = append(st.Stopped, StoppedPartition{
				Topic: p.topic, Partition: p.id, Reason: t.reason, Error: t.err.Error(),
				Cure: cures[t.reason], Since: t.since, RetryAt: t.retryAt,
			})
		}
		p.mu.Unlock()
		st.Partitions = append(st.Partitions, ps)
	}
	return st
}
