package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/sluice-ml/sluice/internal/kafkawire"
)

// targetTopic is an output topic of a transactional sink. Its partitions are fixed
// at the start, so that a key keeps its partition for the life of the process.
type targetTopic struct {
	name       string
	parts      []*target
	batchBytes int
	sticky     int // where records without a key go for now; guarded by the sink's mutex
}

// target is one output partition.
type target struct {
	topic *targetTopic
	id    int32
	down  *outage // nil while it takes records; guarded by the sink's mutex
}

// outage is an output partition that refused records. No record for it enters a
// transaction, which it would hold up for all, until a probe succeeds.
type outage struct {
	why     error
	probeAt time.Time
	after   time.Duration // the pause before the next probe
}

// fullBatch is how large a batch of a transaction may grow where the topic takes it: a
// partition's batches are written one after the other, each a round trip that the
// transaction takes longer. Below max.message.bytes' default, 1 MiB.
const fullBatch = 768 << 10

// newTargetTopic asks for the topic's partitions and its largest batch, which is
// batchBytes where that is not known.
func newTargetTopic(ctx context.Context, client *kafkawire.Client, name string, batchBytes int) (*targetTopic, error) {
	meta, err := client.Metadata(ctx, name)
	if err != nil {
		return nil, err
	}
	m := meta.Topic(name)
	switch {
	case m == nil, m.Err == kafkawire.ErrNone && len(m.Partitions) == 0:
		return nil, fmt.Errorf("topic %s: %w; %s", name, kafkawire.ErrUnknownTopicOrPartition, cure(kafkawire.ErrUnknownTopicOrPartition, name))
	case m.Err != kafkawire.ErrNone:
		return nil, fmt.Errorf("topic %s: %w; %s", name, m.Err, cure(m.Err, name))
	}
	t := &targetTopic{name: name, batchBytes: batchBytes}
	if n := maxMessage(ctx, client, name); n > 0 {
		t.batchBytes = min(max(batchBytes, fullBatch), n)
	}
	for i := range m.Partitions {
		t.parts = append(t.parts, &target{topic: t, id: int32(i)})
	}
	return t, nil
}

// pick chooses the partition of a record, by the same rules as at-least-once.
func (t *targetTopic) pick(rec *Record) *target {
	switch {
	case rec.Partition <= sameBase:
		return t.parts[int(sameBase-rec.Partition)%len(t.parts)]
	case rec.Key != nil:
		return t.parts[kafkawire.PartitionForKey(rec.Key, len(t.parts))]
	default:
		return t.parts[t.sticky]
	}
}

// turn moves records without a key on when a batch of their partition begins, past
// partitions that are down.
func (t *targetTopic) turn(from *target) {
	if t.parts[t.sticky] != from {
		return
	}
	for range t.parts {
		t.sticky = (t.sticky + 1) % len(t.parts)
		if t.parts[t.sticky].down == nil {
			return
		}
	}
}

// probe sends a produce request without a record: the broker looks at topic and
// permission first and then refuses it as empty.
func (to *target) probe(ctx context.Context, client *kafkawire.Client) error {
	client.Forget(to.topic.name)
	node, _, err := client.Leader(ctx, to.topic.name, to.id)
	if err != nil {
		return err
	}
	answer, err := client.Produce(ctx, node, &kafkawire.ProduceRequest{Partitions: []kafkawire.ProducePartition{{Topic: to.topic.name, Partition: to.id}}})
	if err != nil {
		return err
	}
	for _, got := range answer.Partitions {
		switch got.Err {
		case kafkawire.ErrNone, kafkawire.ErrInvalidRecord, kafkawire.ErrCorruptMessage:
		default:
			return got.Err
		}
	}
	return nil
}
