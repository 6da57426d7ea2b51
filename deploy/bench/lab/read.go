package lab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// ReadAll hands every record of a topic up to its present end to f, read by
// franz-go in read_committed. Control records are read too, though not handed on:
// a transactional topic ends with one.
func (l *Lab) ReadAll(ctx context.Context, topic string, f func(*kgo.Record) error) error {
	ends, err := l.Admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return err
	}
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	if len(left) == 0 {
		return nil
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(l.Brokers...), kgo.ConsumeTopics(topic),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer client.Close()
	for len(left) > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		for r := range fetches.RecordsAll() {
			if !r.Attrs.IsControl() {
				if err := f(r); err != nil {
					return err
				}
			}
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		}
	}
	return nil
}

// End is the sum of a topic's end offsets.
func (l *Lab) End(ctx context.Context, topic string) (int64, error) {
	ends, err := l.Admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return 0, err
	}
	sum := int64(0)
	ends.Each(func(o kadm.ListedOffset) { sum += o.Offset })
	return sum, ends.Error()
}

// Lag is what the group has not committed of a topic.
func (l *Lab) Lag(ctx context.Context, group, topic string) (int64, error) {
	end, err := l.End(ctx, topic)
	if err != nil {
		return 0, err
	}
	offsets, err := l.Admin.FetchOffsets(ctx, group)
	if err != nil {
		return 0, err
	}
	offsets.Each(func(o kadm.OffsetResponse) {
		if o.Topic == topic && o.At > 0 {
			end -= o.At
		}
	})
	return end, offsets.Error()
}

// errNoProgress: the broker answers, and the group does not go on.
var errNoProgress = errors.New("no progress for a minute")

// CaughtUp waits until the group's lag is 0, or until no progress was made for
// a minute.
func (l *Lab) CaughtUp(ctx context.Context, group, topic string) error {
	last, moved := int64(-1), time.Now()
	for {
		lag, err := l.Lag(ctx, group, topic)
		if err == nil && lag == 0 {
			return nil
		}
		if err == nil && lag != last {
			last, moved = lag, time.Now()
		}
		if time.Since(moved) > time.Minute {
			return fmt.Errorf("group %s stands still with lag %d: %w", group, last, cmp.Or(err, errNoProgress))
		}
		if err := Pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}
