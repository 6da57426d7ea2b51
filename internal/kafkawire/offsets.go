package kafkawire

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// GroupOffset is a committed position: Offset is the next record to read, -1
// when none is committed. LeaderEpoch is -1 when unknown.
type GroupOffset struct {
	Topic       string
	Partition   int32
	Offset      int64
	LeaderEpoch int32
	Metadata    string
	Err         ErrorCode
}

// OffsetFetch reads a group's committed offsets from its coordinator, which it
// finds, also when it moved. parts nil asks for all that the group has. With
// requireStable a partition that a transaction holds offsets for is
// ErrUnstableOffsetCommit in its Err instead of an old offset (KIP-447).
func (c *Client) OffsetFetch(ctx context.Context, group string, parts map[string][]int32, requireStable bool) ([]GroupOffset, error) {
	ctx, cancel := context.WithTimeout(ctx, findCoordinatorLimit)
	defer cancel()
	for {
		offsets, err := c.offsetFetch(ctx, group, parts, requireStable)
		switch {
		case err == nil:
			return offsets, nil
		case errors.Is(err, ErrNotCoordinator), errors.Is(err, ErrCoordinatorNotAvailable):
			c.ForgetCoordinator(group)
		case errors.Is(err, ErrCoordinatorLoading):
		default:
			return nil, err
		}
		if sleep(ctx, coordinatorRetry) != nil {
			return nil, err
		}
	}
}

func (c *Client) offsetFetch(ctx context.Context, group string, parts map[string][]int32, requireStable bool) ([]GroupOffset, error) {
	node, err := c.FindCoordinator(ctx, group)
	if err != nil {
		return nil, err
	}
	p, err := c.peer(ctx, node, apiOffsetFetch)
	if err != nil {
		return nil, err
	}
	r, err := c.call(ctx, p, &request{api: apiOffsetFetch, encode: func(w *wireWriter) {
		encodeOffsetFetch(w, group, parts, requireStable)
	}})
	if err != nil {
		c.ForgetCoordinator(group) // it may have died
		return nil, err
	}
	offsets, throttle, code, err := decodeOffsetFetch(r)
	if err != nil {
		return nil, c.netError(ctx, p, apiOffsetFetch, err)
	}
	c.throttled(p, apiOffsetFetch, throttle)
	if code != ErrNone {
		return nil, fmt.Errorf("fetch the offsets of group %q: %w", group, p.refused(code))
	}
	return offsets, nil
}

func encodeOffsetFetch(w *wireWriter, group string, parts map[string][]int32, requireStable bool) {
	w.string(group)
	if parts == nil {
		w.nullArray()
	} else {
		encodePartitions(w, parts)
	}
	w.bool(requireStable)
	w.tags()
}

// encodePartitions writes topics with their partitions, in the topics' order.
func encodePartitions(w *wireWriter, parts map[string][]int32) {
	w.arrayLen(len(parts))
	for _, topic := range slices.Sorted(maps.Keys(parts)) {
		w.string(topic)
		w.arrayLen(len(parts[topic]))
		for _, id := range parts[topic] {
			w.int32(id)
		}
		w.tags()
	}
}

func decodeOffsetFetch(r *wireReader) (offsets []GroupOffset, throttleMillis int32, code ErrorCode, err error) {
	throttleMillis = r.int32()
	for n := r.arrayLen(3); n > 0 && r.err == nil; n-- {
		topic := r.string()
		for n := r.arrayLen(20); n > 0 && r.err == nil; n-- {
			offsets = append(offsets, GroupOffset{
				Topic: topic, Partition: r.int32(), Offset: r.int64(), LeaderEpoch: r.int32(),
				Metadata: r.string(), Err: ErrorCode(r.int16()),
			})
			r.tags()
		}
		r.tags()
	}
	code = ErrorCode(r.int16())
	r.tags()
	return offsets, throttleMillis, code, r.err
}

// OffsetCommitRequest commits offsets for a group; Generation -1 and an empty
// MemberID commit without fencing, which a live group accepts as well.
type OffsetCommitRequest struct {
	Group                string
	Generation           int32
	MemberID, InstanceID string
	Offsets              []GroupOffset
}

// OffsetCommit sends one commit to the group's coordinator and returns the
// offsets with the broker's verdict in each Err.
func (c *Client) OffsetCommit(ctx context.Context, node int32, req *OffsetCommitRequest) ([]GroupOffset, error) {
	p, err := c.peer(ctx, node, apiOffsetCommit)
	if err != nil {
		return nil, err
	}
	r, err := c.call(ctx, p, &request{api: apiOffsetCommit, wait: commitWait, encode: req.encode})
	if err != nil {
		return nil, err
	}
	offsets, throttle, err := req.decode(r)
	if err != nil {
		return nil, c.netError(ctx, p, apiOffsetCommit, err)
	}
	c.throttled(p, apiOffsetCommit, throttle)
	return offsets, nil
}

// commitWait: brokers give a commit up to offsets.commit.timeout.ms, 5 s by
// default, to be replicated.
const commitWait = 5 * time.Second

func (q *OffsetCommitRequest) encode(w *wireWriter) {
	w.string(q.Group)
	w.int32(q.Generation)
	w.string(q.MemberID)
	w.nullableString(q.InstanceID)
	encodeOffsets(w, q.Offsets)
	w.tags()
}

// encodeOffsets writes positions by topic, as both kinds of commit have them.
func encodeOffsets(w *wireWriter, offsets []GroupOffset) {
	order := byTopic(offsets)
	topics := 0
	for i := range order {
		if i == 0 || order[i].Topic != order[i-1].Topic {
			topics++
		}
	}
	w.arrayLen(topics)
	for i := 0; i < len(order); {
		end := i
		for end < len(order) && order[end].Topic == order[i].Topic {
			end++
		}
		w.string(order[i].Topic)
		w.arrayLen(end - i)
		for ; i < end; i++ {
			w.int32(order[i].Partition)
			w.int64(order[i].Offset)
			w.int32(order[i].LeaderEpoch)
			w.string(order[i].Metadata)
			w.tags()
		}
		w.tags()
	}
}

func byTopic(offsets []GroupOffset) []GroupOffset {
	order := slices.Clone(offsets)
	slices.SortStableFunc(order, func(a, b GroupOffset) int { return strings.Compare(a.Topic, b.Topic) })
	return order
}

// decode returns the request's offsets with the verdicts; one that the broker
// left out has ErrUnknown.
func (q *OffsetCommitRequest) decode(r *wireReader) (offsets []GroupOffset, throttleMillis int32, err error) {
	throttleMillis = r.int32()
	type key struct {
		topic     string
		partition int32
	}
	verdicts := make(map[key]ErrorCode, len(q.Offsets))
	for n := r.arrayLen(2); n > 0 && r.err == nil; n-- {
		topic := r.string()
		for n := r.arrayLen(6); n > 0 && r.err == nil; n-- {
			verdicts[key{topic, r.int32()}] = ErrorCode(r.int16())
			r.tags()
		}
		r.tags()
	}
	r.tags()
	offsets = append([]GroupOffset(nil), q.Offsets...)
	for i := range offsets {
		code, ok := verdicts[key{offsets[i].Topic, offsets[i].Partition}]
		if !ok {
			code = ErrUnknown
		}
		offsets[i].Err = code
	}
	return offsets, throttleMillis, r.err
}
