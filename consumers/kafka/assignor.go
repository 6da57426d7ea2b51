package kafka

import (
	"cmp"
	"maps"
	"slices"

	"github.com/sluice-ml/sluice/internal/kafkawire"
)

// The assignors this member offers, best first. The coordinator picks one that
// every member supports.
//
// "sticky" is Java's eager StickyAssignor: partitions stay where they were as
// far as balance allows. "range" is there because a Java consumer offers range
// and cooperative-sticky by default: in a mixed group range is the one all have
// in common. "cooperative-sticky" is not offered: it asks members to keep
// partitions over a rebalance, and this member gives all back.
const (
	stickyProtocol = "sticky"
	rangeProtocol  = "range"
)

// candidate is a member as an assignor sees it.
type candidate struct {
	id       string
	instance string
	topics   []string
	previous stickyData
}

// order is how members are sorted: static members by name, so that a restart,
// which changes the member id, changes no assignment (as Java's range does).
func (c *candidate) order() string {
	if c.instance != "" {
		return c.instance
	}
	return c.id
}

func candidatesOf(members []kafkawire.GroupMember) ([]candidate, error) {
	out := make([]candidate, 0, len(members))
	for _, m := range members {
		s, err := parseSubscription(m.Metadata)
		if err != nil {
			return nil, err
		}
		out = append(out, candidate{id: m.ID, instance: m.InstanceID, topics: s.Topics, previous: parseStickyData(s.UserData)})
	}
	slices.SortFunc(out, func(a, b candidate) int {
		// Java: static members come before dynamic ones.
		if (a.instance == "") != (b.instance == "") {
			return cmp.Compare(b.instance, a.instance)
		}
		return cmp.Compare(a.order(), b.order())
	})
	return out, nil
}

// subscribedTopics is the union over all members, sorted.
func subscribedTopics(cs []candidate) []string {
	set := map[string]bool{}
	for _, c := range cs {
		for _, t := range c.topics {
			set[t] = true
		}
	}
	return sortedKeys(set)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// topicPartition names one partition.
type topicPartition struct {
	topic string
	id    int32
}

// plan maps a member id to its partitions.
type plan map[string][]topicPartition

// assign distributes the partitions (topic -> count; a missing topic is simply
// not there) with the protocol the coordinator chose.
func assign(protocol string, cs []candidate, counts map[string]int32) plan {
	if protocol == rangeProtocol {
		return assignRange(cs, counts)
	}
	return assignSticky(cs, counts)
}

// assignRange gives each subscriber of a topic a run of its partitions, the
// first ones get one more.
func assignRange(cs []candidate, counts map[string]int32) plan {
	out := plan{}
	for _, topic := range sortedKeys(counts) {
		var subs []string
		for _, c := range cs {
			if slices.Contains(c.topics, topic) {
				subs = append(subs, c.id)
			}
		}
		if len(subs) == 0 {
			continue
		}
		each, more := int(counts[topic])/len(subs), int(counts[topic])%len(subs)
		next := int32(0)
		for i, id := range subs {
			n := each
			if i < more {
				n++
			}
			for range n {
				out[id] = append(out[id], topicPartition{topic, next})
				next++
			}
		}
	}
	return out
}

// assignSticky keeps previous owners, gives the rest to the least loaded, and
// then moves partitions from the more to the less loaded until no move helps.
// With equal subscriptions loads differ by at most one and no partition moves
// that need not.
func assignSticky(cs []candidate, counts map[string]int32) plan {
	s := newStickyState(cs, counts)
	s.keepPrevious()
	s.placeRest()
	s.balance()
	out := plan{}
	for i, list := range s.owned {
		slices.SortFunc(list, comparePartitions)
		out[cs[i].id] = list
	}
	return out
}

func comparePartitions(a, b topicPartition) int {
	return cmp.Or(cmp.Compare(a.topic, b.topic), cmp.Compare(a.id, b.id))
}

type stickyState struct {
	members []candidate
	wants   []map[string]bool
	owned   [][]topicPartition
	all     []topicPartition // sorted
	owner   map[topicPartition]int
}

func newStickyState(cs []candidate, counts map[string]int32) *stickyState {
	s := &stickyState{members: cs, owned: make([][]topicPartition, len(cs)), owner: map[topicPartition]int{}}
	for _, c := range cs {
		wants := map[string]bool{}
		for _, t := range c.topics {
			wants[t] = true
		}
		s.wants = append(s.wants, wants)
	}
	for _, topic := range sortedKeys(counts) {
		for p := range counts[topic] {
			s.all = append(s.all, topicPartition{topic, p})
		}
	}
	return s
}

// keepPrevious believes the claim of the newest generation; of two equal claims
// (a member that slept through a rebalance) the first member's.
func (s *stickyState) keepPrevious() {
	newest := map[topicPartition]int32{}
	exists := map[topicPartition]bool{}
	for _, tp := range s.all {
		exists[tp] = true
	}
	for i, m := range s.members {
		for _, t := range m.previous.Previous {
			for _, id := range t.Partitions {
				tp := topicPartition{t.Topic, id}
				if !exists[tp] || !s.wants[i][t.Topic] {
					continue
				}
				if g, ok := newest[tp]; !ok || m.previous.Generation > g {
					newest[tp], s.owner[tp] = m.previous.Generation, i
				}
			}
		}
	}
	for _, tp := range s.all {
		if i, ok := s.owner[tp]; ok {
			s.owned[i] = append(s.owned[i], tp)
		}
	}
}

func (s *stickyState) placeRest() {
	for _, tp := range s.all {
		if _, ok := s.owner[tp]; ok {
			continue
		}
		if i := s.leastLoaded(tp.topic); i >= 0 {
			s.owner[tp] = i
			s.owned[i] = append(s.owned[i], tp)
		}
	}
}

// leastLoaded is the first subscriber with the fewest partitions, -1 for none.
func (s *stickyState) leastLoaded(topic string) int {
	best := -1
	for i := range s.members {
		if s.wants[i][topic] && (best < 0 || len(s.owned[i]) < len(s.owned[best])) {
			best = i
		}
	}
	return best
}

// balance ends because every move makes the sum of squared loads smaller.
func (s *stickyState) balance() {
	for moved := true; moved; {
		moved = false
		for from := range s.owned {
			for k := len(s.owned[from]) - 1; k >= 0; k-- {
				tp := s.owned[from][k]
				to := s.leastLoaded(tp.topic)
				if len(s.owned[to])+1 >= len(s.owned[from]) {
					continue
				}
				s.owned[from] = slices.Delete(s.owned[from], k, k+1)
				s.owned[to] = append(s.owned[to], tp)
				s.owner[tp] = to
				moved = true
			}
		}
	}
}

// byTopic groups sorted partitions for the wire.
func byTopic(list []topicPartition) []topicPartitions {
	var out []topicPartitions
	for _, tp := range list {
		if n := len(out); n == 0 || out[n-1].Topic != tp.topic {
			out = append(out, topicPartitions{Topic: tp.topic})
		}
		last := &out[len(out)-1]
		last.Partitions = append(last.Partitions, tp.id)
	}
	return out
}
