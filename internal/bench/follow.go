package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	consumer "github.com/sluice-ml/sluice/consumers/kafka"
	"github.com/sluice-ml/sluice/internal/kafkawire"
	"github.com/sluice-ml/sluice/schemas"
)

// follow reads a topic from its present end on, each leader's partitions on a
// goroutine of their own, so that a quiet leader delays no other's records. It
// returns when the ends are known.
func (b *Bench) follow(ctx context.Context, topic string, dead bool) error {
	meta, err := b.cfg.Client.Metadata(ctx, topic)
	if err != nil {
		return fmt.Errorf("ask for topic %s: %w", topic, err)
	}
	t := meta.Topic(topic)
	if t == nil {
		return fmt.Errorf("topic %s: %w", topic, kafkawire.ErrUnknownTopicOrPartition)
	}
	asks := make([]kafkawire.OffsetAsk, len(t.Partitions))
	for i, p := range t.Partitions {
		asks[i] = kafkawire.OffsetAsk{Topic: topic, Partition: p.ID, Timestamp: kafkawire.LatestOffset}
	}
	byLeader := map[int32]map[int32]int64{}
	var errs []error
	b.cfg.Client.ListOffsets(ctx, asks, false, func(i int, l kafkawire.ListedOffset) {
		p := t.Partitions[i]
		if l.Err != nil {
			errs = append(errs, fmt.Errorf("ask for the end of %s/%d: %w", topic, p.ID, l.Err))
			return
		}
		if byLeader[p.Leader] == nil {
			byLeader[p.Leader] = map[int32]int64{}
		}
		byLeader[p.Leader][p.ID] = l.Offset
	})
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, from := range byLeader {
		scan := consumer.ScanConfig{Topic: topic, From: from, ReadCommitted: true}
		b.readers.Go(func() { // ended by Close
			err := consumer.Scan(b.reading, b.cfg.Client, scan, func(rec *schemas.Record, _ int64) error {
				if t := b.current.Load(); t != nil {
					t.outcome(rec, time.Now(), dead)
				}
				return nil
			})
			if b.reading.Err() == nil {
				b.fail(fmt.Errorf("follow topic %s: %w", topic, err))
			}
		})
	}
	return nil
}
