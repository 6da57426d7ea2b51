package kafka

import (
	"encoding/hex"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func sampleSubscription() subscription {
	return subscription{
		Topics: []string{"a", "bé"}, UserData: []byte{1, 2}, Generation: 7, Rack: "r1",
		Owned: []topicPartitions{{"a", []int32{0, 3}}, {"bé", []int32{1}}},
	}
}

func TestSubscriptionBytesAreWhatOtherClientsRead(t *testing.T) {
	t.Parallel()
	for version := range int16(4) {
		s := sampleSubscription()
		var got kmsg.ConsumerMemberMetadata
		if err := got.ReadFrom(s.encode(version)); err != nil {
			t.Fatalf("version %d: %v", version, err)
		}
		if got.Version != version || !slices.Equal(got.Topics, s.Topics) || string(got.UserData) != "\x01\x02" {
			t.Errorf("version %d: %+v", version, got)
		}
		if version >= 1 && (len(got.OwnedPartitions) != 2 || !slices.Equal(got.OwnedPartitions[0].Partitions, []int32{0, 3})) {
			t.Errorf("version %d owned: %+v", version, got.OwnedPartitions)
		}
		if version >= 2 && got.Generation != 7 {
			t.Errorf("version %d generation: %d", version, got.Generation)
		}
		if version >= 3 && (got.Rack == nil || *got.Rack != "r1") {
			t.Errorf("version %d rack: %v", version, got.Rack)
		}
	}
}

func TestSubscriptionOfOtherClientsIsRead(t *testing.T) {
	t.Parallel()
	for version := range int16(4) {
		var theirs kmsg.ConsumerMemberMetadata
		s := sampleSubscription()
		if err := theirs.ReadFrom(s.encode(version)); err != nil {
			t.Fatal(err)
		}
		got, err := parseSubscription(theirs.AppendTo(nil))
		if err != nil {
			t.Fatal(err)
		}
		want := s
		if version < 1 {
			want.Owned = nil
		}
		if version < 2 {
			want.Generation = -1
		}
		if version < 3 {
			want.Rack = ""
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("version %d (-want +got):\n%s", version, diff)
		}
	}
}

// The bytes are golden: other versions of this program sit in the same group.
func TestSubscriptionBytesAreGolden(t *testing.T) {
	t.Parallel()
	s := subscription{Topics: []string{"in"}, UserData: (&stickyData{Previous: []topicPartitions{{"in", []int32{2}}}, Generation: 5}).encode(), Generation: -1}
	const want = "0003" + "00000001" + "0002696e" + // version, topics
		"00000014" + "00000001" + "0002696e" + "00000001" + "00000002" + "00000005" + // user data: previous, generation
		"00000000" + "ffffffff" + "ffff" // owned, generation, rack
	if got := hex.EncodeToString(s.encode(subscriptionVersion)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// kafka-go claims version 1 and leaves the owned partitions out.
func TestMalformedSubscriptionOfKafkaGoIsRead(t *testing.T) {
	t.Parallel()
	s := subscription{Topics: []string{"in"}, UserData: []byte{}}
	b := s.encode(0)
	b[1] = 1
	got, err := parseSubscription(b)
	if err != nil || !slices.Equal(got.Topics, []string{"in"}) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestStickyUserDataIsJavas(t *testing.T) {
	t.Parallel()
	d := stickyData{Previous: []topicPartitions{{"a", []int32{1, 2}}}, Generation: 9}
	var theirs kmsg.StickyMemberMetadata
	if err := theirs.ReadFrom(d.encode()); err != nil {
		t.Fatal(err)
	}
	if theirs.Generation != 9 || len(theirs.CurrentAssignment) != 1 || !slices.Equal(theirs.CurrentAssignment[0].Partitions, []int32{1, 2}) {
		t.Errorf("%+v", theirs)
	}
	if diff := cmp.Diff(d, parseStickyData(theirs.AppendTo(nil))); diff != "" {
		t.Error(diff)
	}
	if old := parseStickyData(d.encode()[:len(d.encode())-4]); old.Generation != -1 || len(old.Previous) != 1 {
		t.Errorf("version 0 has no generation: %+v", old)
	}
}

func TestAssignmentRoundTrip(t *testing.T) {
	t.Parallel()
	a := assignment{Topics: []topicPartitions{{"a", []int32{0, 1}}}, UserData: encodeCounts(map[string]int32{"a": 4, "b": 2})}
	var theirs kmsg.ConsumerMemberAssignment
	if err := theirs.ReadFrom(a.encode()); err != nil {
		t.Fatal(err)
	}
	got, err := parseAssignment(theirs.AppendTo(nil))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(a, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]int32{"a": 4, "b": 2}, parseCounts(got.UserData)); diff != "" {
		t.Error(diff)
	}
	if parseCounts([]byte("somebody else's")) != nil || parseCounts(nil) != nil {
		t.Error("foreign user data was read as counts")
	}
	if empty, err := parseAssignment(nil); err != nil || len(empty.Topics) != 0 {
		t.Errorf("no bytes: %+v, %v", empty, err)
	}
}

// Bytes come from other members: never a panic, never memory on a claim.
func FuzzGroupProtocolBytes(f *testing.F) {
	s := sampleSubscription()
	for v := range int16(4) {
		f.Add(s.encode(v))
	}
	a := assignment{Topics: s.Owned, UserData: encodeCounts(map[string]int32{"a": 1})}
	f.Add(a.encode())
	f.Add((&stickyData{Previous: s.Owned, Generation: 1}).encode())
	f.Add([]byte{0, 1, 0x7f, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := parseSubscription(b); err == nil {
			again, err := parseSubscription(s.encode(subscriptionVersion))
			if err != nil || !slices.Equal(again.Topics, s.Topics) {
				t.Errorf("%+v became %+v, %v", s, again, err)
			}
		}
		if a, err := parseAssignment(b); err == nil {
			if again, err := parseAssignment(a.encode()); err != nil || len(again.Topics) != len(a.Topics) {
				t.Errorf("%+v became %+v, %v", a, again, err)
			}
		}
		parseStickyData(b)
		parseCounts(b)
	})
}
