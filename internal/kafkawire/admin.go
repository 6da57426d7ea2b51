package kafkawire

// NewTopic describes a topic to create; Partitions and Replication -1 are the
// broker's defaults.
type NewTopic struct {
	Name        string
	Partitions  int32
	Replication int16
	Config      map[string]string
}
