package kafka

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sluice-ml/sluice/internal/kafkawire"
)

// Values of SinkConfig.Partition, Timestamp, Lineage and of DeadLetterConfig.
const (
	PartitionKey  = "key"
	PartitionSame = "same"

	TimestampInput = "input"
	TimestampNow   = "now"

	LineageShort = "short"
	LineageFull  = "full"
	LineageNone  = "none"

	OnErrorDeadLetter = "dead-letter"
	OnErrorStop       = "stop"

	ExpiredDeadLetter = "dead-letter"
	ExpiredDrop       = "drop"
)

// SinkConfig is where outcomes go and what they carry.
type SinkConfig struct {
	// Topic takes the predictions.
	Topic string
	// DeadLetterTopic takes the dead letters; "{input}" stands for the input
	// topic. Default "{input}.dlq".
	DeadLetterTopic string
	// Partition: key (default) or same, the input's number modulo the count.
	Partition string
	// Timestamp of predictions: input (default) or now.
	Timestamp string
	// Lineage headers: short (default), full or none.
	Lineage string
	// Compression and Linger of both topics; Producer has the rest.
	Compression kafkawire.Codec
	Linger      time.Duration
	Producer    ProducerConfig

	// Group and ClusterID name the consumer group and the cluster of the input.
	Group, ClusterID string
	// The model, and the runtime with its version such as "onnxruntime-1.27.0".
	ModelName, ModelVersion, ModelSHA256 string
	Runtime                              string

	// CopyHeaders is the allow-list of input headers that predictions carry on,
	// besides x-request-id. Names of ours are never copied.
	CopyHeaders []string
	// HeaderValueMax cuts copied values, in bytes; default 4096.
	HeaderValueMax int

	DeadLetter DeadLetterConfig
}

// DeadLetterConfig says what becomes of failed items, and when it is too many.
type DeadLetterConfig struct {
	// OnError: dead-letter (default), or stop the item's partition.
	OnError string
	// Expired: dead-letter (default), or drop what is past its deadline.
	Expired string
	// MaxShare of the items of an input topic within Window, once there are
	// MinItems, may be dead letters; more stop the partition. Expired items do
	// not count. A Window of 0 turns the check off.
	MaxShare float64
	Window   time.Duration
	MinItems int
}

// defaultHeaderValueMax leaves room for any trace or request id.
const defaultHeaderValueMax = 4096

// withDefaults fills the empty fields.
func (c SinkConfig) withDefaults() SinkConfig {
	for field, value := range map[*string]string{
		&c.DeadLetterTopic: "{input}.dlq", &c.Partition: PartitionKey, &c.Timestamp: TimestampInput,
		&c.Lineage: LineageShort, &c.DeadLetter.OnError: OnErrorDeadLetter, &c.DeadLetter.Expired: ExpiredDeadLetter,
	} {
		if *field == "" {
			*field = value
		}
	}
	if c.HeaderValueMax == 0 {
		c.HeaderValueMax = defaultHeaderValueMax
	}
	c.Producer.Compression, c.Producer.Linger = c.Compression, c.Linger
	return c
}

// Validate names every field out of range.
func (c SinkConfig) Validate() error {
	c = c.withDefaults()
	var all []error
	if c.Topic == "" {
		all = append(all, errors.New("output.topic: must be set"))
	}
	oneOf := func(key, value string, allowed ...string) {
		for _, a := range allowed {
			if value == a {
				return
			}
		}
		all = append(all, fmt.Errorf("%s: %q is none of %s", key, value, strings.Join(allowed, ", ")))
	}
	oneOf("output.partition", c.Partition, PartitionKey, PartitionSame)
	oneOf("output.timestamp", c.Timestamp, TimestampInput, TimestampNow)
	oneOf("output.lineage", c.Lineage, LineageShort, LineageFull, LineageNone)
	oneOf("dead_letter.on_error", c.DeadLetter.OnError, OnErrorDeadLetter, OnErrorStop)
	oneOf("dead_letter.expired", c.DeadLetter.Expired, ExpiredDeadLetter, ExpiredDrop)
	if d := c.DeadLetter; d.MaxShare < 0 || d.MaxShare > 1 || d.Window < 0 || d.MinItems < 0 {
		all = append(all, fmt.Errorf("dead_letter: max_share %v must be 0 to 1, window %v and min_items %d must not be negative",
			d.MaxShare, d.Window, d.MinItems))
	}
	return errors.Join(append(all, c.Producer.Validate())...)
}
