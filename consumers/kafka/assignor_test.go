package kafka

import (
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluice-ml/sluice/internal/kafkawire"
)

func members(n int, topics ...string) []candidate {
	out := make([]candidate, n)
	for i := range out {
		out[i] = candidate{id: "m" + strconv.Itoa(i), topics: topics, previous: stickyData{Generation: -1}}
	}
	return out
}

// remember makes what a member was given its claim for the next round.
func remember(cs []candidate, p plan, generation int32) {
	for i := range cs {
		cs[i].previous = stickyData{Previous: byTopic(p[cs[i].id]), Generation: generation}
	}
}

func TestRangeIsWhatJavaDoes(t *testing.T) {
	t.Parallel()
	got := assign(rangeProtocol, members(3, "a", "b"), map[string]int32{"a": 4, "b": 2})
	want := plan{
		"m0": {{"a", 0}, {"a", 1}, {"b", 0}},
		"m1": {{"a", 2}, {"b", 1}},
		"m2": {{"a", 3}},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(topicPartition{})); diff != "" {
		t.Error(diff)
	}
}

func TestStaticMembersAreOrderedByName(t *testing.T) {
	t.Parallel()
	s := subscription{Topics: []string{"a"}}
	group := []kafkawire.GroupMember{
		{ID: "x-1", Metadata: s.encode(3)},
		{ID: "z-9", InstanceID: "one", Metadata: s.encode(3)},
		{ID: "a-5", InstanceID: "two", Metadata: s.encode(3)},
	}
	cs, err := candidatesOf(group)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, c := range cs {
		ids = append(ids, c.id)
	}
	if !slices.Equal(ids, []string{"z-9", "a-5", "x-1"}) {
		t.Errorf("order %v", ids)
	}
}

func TestStickyMovesOnlyWhatBalanceNeeds(t *testing.T) {
	t.Parallel()
	counts := map[string]int32{"a": 6}
	cs := members(2, "a")
	first := assign(stickyProtocol, cs, counts)
	remember(cs, first, 1)
	cs = append(cs, candidate{id: "m2", topics: []string{"a"}, previous: stickyData{Generation: -1}})

	second := assign(stickyProtocol, cs, counts)

	for _, c := range cs {
		if len(second[c.id]) != 2 {
			t.Errorf("%s has %v", c.id, second[c.id])
		}
		if c.id == "m2" {
			continue
		}
		for _, tp := range second[c.id] {
			if !slices.Contains(first[c.id], tp) {
				t.Errorf("%s got %v, which it had not", c.id, tp)
			}
		}
	}
}

func TestStickyBelievesTheNewestClaim(t *testing.T) {
	t.Parallel()
	cs := members(2, "a")
	cs[0].previous = stickyData{Previous: []topicPartitions{{"a", []int32{0}}}, Generation: 3} // slept
	cs[1].previous = stickyData{Previous: []topicPartitions{{"a", []int32{0}}}, Generation: 4}
	p := assign(stickyProtocol, cs, map[string]int32{"a": 2})
	if !slices.Contains(p["m1"], topicPartition{"a", 0}) {
		t.Errorf("%v", p)
	}
}

// Whatever the subscriptions, old claims and counts: every partition somebody
// wants has exactly one owner, who wants it; with equal subscriptions loads
// differ by at most one; and assigning again moves nothing.
func TestStickyProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		counts := map[string]int32{}
		for _, topic := range []string{"a", "b", "c"} {
			counts[topic] = rapid.Int32Range(0, 9).Draw(t, topic)
		}
		equal := rapid.Bool().Draw(t, "equal")
		cs := members(rapid.IntRange(1, 6).Draw(t, "members"), "a", "b", "c")
		for i := range cs {
			if !equal {
				cs[i].topics = rapid.SliceOfDistinct(rapid.SampledFrom([]string{"a", "b", "c", "gone"}), rapid.ID[string]).Draw(t, "topics")
			}
			cs[i].previous.Generation = rapid.Int32Range(-1, 3).Draw(t, "generation")
			for _, topic := range []string{"a", "b", "gone"} {
				cs[i].previous.Previous = append(cs[i].previous.Previous, topicPartitions{topic, rapid.SliceOfN(rapid.Int32Range(-1, 10), 0, 4).Draw(t, "previous")})
			}
		}
		p := assign(stickyProtocol, cs, counts)
		checkPlan(t, cs, counts, p, equal)
		remember(cs, p, 9)
		again := assign(stickyProtocol, cs, counts)
		if diff := cmp.Diff(p, again, cmp.AllowUnexported(topicPartition{})); diff != "" {
			t.Fatalf("assigning again moved partitions:\n%s", diff)
		}
	})
}

func checkPlan(t *rapid.T, cs []candidate, counts map[string]int32, p plan, equal bool) {
	owners := map[topicPartition]int{}
	least, most := 1<<30, 0
	for _, c := range cs {
		least, most = min(least, len(p[c.id])), max(most, len(p[c.id]))
		for _, tp := range p[c.id] {
			owners[tp]++
			if !slices.Contains(c.topics, tp.topic) || tp.id < 0 || tp.id >= counts[tp.topic] {
				t.Fatalf("%s got %v", c.id, tp)
			}
		}
	}
	for topic, n := range counts {
		wanted := slices.ContainsFunc(cs, func(c candidate) bool { return slices.Contains(c.topics, topic) })
		for id := range n {
			if got := owners[topicPartition{topic, id}]; wanted && got != 1 || !wanted && got != 0 {
				t.Fatalf("%s/%d has %d owners", topic, id, got)
			}
		}
	}
	if equal && most-least > 1 {
		t.Fatalf("loads from %d to %d", least, most)
	}
}
