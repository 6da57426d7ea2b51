package kafkawire

import "time"

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
