package kafkawire

import "time"

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

// FetchRequest is a sessionless fetch of partitions that share a leader.
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
// response's Buf. HighWatermark, LastStable and LogStart are -1 with an error.
type FetchedPartition struct {
	Topic                               string
	Partition                           int32
	Err                                 ErrorCode
	HighWatermark, LastStable, LogStart int64
	Aborted                             []AbortedTxn
	Records                             []byte
}

// FetchResponse is a whole answer. Buf is owned by the caller and never touched
// by the client again.
type FetchResponse struct {
	Throttle   time.Duration
	Err        ErrorCode
	Partitions []FetchedPartition
	Buf        []byte
}
