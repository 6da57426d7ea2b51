package kafkawire

import "time"

// ProducePartition is one encoded batch for one partition, as pieces that are
// written one after the other without a copy.
type ProducePartition struct {
	Topic     string
	Partition int32
	Records   [][]byte
}

// ProduceRequest is a produce with acks=all to the leader of its partitions.
// Timeout is how long the broker waits for the replicas.
type ProduceRequest struct {
	TransactionalID string
	Timeout         time.Duration
	Partitions      []ProducePartition
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
