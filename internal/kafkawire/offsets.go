package kafkawire

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

// OffsetCommitRequest commits offsets for a group; Generation -1 and an empty
// MemberID commit without fencing, which a live group accepts as well.
type OffsetCommitRequest struct {
	Group                string
	Generation           int32
	MemberID, InstanceID string
	Offsets              []GroupOffset
}
