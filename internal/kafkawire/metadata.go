package kafkawire

// Broker is one broker of the cluster.
type Broker struct {
	ID   int32
	Host string
	Port int32
	Rack string
}

// PartitionMeta is one partition as the cluster sees it. Leader is -1 when
// there is none.
type PartitionMeta struct {
	Err                     ErrorCode
	ID, Leader, LeaderEpoch int32
	Replicas, ISR           []int32
}

// TopicMeta is one topic; Partitions are sorted by ID. The topic ID is zero on
// brokers before 2.8.
type TopicMeta struct {
	Err        ErrorCode
	Name       string
	ID         [16]byte
	Internal   bool
	Partitions []PartitionMeta
}

// Metadata is the cluster as one broker sees it.
type Metadata struct {
	ClusterID  string
	Controller int32
	Brokers    []Broker
	Topics     []TopicMeta
}
