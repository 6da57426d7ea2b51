package kafkawire

import (
	"context"
	"time"
)

// ProducePartition is one encoded batch for one partition, as pieces that are
// written one after the other without a copy.
type ProducePartition struct {
	Topic     string
	Partition int32
	Records   [][]byte
}

// ProduceRequest is a produce with acks=all to the leader of its partitions.
// Timeout is how long the broker waits for the replicas; default 10 s.
type ProduceRequest struct {
	TransactionalID string
	// TransactionV2 follows KIP-890 in every call of the transaction: the broker
	// adds the partition to it by itself.
	TransactionV2 bool
	Timeout       time.Duration
	Partitions    []ProducePartition
}

// RecordError is a record that the broker refused within a batch.
type RecordError struct {
	Index   int32
	Message string
}

// ProducedPartition is the answer for one partition. LogAppendTime is -1
// unless the topic stamps records itself.
type ProducedPartition struct {
	Topic                               string
	Partition                           int32
	Err                                 ErrorCode
	BaseOffset, LogAppendTime, LogStart int64
	RecordErrors                        []RecordError
	Message                             string
}

// ProduceResponse is a whole answer; its order is not the request's, so match
// by topic and partition.
type ProduceResponse struct {
	Throttle   time.Duration
	Partitions []ProducedPartition
}

// lastTransactionV1: from Produce version 12 on a broker takes a transactional
// request for the second transaction protocol (KIP-890), which the caller
// would have to follow in every other call.
const lastTransactionV1 = 11

const defaultProduceTimeout = 10 * time.Second

// Produce sends one request to a leader. Per-partition errors are in the
// answer. When it returns an error the batches may or may not be in the log:
// send the same bytes again.
func (c *Client) Produce(ctx context.Context, node int32, req *ProduceRequest) (*ProduceResponse, error) {
	p, err := c.peer(ctx, node, apiProduce)
	if err != nil {
		return nil, err
	}
	timeout := req.Timeout
	if timeout <= 0 {
		timeout = defaultProduceTimeout
	}
	r := &request{
		api: apiProduce, lo: apis[apiProduce].min, hi: apis[apiProduce].max, wait: timeout,
		encode: func(w *wireWriter) { encodeProduce(w, req, timeout) },
	}
	switch {
	case req.TransactionalID == "":
	case req.TransactionV2:
		r.lo = lastTransactionV1 + 1
	default:
		r.hi = lastTransactionV1
	}
	answer, err := c.call(ctx, p, r)
	if err != nil {
		return nil, err
	}
	res, throttle, err := decodeProduce(answer)
	if err != nil {
		return nil, c.netError(ctx, p, apiProduce, err)
	}
	res.Throttle = c.throttled(p, apiProduce, throttle)
	return res, nil
}

func encodeProduce(w *wireWriter, req *ProduceRequest, timeout time.Duration) {
	w.nullableString(req.TransactionalID)
	w.int16(-1) // acks: all
	w.int32(millis(timeout))
	w.arrayLen(countRuns(req.Partitions))
	for i := 0; i < len(req.Partitions); {
		topic := req.Partitions[i].Topic
		n := runOf(req.Partitions[i:])
		w.string(topic)
		w.arrayLen(n)
		for ; n > 0; n-- {
			w.int32(req.Partitions[i].Partition)
			w.raw(req.Partitions[i].Records)
			w.tags()
			i++
		}
		w.tags()
	}
	w.tags()
}

// runOf is how many partitions from the first on share its topic.
func runOf(parts []ProducePartition) int {
	n := 1
	for n < len(parts) && parts[n].Topic == parts[0].Topic {
		n++
	}
	return n
}

func countRuns(parts []ProducePartition) int {
	runs := 0
	for len(parts) > 0 {
		parts = parts[runOf(parts):]
		runs++
	}
	return runs
}

func decodeProduce(r *wireReader) (res *ProduceResponse, throttleMillis int32, err error) {
	res = &ProduceResponse{}
	for n := r.arrayLen(2); n > 0 && r.err == nil; n-- {
		topic := r.string()
		for n := r.arrayLen(22); n > 0 && r.err == nil; n-- {
			res.Partitions = append(res.Partitions, decodeProduced(r, topic))
		}
		r.tags()
	}
	throttleMillis = r.int32()
	r.tags()
	return res, throttleMillis, r.err
}

func decodeProduced(r *wireReader, topic string) ProducedPartition {
	p := ProducedPartition{
		Topic: topic, Partition: r.int32(), Err: ErrorCode(r.int16()),
		BaseOffset: r.int64(), LogAppendTime: r.int64(), LogStart: -1,
	}
	if r.version >= 5 {
		p.LogStart = r.int64()
	}
	if r.version >= 8 {
		for n := r.arrayLen(5); n > 0 && r.err == nil; n-- {
			p.RecordErrors = append(p.RecordErrors, RecordError{r.int32(), r.string()})
			r.tags()
		}
		p.Message = r.string()
	}
	r.tags()
	return p
}

// millis is a duration as the protocol has it, at most what fits.
func millis(d time.Duration) int32 {
	return int32(min(d.Milliseconds(), 1<<31-1))
}
