package pipeline

import (
	"context"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-ml/sluice/schemas"
)

// listSink keeps what was sent; the test settles it.
type listSink struct{ sent []*Item }

func (s *listSink) Send(_ context.Context, items []*Item) { s.sent = append(s.sent, items...) }
func (s *listSink) Flush(context.Context) error           { return nil }

type plainModel struct{}

func (plainModel) Signature() *schemas.Signature     { return &schemas.Signature{} }
func (plainModel) Run(context.Context, *Batch) error { return nil }
func (plainModel) Close() error                      { return nil }

type naiveState int

const (
	naiveWaiting naiveState = iota
	naiveRunning
	naiveFinished
	naiveSent
	naiveSettled
	naiveDropped
)

// naive is one record of the model: a plain list, no cursors.
type naive struct {
	item         *Item
	offset, next int64
	state        naiveState
	committed    bool
}

// partitionMachine drives a Partition and a naive list side by side.
type partitionMachine struct {
	ctx       context.Context
	pipe      *Pipeline
	sink      *listSink
	gate      *Gate
	part      *Partition
	ordered   bool
	records   []*naive
	position  int64
	end       int64 // next offset to be given out
	committed int64
	barrier   int // first record that is dropped, -1 without a drain
	closed    bool
	stops     int
}

const (
	machineRing = 12
	machineGate = 5
)

func newPartitionMachine(t *rapid.T) *partitionMachine {
	m := &partitionMachine{ctx: context.Background(), sink: &listSink{}, gate: NewGate(machineGate, nil), barrier: -1}
	m.ordered = rapid.Bool().Draw(t, "ordered")
	pipe, err := New(Config{MaxInFlight: 1 << 20, MaxRows: 1, DrainTimeout: 1}, nil, nil, plainModel{}, m.sink, nil)
	if err != nil {
		t.Fatal(err)
	}
	m.pipe = pipe
	m.part = NewPartition(PartitionConfig{Ring: machineRing, Ordered: m.ordered, Gate: m.gate, OnStop: func(error) { m.stops++ }})
	return m
}

// pick draws a record in a state, nil when there is none.
func (m *partitionMachine) pick(t *rapid.T, state naiveState) *naive {
	var of []*naive
	for _, r := range m.records {
		if r.state == state {
			of = append(of, r)
		}
	}
	if len(of) == 0 {
		return nil
	}
	return rapid.SampledFrom(of).Draw(t, "record")
}

func (m *partitionMachine) track(t *rapid.T) {
	if m.part.Free() == 0 || m.barrier >= 0 {
		return
	}
	gap := rapid.Int64Range(0, 2).Draw(t, "gap")
	r := &naive{item: NewItem(), offset: m.end + gap}
	m.end = r.offset + rapid.Int64Range(1, 3).Draw(t, "step")
	r.next = m.end
	r.item.Offset = r.offset
	m.part.Track(r.item, r.next)
	m.pipe.admit([]*Item{r.item})
	m.records = append(m.records, r)
}

func (m *partitionMachine) skip(t *rapid.T) {
	if m.closed || m.barrier >= 0 {
		return
	}
	m.end += rapid.Int64Range(1, 3).Draw(t, "by")
	if n := len(m.records); n > 0 {
		m.records[n-1].next = m.end
	}
	m.part.SkipTo(m.end)
	if m.settledPrefix() == len(m.records) {
		m.position = m.end
	}
}

func (m *partitionMachine) begin(t *rapid.T) {
	r := m.pick(t, naiveWaiting)
	if r == nil {
		return
	}
	m.part.begin([]*Item{r.item})
	if !m.mayGoOn(r) {
		if !r.item.state.dropped {
			t.Fatalf("record %d was begun after the barrier or the close", r.offset)
		}
		r.state = naiveDropped
		r.item.abandon()
		return
	}
	r.state = naiveRunning
}

func (m *partitionMachine) finish(t *rapid.T) {
	r := m.pick(t, naiveRunning)
	if r == nil {
		return
	}
	r.item.state.outcome = Predicted
	r.state = naiveFinished
	if !m.mayGoOn(r) {
		r.state = naiveDropped
	}
	m.part.finish(m.ctx, []*Item{r.item})
}

func (m *partitionMachine) mayGoOn(r *naive) bool {
	if m.closed {
		return false
	}
	return m.barrier < 0 || m.index(r) < m.barrier
}

func (m *partitionMachine) index(r *naive) int {
	for i := range m.records {
		if m.records[i] == r {
			return i
		}
	}
	return -1
}

func (m *partitionMachine) settle(t *rapid.T) {
	r := m.pick(t, naiveSent)
	if r == nil {
		return
	}
	r.state = naiveSettled
	if m.closed {
		r.state = naiveDropped
	}
	r.item.Settle(nil)
	m.advance()
}

// settleSeveral settles some of what was sent, in any order, at once.
func (m *partitionMachine) settleSeveral(t *rapid.T) {
	var items []*Item
	for range rapid.IntRange(0, 5).Draw(t, "several") {
		r := m.pick(t, naiveSent)
		if r == nil {
			break
		}
		r.state = naiveSettled
		if m.closed {
			r.state = naiveDropped
		}
		items = append(items, r.item)
	}
	SettleAll(items)
	m.advance()
}

func (m *partitionMachine) advance() {
	for i := range m.settledPrefix() {
		m.position = max(m.position, m.records[i].next)
	}
}

func (m *partitionMachine) settledPrefix() int {
	for i, r := range m.records {
		if r.state != naiveSettled {
			return i
		}
	}
	return len(m.records)
}

func (m *partitionMachine) commit(*rapid.T) {
	m.committed = m.position
	for i := range m.settledPrefix() {
		m.records[i].committed = true
	}
	m.part.Committed(m.part.Position())
	m.resume()
}

// resume does what the resume goroutine would.
func (m *partitionMachine) resume() {
	m.pipe.resume.mu.Lock()
	waiting := m.pipe.resume.waiting
	m.pipe.resume.waiting = nil
	m.pipe.resume.mu.Unlock()
	for _, p := range waiting {
		p.pump(m.ctx)
	}
}

func (m *partitionMachine) drain(*rapid.T) {
	if m.barrier >= 0 || m.closed {
		return
	}
	m.part.Drain()
	from := m.settledPrefix()
	for i, r := range m.records {
		if r.state == naiveSent || r.state == naiveSettled {
			from = max(from, i+1)
		}
	}
	for from < len(m.records) && m.records[from].state != naiveWaiting {
		from++
	}
	m.barrier = from
	for _, r := range m.records[from:] {
		if r.state == naiveFinished {
			r.state = naiveDropped
		}
	}
}

func (m *partitionMachine) finishEpoch(t *rapid.T) {
	if m.closed {
		return
	}
	if rapid.Bool().Draw(t, "stop") {
		m.part.Stop(errors.New("sink gave up"))
		m.part.Stop(errors.New("again"))
		if m.stops != 1 {
			t.Fatalf("OnStop was called %d times, want once", m.stops)
		}
	} else {
		m.part.Close()
	}
	m.closed = true
	for _, r := range m.records {
		if r.state == naiveFinished {
			r.state = naiveDropped
		}
	}
}

// check takes in what was sent and compares everything that can be asked.
func (m *partitionMachine) check(t *rapid.T) {
	m.resume()
	for _, it := range m.sink.sent {
		m.noteSent(t, it)
	}
	m.sink.sent = m.sink.sent[:0]
	if got := m.part.Position(); got != m.position {
		t.Fatalf("Position() = %d, want %d (I2)", got, m.position)
	}
	sent, open := 0, 0
	for _, r := range m.records {
		if (r.state == naiveSent || r.state == naiveSettled) && !r.committed && !m.closed {
			sent++
		}
		if r.state != naiveSettled && r.state != naiveDropped {
			open++
		}
	}
	if got := m.gate.Used(); got != sent {
		t.Fatalf("gate holds %d, want %d", got, sent)
	}
	if limit := machineGate + 1; sent > limit || m.ordered && sent > machineGate {
		t.Fatalf("%d delivered and uncommitted, limit %d", sent, machineGate)
	}
	if got := m.part.InFlight(); got != open {
		t.Fatalf("InFlight() = %d, want %d", got, open)
	}
	m.checkProgress(t, sent)
	m.checkDrained(t)
}

func (m *partitionMachine) noteSent(t *rapid.T, it *Item) {
	for i, r := range m.records {
		if r.item != it || r.offset != it.Offset {
			continue
		}
		if r.state != naiveFinished || m.closed {
			t.Fatalf("offset %d was sent in state %d, closed %v (I3)", it.Offset, r.state, m.closed)
		}
		r.state = naiveSent
		for _, before := range m.records[:i] {
			if m.ordered && before.state != naiveSent && before.state != naiveSettled {
				t.Fatalf("offset %d was sent before %d", it.Offset, before.offset)
			}
		}
		return
	}
	t.Fatalf("an unknown item was sent: offset %d", it.Offset)
}

// checkProgress wants everything sent that may be.
func (m *partitionMachine) checkProgress(t *rapid.T, sent int) {
	if m.closed {
		return
	}
	for i, r := range m.records {
		head := i == m.settledPrefix() && (i == 0 || m.records[i-1].committed)
		if m.ordered && r.state < naiveFinished {
			return
		}
		if r.state == naiveFinished && (sent < machineGate || head && !m.ordered) {
			t.Fatalf("offset %d is finished and was not sent, gate %d of %d", r.offset, sent, machineGate)
		}
	}
}

func (m *partitionMachine) checkDrained(t *rapid.T) {
	want := m.closed || m.barrier >= 0 && m.settledPrefix() >= m.barrier
	got := false
	select {
	case <-m.part.Drained():
		got = true
	default:
	}
	if got != want {
		t.Fatalf("Drained = %v, want %v (barrier %d, settled prefix %d)", got, want, m.barrier, m.settledPrefix())
	}
	offset, _, ok := m.part.Oldest()
	first := m.settledPrefix()
	if wantOldest := !m.closed && first < len(m.records); ok != wantOldest || ok && offset != m.records[first].offset {
		t.Fatalf("Oldest() = %d, %v, want %v", offset, ok, wantOldest)
	}
}

func partitionProperty(t *rapid.T) {
	m := newPartitionMachine(t)
	t.Repeat(map[string]func(*rapid.T){
		"track": m.track, "track again": m.track, "skip": m.skip, "begin": m.begin, "begin again": m.begin,
		"finish": m.finish, "finish again": m.finish, "settle": m.settle, "settle several": m.settleSeveral, "commit": m.commit,
		"drain": m.drain, "end": m.finishEpoch, "": m.check,
	})
}

func TestPartitionBehavesAsANaiveList(t *testing.T) {
	t.Parallel()
	rapid.Check(t, partitionProperty)
}

func FuzzPartition(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(partitionProperty))
}
