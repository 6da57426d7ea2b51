package kafkawire

import (
	"context"
	"fmt"
	"time"
)

// protocolType is the group type of consumers.
const protocolType = "consumer"

// JoinGroupRequest joins a classic group as a member of type "consumer".
type JoinGroupRequest struct {
	Group                            string
	SessionTimeout, RebalanceTimeout time.Duration
	MemberID, InstanceID             string
	Protocols                        []GroupProtocol
	// Reason is shown in the broker's log (KIP-800).
	Reason string
}

// GroupProtocol is an assignor this member supports, with its subscription.
type GroupProtocol struct {
	Name     string
	Metadata []byte
}

// GroupMember is another member, as the leader sees it.
type GroupMember struct {
	ID, InstanceID string
	Metadata       []byte
}

// JoinGroupResponse is the answer to a join; Members is set for the leader
// only. With SkipAssignment the leader does not assign: SyncGroup returns what
// is stored (KIP-814).
type JoinGroupResponse struct {
	Err                        ErrorCode
	Generation                 int32
	Protocol, Leader, MemberID string
	SkipAssignment             bool
	Members                    []GroupMember
}

// GroupAssignment is what the leader gives to one member.
type GroupAssignment struct {
	MemberID   string
	Assignment []byte
}

// SyncGroupRequest fetches a member's assignment; the leader sends all of them.
type SyncGroupRequest struct {
	Group                          string
	Generation                     int32
	MemberID, InstanceID, Protocol string
	Assignments                    []GroupAssignment
}

// JoinGroup joins or rejoins; it blocks until every member has joined or the
// rebalance timeout has passed. The broker's refusal is in the answer's Err,
// because MEMBER_ID_REQUIRED comes with the id to join again with. The answer's
// byte slices are its own memory.
func (c *Client) JoinGroup(ctx context.Context, node int32, req *JoinGroupRequest) (*JoinGroupResponse, error) {
	p, err := c.peer(ctx, node, apiJoinGroup)
	if err != nil {
		return nil, err
	}
	r, err := c.call(ctx, p, &request{
		api: apiJoinGroup, wait: max(req.RebalanceTimeout, req.SessionTimeout), encode: req.encode,
	})
	if err != nil {
		return nil, err
	}
	res, throttle, err := decodeJoinGroup(r)
	if err != nil {
		return nil, c.netError(ctx, p, apiJoinGroup, err)
	}
	c.throttled(p, apiJoinGroup, throttle)
	p.note(res.Err)
	return res, nil
}

func (q *JoinGroupRequest) encode(w *wireWriter) {
	w.string(q.Group)
	w.int32(millis(q.SessionTimeout))
	w.int32(millis(q.RebalanceTimeout))
	w.string(q.MemberID)
	w.nullableString(q.InstanceID)
	w.string(protocolType)
	w.arrayLen(len(q.Protocols))
	for i := range q.Protocols {
		w.string(q.Protocols[i].Name)
		w.bytes(q.Protocols[i].Metadata)
		w.tags()
	}
	if w.version >= 8 {
		w.nullableString(q.Reason)
	}
	w.tags()
}

func decodeJoinGroup(r *wireReader) (res *JoinGroupResponse, throttleMillis int32, err error) {
	throttleMillis = r.int32()
	res = &JoinGroupResponse{Err: ErrorCode(r.int16()), Generation: r.int32()}
	_ = r.string() // protocol type
	res.Protocol = r.string()
	res.Leader = r.string()
	if r.version >= 9 {
		res.SkipAssignment = r.bool()
	}
	res.MemberID = r.string()
	for n := r.arrayLen(4); n > 0 && r.err == nil; n-- {
		res.Members = append(res.Members, GroupMember{r.string(), r.string(), r.bytes()})
		r.tags()
	}
	r.tags()
	return res, throttleMillis, r.err
}

// syncWait: a follower's answer comes when the leader has assigned, which a
// leader that died delays until its session ends.
const syncWait = 30 * time.Second

// SyncGroup returns this member's assignment; the broker's refusal is the error.
func (c *Client) SyncGroup(ctx context.Context, node int32, req *SyncGroupRequest) ([]byte, error) {
	var assignment []byte
	err := c.groupCall(ctx, node, &request{api: apiSyncGroup, wait: syncWait, encode: req.encode}, func(r *wireReader) {
		_, _ = r.string(), r.string() // protocol type and name
		assignment = r.bytes()
		r.tags()
	})
	if err != nil {
		return nil, fmt.Errorf("sync group %q: %w", req.Group, err)
	}
	return assignment, nil
}

func (q *SyncGroupRequest) encode(w *wireWriter) {
	w.string(q.Group)
	w.int32(q.Generation)
	w.string(q.MemberID)
	w.nullableString(q.InstanceID)
	w.string(protocolType)
	w.nullableString(q.Protocol)
	w.arrayLen(len(q.Assignments))
	for i := range q.Assignments {
		w.string(q.Assignments[i].MemberID)
		w.bytes(q.Assignments[i].Assignment)
		w.tags()
	}
	w.tags()
}

// Heartbeat keeps a member alive; ErrRebalanceInProgress asks it to rejoin.
func (c *Client) Heartbeat(ctx context.Context, node int32, group string, generation int32, memberID, instanceID string) error {
	err := c.groupCall(ctx, node, &request{api: apiHeartbeat, encode: func(w *wireWriter) {
		encodeHeartbeat(w, group, generation, memberID, instanceID)
	}}, (*wireReader).tags)
	if err != nil {
		return fmt.Errorf("heartbeat of group %q: %w", group, err)
	}
	return nil
}

func encodeHeartbeat(w *wireWriter, group string, generation int32, memberID, instanceID string) {
	w.string(group)
	w.int32(generation)
	w.string(memberID)
	w.nullableString(instanceID)
	w.tags()
}

// LeaveGroup takes a member out of the group: a dynamic one by its member id, a
// static one by its instance id, then memberID may be empty.
func (c *Client) LeaveGroup(ctx context.Context, node int32, group, memberID, instanceID string) error {
	member := ErrNone
	err := c.groupCall(ctx, node, &request{api: apiLeaveGroup, encode: func(w *wireWriter) {
		encodeLeaveGroup(w, group, memberID, instanceID)
	}}, func(r *wireReader) { member = decodeLeaveGroup(r) })
	if err == nil {
		err = member.err()
	}
	if err != nil {
		return fmt.Errorf("leave group %q: %w", group, err)
	}
	return nil
}

func encodeLeaveGroup(w *wireWriter, group, memberID, instanceID string) {
	w.string(group)
	w.arrayLen(1)
	w.string(memberID)
	w.nullableString(instanceID)
	w.tags()
	w.tags()
}

// decodeLeaveGroup returns the verdict on the only member.
func decodeLeaveGroup(r *wireReader) (member ErrorCode) {
	for n := r.arrayLen(4); n > 0 && r.err == nil; n-- {
		_, _ = r.string(), r.string() // member and instance
		if code := ErrorCode(r.int16()); code != ErrNone {
			member = code
		}
		r.tags()
	}
	r.tags()
	return member
}

// groupCall sends a request whose answer begins with throttle time and code;
// decode reads what follows them.
func (c *Client) groupCall(ctx context.Context, node int32, q *request, decode func(r *wireReader)) error {
	p, err := c.peer(ctx, node, q.api)
	if err != nil {
		return err
	}
	r, err := c.call(ctx, p, q)
	if err != nil {
		return err
	}
	throttle, code := r.int32(), ErrorCode(r.int16())
	decode(r)
	if r.err != nil {
		return c.netError(ctx, p, q.api, r.err)
	}
	c.throttled(p, q.api, throttle)
	return p.refused(code).err()
}
