package kafkawire

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Timestamps that ListOffsets takes for an end of the log.
const (
	LatestOffset   int64 = -1
	EarliestOffset int64 = -2
)

// OffsetAsk asks for the first offset of a partition whose record is not older
// than Timestamp (Unix milliseconds, or LatestOffset or EarliestOffset).
type OffsetAsk struct {
	Topic     string
	Partition int32
	Timestamp int64
}

// ListedOffset answers an OffsetAsk; all of it is -1 where there is no such
// record, or with Err.
type ListedOffset struct {
	Offset, Timestamp int64
	LeaderEpoch       int32
	Err               error
}

// listOffsetTries: the cached leader may be wrong once or twice after a move.
const listOffsetTries = 4

// ListOffset asks for one partition, and follows its leader when it moves. With
// readCommitted, LatestOffset is the last stable offset.
func (c *Client) ListOffset(ctx context.Context, topic string, partition int32, timestamp int64, readCommitted bool) (ListedOffset, error) {
	var got ListedOffset
	for range listOffsetTries {
		c.ListOffsets(ctx, []OffsetAsk{{topic, partition, timestamp}}, readCommitted, func(_ int, l ListedOffset) { got = l })
		var cut *NetError
		var code ErrorCode
		switch {
		case got.Err == nil, ctx.Err() != nil:
			return got, got.Err
		case errors.As(got.Err, &code) && code.Retriable() && code != ErrUnknownTopicOrPartition:
		case errors.As(got.Err, &cut) && !errors.Is(got.Err, ErrClosed):
		default:
			return got, got.Err
		}
	}
	return got, got.Err
}

// ListOffsets asks the leaders of the partitions, one request each, all at the
// same time; a partition may be in asks once. It calls got with the index of each
// ask as soon as that leader has answered or failed, one call at a time, and
// returns after the last: a leader that is silent holds up no other's answer. One
// try: an answer with an error makes the next call ask for the leader again.
func (c *Client) ListOffsets(ctx context.Context, asks []OffsetAsk, readCommitted bool, got func(i int, l ListedOffset)) {
	leaders, err := c.leadersOf(ctx, asks)
	var mu sync.Mutex
	answer := func(i int, l ListedOffset, err error) {
		if err != nil {
			a := &asks[i]
			l = ListedOffset{-1, -1, -1, fmt.Errorf("list offsets of %s/%d: %w", a.Topic, a.Partition, err)}
			if ctx.Err() == nil {
				c.Forget(a.Topic)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		got(i, l)
	}
	byNode := map[int32]*listOffsets{}
	for i, l := range leaders {
		switch {
		case err != nil:
			answer(i, ListedOffset{}, err)
			continue
		case l.err != nil:
			answer(i, ListedOffset{}, l.err)
			continue
		}
		q := byNode[l.node]
		if q == nil {
			q = &listOffsets{readCommitted: readCommitted}
			byNode[l.node] = q
		}
		q.asks = append(q.asks, listOffset{i, asks[i], l.epoch})
	}
	var wg sync.WaitGroup
	for node, q := range byNode {
		wg.Go(func() { // ends with the request's deadline or ctx
			listed, err := c.listOffsets(ctx, node, q)
			for k, a := range q.asks {
				switch {
				case err != nil:
					answer(a.index, ListedOffset{}, err)
				default:
					answer(a.index, listed[k], listed[k].Err)
				}
			}
		})
	}
	wg.Wait()
}

// leading is a partition's leader as far as is known.
type leading struct {
	node, epoch int32
	err         error
}

// leadersOf asks the cluster at most once, for all leaders that are not known.
func (c *Client) leadersOf(ctx context.Context, asks []OffsetAsk) ([]leading, error) {
	var unknown []string
	for i := range asks {
		if _, _, fresh, _ := c.CachedLeader(asks[i].Topic, asks[i].Partition); !fresh && !slices.Contains(unknown, asks[i].Topic) {
			unknown = append(unknown, asks[i].Topic)
		}
	}
	var err error
	if len(unknown) > 0 {
		err = c.FindLeaders(ctx, unknown...)
	}
	leaders := make([]leading, len(asks))
	for i := range asks {
		l := &leaders[i]
		l.node, l.epoch, _, l.err = c.CachedLeader(asks[i].Topic, asks[i].Partition)
	}
	return leaders, err
}

// listOffsets asks one broker; the answer is in the order of q.asks.
func (c *Client) listOffsets(ctx context.Context, node int32, q *listOffsets) ([]ListedOffset, error) {
	p, err := c.peer(ctx, node, apiListOffsets)
	if err != nil {
		return nil, err
	}
	r, err := c.call(ctx, p, &request{api: apiListOffsets, encode: q.encode})
	if err != nil {
		return nil, err
	}
	listed, throttle, err := q.decode(r)
	if err != nil {
		return nil, c.netError(ctx, p, apiListOffsets, err)
	}
	c.throttled(p, apiListOffsets, throttle)
	return listed, nil
}

// listOffset is one ask to its leader; index is its place among all asks.
type listOffset struct {
	index int
	OffsetAsk
	leaderEpoch int32
}

// listOffsets is the request to one broker.
type listOffsets struct {
	asks          []listOffset
	readCommitted bool
}

func (q *listOffsets) encode(w *wireWriter) {
	w.int32(-1) // replica id: a consumer
	isolation := int8(0)
	if q.readCommitted {
		isolation = 1
	}
	w.int8(isolation)
	var topics []string
	for i := range q.asks {
		if !slices.Contains(topics, q.asks[i].Topic) {
			topics = append(topics, q.asks[i].Topic)
		}
	}
	w.arrayLen(len(topics))
	for _, topic := range topics {
		w.string(topic)
		n := 0
		for i := range q.asks {
			if q.asks[i].Topic == topic {
				n++
			}
		}
		w.arrayLen(n)
		for i := range q.asks {
			if a := &q.asks[i]; a.Topic == topic {
				w.int32(a.Partition)
				w.int32(a.leaderEpoch)
				w.int64(a.Timestamp)
				w.tags()
			}
		}
		w.tags()
	}
	w.tags()
}

// decode returns the answers in the order of the asks; one that the broker left
// out has ErrUnknown.
func (q *listOffsets) decode(r *wireReader) (listed []ListedOffset, throttleMillis int32, err error) {
	type key struct {
		topic     string
		partition int32
	}
	throttleMillis = r.int32()
	answers := make(map[key]ListedOffset, len(q.asks))
	for n := r.arrayLen(2); n > 0 && r.err == nil; n-- {
		topic := r.string()
		for n := r.arrayLen(26); n > 0 && r.err == nil; n-- {
			partition := r.int32()
			code, ts, offset, epoch := ErrorCode(r.int16()), r.int64(), r.int64(), r.int32()
			r.tags()
			l := ListedOffset{offset, ts, epoch, nil}
			if code != ErrNone {
				l = ListedOffset{-1, -1, -1, code}
			}
			answers[key{topic, partition}] = l
		}
		r.tags()
	}
	r.tags()
	listed = make([]ListedOffset, len(q.asks))
	for i := range q.asks {
		l, ok := answers[key{q.asks[i].Topic, q.asks[i].Partition}]
		if !ok {
			l = ListedOffset{-1, -1, -1, ErrUnknown}
		}
		listed[i] = l
	}
	return listed, throttleMillis, r.err
}
