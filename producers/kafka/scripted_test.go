package kafka

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/sluice-ml/sluice/internal/kafkawire"
	"github.com/sluice-ml/sluice/schemas"
)

// fault is what a scripted broker does with one batch.
type fault struct {
	// delay before anything else.
	delay time.Duration
	// code is answered instead of appending, unless appended is set: then it is
	// appended and the code answered all the same.
	code     kafkawire.ErrorCode
	appended bool
	// lost: no answer, the connection is cut; with appended after the append.
	lost bool
	// move gives the partition another leader first.
	move bool
	// throttle is part of the answer.
	throttle time.Duration
	// named are the records an INVALID_TIMESTAMP or INVALID_RECORD names.
	named []int32
}

// entry is one record in a scripted log.
type entry struct {
	key, value string
	null       bool
	nullKey    bool
	ts         int64
	headers    []schemas.Header
}

// lastBatches is how many batches of a producer a broker remembers.
const lastBatches = 5

type keptBytes struct {
	live []byte
	was  string
}

type seen struct{ first, count, base int64 }

// scriptedLog is a partition as an independent model of a broker keeps it.
type scriptedLog struct {
	leader  int32
	entries []entry
	// by producer id: the epoch and the last batches, newest last.
	epoch map[int64]int16
	last  map[int64][]seen
	// busy finds two requests in flight at once.
	busy bool
}

// scripted is a broker of several nodes that answers by a plan. It checks
// sequences as Kafka does, and the producer's promises.
type scripted struct {
	mu     sync.Mutex
	logs   map[string][]*scriptedLog
	nodes  int32
	pid    int64
	config map[string]string
	// plan decides about each batch; nil means no faults.
	plan func(topic string, partition int32, records int) fault
	// metadata and initID are answered when they are errors.
	metadata, initID error
	// maxBytes of a batch.
	maxBytes int
	// refuseTimestampsBefore answers INVALID_TIMESTAMP without naming records.
	refuseTimestampsBefore int64

	// kept are the bytes of requests that got no answer: a broker may still read
	// them, so they must not change.
	kept []keptBytes
	// doubtful are the bytes whose fate the producer does not know, by place.
	doubtful map[string]string

	requests, initIDs int
	broken            []string // promises the producer broke
}

func newScripted(topics map[string]int) *scripted {
	s := &scripted{logs: map[string][]*scriptedLog{}, nodes: 3, pid: 100, maxBytes: 1 << 20, config: map[string]string{}, doubtful: map[string]string{}}
	for name, n := range topics {
		for i := range n {
			s.logs[name] = append(s.logs[name], &scriptedLog{
				leader: int32(i) % s.nodes, epoch: map[int64]int16{}, last: map[int64][]seen{},
			})
		}
	}
	return s
}

var _ broker = (*scripted)(nil)

func (s *scripted) Metadata(_ context.Context, topics ...string) (*kafkawire.Metadata, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.metadata != nil {
		return nil, s.metadata
	}
	m := &kafkawire.Metadata{}
	for _, name := range topics {
		t := kafkawire.TopicMeta{Name: name}
		if len(s.logs[name]) == 0 {
			t.Err = kafkawire.ErrUnknownTopicOrPartition
		}
		for i, l := range s.logs[name] {
			t.Partitions = append(t.Partitions, kafkawire.PartitionMeta{ID: int32(i), Leader: l.leader})
		}
		m.Topics = append(m.Topics, t)
	}
	return m, nil
}

func (s *scripted) TopicConfig(_ context.Context, _ string, _ ...string) (map[string]string, error) {
	return s.config, nil
}

func (s *scripted) InitProducerID(context.Context, string, time.Duration, int64, int16) (int64, int16, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.initID != nil {
		return -1, -1, s.initID
	}
	s.pid++
	s.initIDs++
	return s.pid, 0, nil
}

func (s *scripted) Produce(ctx context.Context, node int32, req *kafkawire.ProduceRequest) (*kafkawire.ProduceResponse, error) {
	s.mu.Lock()
	s.requests++
	s.mu.Unlock()
	resp := &kafkawire.ProduceResponse{}
	lost := false
	for i := range req.Partitions {
		p := &req.Partitions[i]
		got, f := s.produce(ctx, node, p)
		lost = lost || f.lost
		resp.Throttle = max(resp.Throttle, f.throttle)
		// Not in the request's order, as on real brokers.
		resp.Partitions = append([]kafkawire.ProducedPartition{got}, resp.Partitions...)
	}
	if lost {
		return nil, &kafkawire.NetError{API: "Produce", Node: node, Err: io.ErrUnexpectedEOF}
	}
	return resp, ctx.Err()
}

// produce handles one batch of a request.
func (s *scripted) produce(ctx context.Context, node int32, p *kafkawire.ProducePartition) (kafkawire.ProducedPartition, fault) {
	out := kafkawire.ProducedPartition{Topic: p.Topic, Partition: p.Partition, BaseOffset: -1}
	raw, rest, err := kafkawire.NextBatch(p.Records[0])
	if err != nil || len(rest) != 0 {
		s.breach("partition %d: not one whole batch: %v", p.Partition, err)
		out.Err = kafkawire.ErrCorruptMessage
		return out, fault{}
	}
	l, f := s.begin(p, int(raw.Count))
	s.compare(p, &raw, f)
	if l == nil {
		out.Err = kafkawire.ErrUnknownTopicOrPartition
		return out, f
	}
	if f.delay > 0 {
		select {
		case <-time.After(f.delay):
		case <-ctx.Done(): // the request is cut, what it carries may still land
			time.Sleep(time.Millisecond)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l.busy = false
	if f.move {
		l.leader = (l.leader + 1) % s.nodes
	}
	switch {
	case l.leader != node:
		out.Err = kafkawire.ErrNotLeader
	case f.appended || (f.code == 0 && !f.lost):
		out.Err, out.BaseOffset = s.append(l, &raw, len(p.Records[0]))
		if f.code != 0 && out.Err == 0 {
			out.Err, out.BaseOffset = f.code, -1
		}
	default:
		out.Err = f.code
		for _, n := range f.named {
			out.RecordErrors = append(out.RecordErrors, kafkawire.RecordError{Index: n})
		}
	}
	return out, f
}

// begin finds the log and the fault, and that nothing else is in flight there.
func (s *scripted) begin(p *kafkawire.ProducePartition, records int) (*scriptedLog, fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var f fault
	if s.plan != nil {
		f = s.plan(p.Topic, p.Partition, records)
	}
	if int(p.Partition) >= len(s.logs[p.Topic]) {
		return nil, f
	}
	l := s.logs[p.Topic][p.Partition]
	if l.busy {
		s.broken = append(s.broken, fmt.Sprintf("two requests in flight for partition %d", p.Partition))
	}
	l.busy = true
	return l, f
}

// compare holds the producer to the same bytes after an attempt without a
// definite answer.
func (s *scripted) compare(p *kafkawire.ProducePartition, raw *kafkawire.RawBatch, f fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	place := fmt.Sprintf("%s/%d %d@%d", p.Topic, p.Partition, raw.ProducerID, raw.BaseSequence)
	if was, ok := s.doubtful[place]; ok && was != string(p.Records[0]) {
		s.broken = append(s.broken, place+": other bytes while the fate of the first is not known")
	}
	if f.lost || f.appended {
		s.doubtful[place] = string(p.Records[0])
	}
	if f.lost || f.delay > time.Second {
		s.kept = append(s.kept, keptBytes{p.Records[0], string(p.Records[0])})
	}
}

// unchanged says whether the bytes of unanswered requests are as they were.
func (s *scripted) unchanged() bool {
	for _, k := range s.kept {
		if string(k.live) != k.was {
			return false
		}
	}
	return true
}

// append is a broker's append: size, sequence, duplicates, then the records.
func (s *scripted) append(l *scriptedLog, raw *kafkawire.RawBatch, size int) (kafkawire.ErrorCode, int64) {
	if size > s.maxBytes {
		return kafkawire.ErrMessageTooLarge, -1
	}
	if raw.FirstTimestamp < s.refuseTimestampsBefore {
		return kafkawire.ErrInvalidTimestamp, -1
	}
	first, count := int64(raw.BaseSequence), int64(raw.Count)
	last := l.last[raw.ProducerID]
	for _, b := range last {
		if b.first == first && b.count == count && l.epoch[raw.ProducerID] == raw.ProducerEpoch {
			return kafkawire.ErrNone, b.base
		}
	}
	if n := len(last); n > 0 && (last[n-1].first+last[n-1].count)&0x7fffffff != first {
		return kafkawire.ErrOutOfOrderSequence, -1
	}
	base := int64(len(l.entries))
	if len(last) == lastBatches {
		last = last[1:]
	}
	l.last[raw.ProducerID] = append(last, seen{first, count, base})
	l.epoch[raw.ProducerID] = raw.ProducerEpoch
	l.entries = append(l.entries, decode(raw)...)
	return kafkawire.ErrNone, base
}

// decode reads a batch's records.
func decode(raw *kafkawire.RawBatch) []entry {
	payload, err := raw.Decompress(nil, 1<<30)
	if err != nil {
		panic(err)
	}
	var out []entry
	records := raw.Records(payload)
	for range raw.Count {
		var rec kafkawire.WireRecord // new, so that the headers are not shared
		if _, err := records.Next(&rec); err != nil {
			panic(err)
		}
		out = append(out, entry{
			key: string(rec.Key), value: string(rec.Value), null: rec.Value == nil, nullKey: rec.Key == nil,
			ts: rec.Timestamp, headers: cloned(rec.Headers),
		})
	}
	return out
}

// cloned copies headers: the batch's memory is used again after the answer.
func cloned(headers []schemas.Header) []schemas.Header {
	out := slices.Clone(headers)
	for i := range out {
		out[i].Value = slices.Clone(out[i].Value)
	}
	return out
}

func (s *scripted) breach(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = append(s.broken, fmt.Sprintf(format, args...))
}

// set changes the script under its lock.
func (s *scripted) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// sent is how many produce requests came.
func (s *scripted) sent() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// values are the values in a partition of topic out, in order.
func (s *scripted) values(partition int) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, e := range s.logs["out"][partition].entries {
		out = append(out, e.value)
	}
	return out
}
