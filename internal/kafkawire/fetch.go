package kafkawire

import (
	"context"
	"fmt"
	"time"
)

// FetchPartition asks for one partition from Offset on.
type FetchPartition struct {
	Topic string
	// TopicID is zero when unknown. When every partition of a request has one
	// and the broker offers it, the fetch goes by id: a recreated topic is then
	// ErrUnknownTopicID instead of other data under the same name.
	TopicID   [16]byte
	Partition int32
	// LeaderEpoch is -1 to leave the check out (KIP-320).
	LeaderEpoch int32
	Offset      int64
	MaxBytes    int32
}

// FetchRequest is a sessionless fetch of partitions that share a leader. An
// answer always brings the first batch whole, also when it is larger than
// MaxBytes (KIP-74).
type FetchRequest struct {
	MaxWait            time.Duration
	MinBytes, MaxBytes int32
	ReadCommitted      bool
	Partitions         []FetchPartition
	// Alloc gives the memory for the answer, at least n bytes long; nil
	// allocates. The memory belongs to the caller again whatever Fetch returns.
	Alloc func(n int) []byte
}

// AbortedTxn is a transaction whose records from FirstOffset on are void.
type AbortedTxn struct {
	ProducerID, FirstOffset int64
}

// FetchedPartition is the answer for one partition. Records aliases the
// response's Buf and may end in a cut batch. HighWatermark, LastStable and
// LogStart are -1 with an error.
type FetchedPartition struct {
	Topic                               string
	Partition                           int32
	Err                                 ErrorCode
	HighWatermark, LastStable, LogStart int64
	Aborted                             []AbortedTxn
	Records                             []byte
	// Verified is how many bytes at the start of Records are whole batches whose
	// CRC is right, see NextVerified.
	Verified int
}

// FetchResponse is a whole answer. Buf is owned by the caller and never touched
// by the client again.
type FetchResponse struct {
	Throttle   time.Duration
	Err        ErrorCode
	Partitions []FetchedPartition
	Buf        []byte
}

// byTopicID is the first Fetch version that names topics by id (KIP-516).
const byTopicID = 13

// Fetch asks a leader (a follower answers as well, only later) for records. It
// blocks for up to MaxWait when there are fewer than MinBytes. Per-partition
// errors are in the answer.
func (c *Client) Fetch(ctx context.Context, node int32, req *FetchRequest) (*FetchResponse, error) {
	p, err := c.peer(ctx, node, apiFetch)
	if err != nil {
		return nil, err
	}
	v := &verifier{}
	r := &request{
		api: apiFetch, lo: apis[apiFetch].min, hi: apis[apiFetch].max, wait: req.MaxWait, alloc: req.Alloc,
		arrived: func(version int16) func([]byte, int) { v.version = version; return v.arrived },
		encode:  func(w *wireWriter) { encodeFetch(w, req) },
	}
	names := topicNames(req)
	if names == nil {
		r.hi = byTopicID - 1
	}
	answer, err := c.call(ctx, p, r)
	if err != nil {
		return nil, err
	}
	buf := answer.b
	res, throttle, err := decodeFetch(answer, names)
	if err != nil {
		return nil, c.netError(ctx, p, apiFetch, err)
	}
	for i := range res.Partitions {
		res.Partitions[i].Verified = v.of(i)
	}
	res.Buf = buf
	res.Throttle = c.throttled(p, apiFetch, throttle)
	p.note(res.Err)
	return res, nil
}

// topicNames maps the ids of a request to names; nil when one has no id.
func topicNames(req *FetchRequest) map[[16]byte]string {
	names := make(map[[16]byte]string, 1)
	for i := range req.Partitions {
		p := &req.Partitions[i]
		if p.TopicID == ([16]byte{}) {
			return nil
		}
		names[p.TopicID] = p.Topic
	}
	return names
}

func encodeFetch(w *wireWriter, req *FetchRequest) {
	isolation := int8(0)
	if req.ReadCommitted {
		isolation = 1
	}
	w.int32(-1) // replica id: a consumer
	w.int32(millis(req.MaxWait))
	w.int32(req.MinBytes)
	w.int32(req.MaxBytes)
	w.int8(isolation)
	w.int32(0)  // session id
	w.int32(-1) // session epoch: no session (KIP-227)
	w.arrayLen(countTopics(req.Partitions))
	for i := 0; i < len(req.Partitions); {
		n := sameTopic(req.Partitions[i:])
		if w.version >= byTopicID {
			w.uuid(req.Partitions[i].TopicID)
		} else {
			w.string(req.Partitions[i].Topic)
		}
		w.arrayLen(n)
		for ; n > 0; n-- {
			p := &req.Partitions[i]
			w.int32(p.Partition)
			w.int32(p.LeaderEpoch)
			w.int64(p.Offset)
			w.int32(-1) // last fetched epoch: replicas only
			w.int64(-1) // log start offset: replicas only
			w.int32(p.MaxBytes)
			w.tags()
			i++
		}
		w.tags()
	}
	w.arrayLen(0) // forgotten topics of the session
	w.string("")  // rack
	w.tags()
}

// sameTopic is how many partitions from the first on share its topic.
func sameTopic(parts []FetchPartition) int {
	n := 1
	for n < len(parts) && parts[n].Topic == parts[0].Topic && parts[n].TopicID == parts[0].TopicID {
		n++
	}
	return n
}

func countTopics(parts []FetchPartition) int {
	topics := 0
	for len(parts) > 0 {
		parts = parts[sameTopic(parts):]
		topics++
	}
	return topics
}

func decodeFetch(r *wireReader, names map[[16]byte]string) (res *FetchResponse, throttleMillis int32, err error) {
	res = &FetchResponse{}
	throttleMillis = r.int32()
	res.Err = ErrorCode(r.int16())
	r.int32() // session id
	for n := r.arrayLen(3); n > 0 && r.err == nil; n-- {
		topic := ""
		if r.version >= byTopicID {
			id := r.uuid()
			name, ok := names[id]
			if !ok && r.err == nil {
				return nil, throttleMillis, fmt.Errorf("%w: answer for a topic that was not asked for", ErrMalformed)
			}
			topic = name
		} else {
			topic = r.string()
		}
		for n := r.arrayLen(37); n > 0 && r.err == nil; n-- {
			res.Partitions = append(res.Partitions, decodeFetched(r, topic))
		}
		r.tags()
	}
	r.tags()
	return res, throttleMillis, r.err
}

func decodeFetched(r *wireReader, topic string) FetchedPartition {
	p := FetchedPartition{
		Topic: topic, Partition: r.int32(), Err: ErrorCode(r.int16()),
		HighWatermark: r.int64(), LastStable: r.int64(), LogStart: r.int64(),
	}
	if n := r.arrayLen(17); n > 0 {
		p.Aborted = make([]AbortedTxn, n)
		for i := range p.Aborted {
			p.Aborted[i] = AbortedTxn{r.int64(), r.int64()}
			r.tags()
		}
	}
	r.int32() // preferred read replica: none without a rack
	p.Records = r.bytes()
	r.tags()
	return p
}
