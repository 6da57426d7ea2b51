package kafka

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/sluice-ml/sluice/internal/kafkawire"
)

// request is one produce to one broker: a batch for each of its partitions.
type request struct {
	node  int32
	bytes int
	parts []inFlight
}

// inFlight is one batch of a request and, later, its verdict.
type inFlight struct {
	pt       *partition
	b        *batch
	producer producerID
	sequence int32
	count    int

	base    int64
	err     error // nil when the batch is in the log
	rule    rule
	records []kafkawire.RecordError
}

// add puts a batch into the request, with the partition's numbers of now.
func (r *request) add(pt *partition, b *batch) {
	r.parts = append(r.parts, inFlight{pt: pt, b: b, producer: pt.producer, sequence: pt.sequence, count: len(b.waiting), base: -1})
	r.bytes += b.writer.Bytes()
}

// answer is what became of a request.
type answer struct {
	r        *request
	throttle time.Duration
}

// exchange encodes the batches, sends them and judges the answer; it runs on
// the request's own goroutine.
func (p *Producer) exchange(ctx context.Context, r *request) *answer {
	req := &kafkawire.ProduceRequest{
		Timeout:    p.cfg.RequestTimeout,
		Partitions: make([]kafkawire.ProducePartition, 0, len(r.parts)),
	}
	// One entry per topic in the request.
	slices.SortStableFunc(r.parts, func(a, b inFlight) int { return strings.Compare(a.pt.topic.name, b.pt.topic.name) })
	for i := range r.parts {
		f := &r.parts[i]
		if err := f.b.stamp(p.cfg.Compression, f.producer, f.sequence); err != nil {
			panic("BUG: a batch does not encode: " + err.Error())
		}
		f.b.attempts++
		req.Partitions = append(req.Partitions, kafkawire.ProducePartition{
			Topic: f.pt.topic.name, Partition: f.pt.id, Records: [][]byte{f.b.wire},
		})
	}
	ctx, cancel := context.WithTimeout(ctx, 2*p.cfg.RequestTimeout)
	defer cancel()
	resp, err := p.broker.Produce(ctx, r.node, req)
	a := &answer{r: r}
	if err == nil {
		a.throttle = resp.Throttle
	}
	for i := range r.parts {
		r.parts[i].judge(resp, err)
	}
	return a
}

// errNoAnswer is a partition that the broker's answer leaves out.
var errNoAnswer = errors.New("the broker's answer leaves the partition out")

// judge finds the partition's part of the answer and its rule.
func (f *inFlight) judge(resp *kafkawire.ProduceResponse, err error) {
	if err == nil {
		err = errNoAnswer
		for i := range resp.Partitions {
			got := &resp.Partitions[i]
			if got.Partition == f.pt.id && got.Topic == f.pt.topic.name {
				f.base, f.records, err = got.BaseOffset, got.RecordErrors, nil
				if got.Err != kafkawire.ErrNone {
					err = got.Err
				}
				break
			}
		}
	}
	if f.rule = ruleFor(err); f.rule.action != done {
		f.err = err
	}
}

// complete tells the records of written batches.
func (p *Producer) complete(r *request) {
	for i := range r.parts {
		if f := &r.parts[i]; f.rule.action == done {
			p.finish(f.pt, f.b, f.base, nil)
		}
	}
}
