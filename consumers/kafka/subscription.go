package kafka

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The bytes of the consumer protocol inside JoinGroup and SyncGroup
// (ConsumerProtocolSubscription and ConsumerProtocolAssignment). A version may
// only add fields at the end, so a reader of an old version reads a new one.
const (
	// subscriptionVersion 3 has OwnedPartitions (1), GenerationID (2) and
	// RackID (3). Leaving one out while claiming the version kills a Java leader
	// with a buffer underflow (kafka-go does that).
	subscriptionVersion = 3
	assignmentVersion   = 0
)

var errShortProtocol = errors.New("group protocol bytes end too early")

// topicPartitions names partitions of one topic.
type topicPartitions struct {
	Topic      string
	Partitions []int32
}

// subscription is what a member tells the leader.
type subscription struct {
	Topics   []string
	UserData []byte
	// Owned is what a cooperative member keeps; eager members own nothing when
	// they join.
	Owned      []topicPartitions
	Generation int32
	Rack       string
}

// encode writes the subscription in the given version, 0 to 3.
func (s *subscription) encode(version int16) []byte {
	w := wireWriter{}
	w.int16(version)
	w.int32(int32(len(s.Topics)))
	for _, t := range s.Topics {
		w.string(t)
	}
	w.bytes(s.UserData)
	if version >= 1 {
		w.topics(s.Owned)
	}
	if version >= 2 {
		w.int32(s.Generation)
	}
	if version >= 3 {
		w.nullString(s.Rack)
	}
	return w.buf
}

// parseSubscription reads any version; what a version does not have is empty,
// Generation -1. Fields a member claims but left out (kafka-go) are empty too.
func parseSubscription(b []byte) (subscription, error) {
	r := wireReader{buf: b}
	s := subscription{Generation: -1}
	version := r.int16()
	for n := r.count(2); n > 0; n-- {
		s.Topics = append(s.Topics, r.string())
	}
	s.UserData = r.bytes()
	if r.err != nil || version < 0 {
		return s, fmt.Errorf("subscription of version %d: %w", version, errShortProtocol)
	}
	if version >= 1 {
		s.Owned = r.topics()
	}
	if version >= 2 && r.err == nil {
		s.Generation = r.int32()
	}
	if version >= 3 && r.err == nil {
		s.Rack = r.string()
	}
	if r.err != nil {
		s.Owned, s.Generation = nil, -1
	}
	return s, nil
}

// assignment is what the leader gives to a member.
type assignment struct {
	Topics   []topicPartitions
	UserData []byte
}

func (a *assignment) encode() []byte {
	w := wireWriter{}
	w.int16(assignmentVersion)
	w.topics(a.Topics)
	w.bytes(a.UserData)
	return w.buf
}

// parseAssignment reads any version. Empty bytes are an empty assignment: the
// leader left this member out.
func parseAssignment(b []byte) (assignment, error) {
	if len(b) == 0 {
		return assignment{}, nil
	}
	r := wireReader{buf: b}
	version := r.int16()
	a := assignment{Topics: r.topics()}
	a.UserData = r.bytes()
	if r.err != nil || version < 0 {
		return assignment{}, fmt.Errorf("assignment of version %d: %w", version, errShortProtocol)
	}
	return a, nil
}

// stickyData is the user data of the "sticky" assignor as Java's
// StickyAssignor writes it: what the member had, and in which generation.
type stickyData struct {
	Previous   []topicPartitions
	Generation int32
}

func (d *stickyData) encode() []byte {
	w := wireWriter{}
	w.topics(d.Previous)
	w.int32(d.Generation)
	return w.buf
}

// parseStickyData reads the user data; version 0 of it had no generation.
func parseStickyData(b []byte) stickyData {
	r := wireReader{buf: b}
	d := stickyData{Previous: r.topics(), Generation: -1}
	if r.err != nil {
		return stickyData{Generation: -1}
	}
	if len(r.buf) >= 4 {
		d.Generation = r.int32()
	}
	return d
}

// countsMagic begins the user data of our assignments: how many partitions each
// topic had when the leader assigned. A static leader that restarts is told not
// to assign (KIP-814); this is how it still notices partitions added meanwhile.
// Other clients ignore an assignment's user data.
const countsMagic int32 = 0x736c7531 // "slu1"

func encodeCounts(counts map[string]int32) []byte {
	w := wireWriter{}
	w.int32(countsMagic)
	w.int32(int32(len(counts)))
	for _, t := range sortedKeys(counts) {
		w.string(t)
		w.int32(counts[t])
	}
	return w.buf
}

// parseCounts returns nil for user data of another kind.
func parseCounts(b []byte) map[string]int32 {
	r := wireReader{buf: b}
	if r.int32() != countsMagic {
		return nil
	}
	counts := map[string]int32{}
	for n := r.count(6); n > 0; n-- {
		t := r.string()
		counts[t] = r.int32()
	}
	if r.err != nil {
		return nil
	}
	return counts
}

// wireWriter appends the protocol's old (not flexible) encodings.
type wireWriter struct{ buf []byte }

func (w *wireWriter) int16(v int16) { w.buf = binary.BigEndian.AppendUint16(w.buf, uint16(v)) }
func (w *wireWriter) int32(v int32) { w.buf = binary.BigEndian.AppendUint32(w.buf, uint32(v)) }

func (w *wireWriter) string(s string) {
	w.int16(int16(len(s)))
	w.buf = append(w.buf, s...)
}

func (w *wireWriter) nullString(s string) {
	if s == "" {
		w.int16(-1)
		return
	}
	w.string(s)
}

func (w *wireWriter) bytes(b []byte) {
	if b == nil {
		w.int32(-1)
		return
	}
	w.int32(int32(len(b)))
	w.buf = append(w.buf, b...)
}

func (w *wireWriter) topics(ts []topicPartitions) {
	w.int32(int32(len(ts)))
	for _, t := range ts {
		w.string(t.Topic)
		w.int32(int32(len(t.Partitions)))
		for _, p := range t.Partitions {
			w.int32(p)
		}
	}
}

// wireReader reads the same; after the first error everything is zero.
type wireReader struct {
	buf []byte
	err error
}

func (r *wireReader) take(n int) []byte {
	if r.err != nil || n < 0 || n > len(r.buf) {
		r.err = errShortProtocol
		return nil
	}
	b := r.buf[:n:n]
	r.buf = r.buf[n:]
	return b
}

func (r *wireReader) int16() int16 {
	if b := r.take(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (r *wireReader) int32() int32 {
	if b := r.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

// count reads an array length and refuses one that cannot fit: each element has
// at least size bytes. Memory is never taken on a claim alone.
func (r *wireReader) count(size int) int {
	n := int(r.int32())
	if n > len(r.buf)/size {
		r.err = errShortProtocol
	}
	if r.err != nil || n < 0 {
		return 0
	}
	return n
}

func (r *wireReader) string() string {
	n := int(r.int16())
	if n < 0 {
		return ""
	}
	return string(r.take(n))
}

func (r *wireReader) bytes() []byte {
	n := int(r.int32())
	if n < 0 || r.err != nil {
		return nil
	}
	return r.take(n)
}

func (r *wireReader) topics() []topicPartitions {
	n := r.count(6)
	out := make([]topicPartitions, 0, n)
	for ; n > 0 && r.err == nil; n-- {
		t := topicPartitions{Topic: r.string()}
		for m := r.count(4); m > 0; m-- {
			t.Partitions = append(t.Partitions, r.int32())
		}
		out = append(out, t)
	}
	return out
}
