package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	consumer "github.com/sluice-ml/sluice/consumers/kafka"
	"github.com/sluice-ml/sluice/internal/kafkawire"
	"github.com/sluice-ml/sluice/pipeline"
	producer "github.com/sluice-ml/sluice/producers/kafka"
	"github.com/sluice-ml/sluice/schemas"
)

// replayer sends dead letters back. The scan's goroutine owns it but for what mu
// guards.
type replayer struct {
	*deadLetters
	flags      *replayFlags
	out        *producer.Producer
	budget     *pipeline.Budget
	partitions map[string]int32 // of target topics
	next       time.Time        // when the rate allows the next one

	mu        sync.Mutex // guards what follows
	report    replayReport
	positions map[int32]*replayPosition
	fatal     error
}

// topic replays one dead-letter topic up to its present end.
func (r *replayer) topic(ctx context.Context, t *kafkawire.TopicMeta) error {
	present, err := readExtent(ctx, r.client, t.Name, partitionsOf(t), true)
	if err != nil {
		return err
	}
	group := replayGroupPrefix + t.Name
	if err := r.readPositions(ctx, group, t.Name, present); err != nil {
		return err
	}
	from := map[int32]int64{}
	for p, position := range r.positions {
		from[p] = position.base
	}
	committed, seen := time.Now(), map[int32]int64{}
	scan := consumer.ScanConfig{Topic: t.Name, From: from, Until: present.end, ReadCommitted: true}
	err = consumer.Scan(ctx, r.client, scan, func(rec *schemas.Record, next int64) error {
		if before, ok := seen[rec.Partition]; ok {
			r.mark(rec.Partition, before, rec.Offset) // a gap holds nothing to replay
		} else {
			r.mark(rec.Partition, from[rec.Partition], rec.Offset)
		}
		seen[rec.Partition] = rec.Offset + 1
		if err := r.record(ctx, rec); err != nil {
			return err
		}
		if time.Since(committed) > commitEvery {
			committed = time.Now()
			return r.commit(ctx, group, t.Name)
		}
		return nil
	})
	flushing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if errors.Is(err, errEnough) {
		err = nil
	}
	flushErr := r.out.Flush(flushing)
	return errors.Join(err, r.failure(), flushErr, r.commit(flushing, group, t.Name))
}

// readPositions asks what earlier replays have done. A position outside what is
// there (retention, a topic made anew) begins with what is.
func (r *replayer) readPositions(ctx context.Context, group, topic string, present extent) error {
	var ids []int32
	positions := map[int32]*replayPosition{}
	for p, first := range present.first {
		ids, positions[p] = append(ids, p), &replayPosition{base: first}
	}
	offsets, err := r.client.OffsetFetch(ctx, group, map[string][]int32{topic: ids}, true)
	if err != nil && !errors.Is(err, groupNotFound) {
		return fmt.Errorf("read the position of group %s: %w", group, err)
	}
	for _, o := range offsets {
		if o.Err != kafkawire.ErrNone {
			return fmt.Errorf("read the position of group %s, partition %d: %w", group, o.Partition, o.Err)
		}
		if o.Offset < present.first[o.Partition] || o.Offset > present.end[o.Partition] {
			continue
		}
		if positions[o.Partition], err = parsePosition(o.Offset, o.Metadata); err != nil {
			return fmt.Errorf("%w; to begin anew: kafka-consumer-groups.sh --delete --group %s", err, group)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.positions = positions
	return nil
}

// record sends one dead letter back, when it is selected and not yet done.
func (r *replayer) record(ctx context.Context, rec *schemas.Record) error {
	if err := r.failure(); err != nil {
		return err
	}
	letter := readDeadLetter(rec)
	switch {
	case r.isDone(rec):
		r.count(func(n *replayReport) { n.Before++ })
		return nil
	case !letter.ok || letter.SourceTopic == rec.Topic:
		r.count(func(n *replayReport) { n.Foreign++ })
		r.mark(rec.Partition, rec.Offset, rec.Offset+1)
		return nil
	case !r.pick.takes(letter):
		return nil
	case letter.Stub:
		r.count(func(n *replayReport) { n.Stubs++ })
		r.mark(rec.Partition, rec.Offset, rec.Offset+1)
		return nil
	case r.flags.max > 0 && r.report.Selected >= r.flags.max: // only this goroutine counts it
		return errEnough
	}
	r.count(func(n *replayReport) { n.Selected++; n.Class[letter.Class]++ })
	if r.flags.dryRun {
		return nil
	}
	return r.send(ctx, rec, letter)
}

// send produces it and marks it once the broker has it.
func (r *replayer) send(ctx context.Context, rec *schemas.Record, letter *deadLetter) error {
	if err := r.pace(ctx); err != nil {
		return err
	}
	partition, err := r.target(ctx, letter)
	if err != nil {
		return err
	}
	size := int64(len(rec.Value) + len(rec.Key) + 256)
	if err := r.budget.Reserve(ctx, size); err != nil {
		return err
	}
	at := place{rec.Partition, rec.Offset}
	r.out.Produce(&producer.Record{
		Topic: letter.SourceTopic, Partition: partition, Timestamp: 0, Key: rec.Key, Value: rec.Value,
		Headers: withAttempts(letter.original, letter.Attempts),
	}, func(_ int32, _ int64, err error) {
		r.budget.Release(size)
		r.settle(at, err)
	})
	return nil
}

// withAttempts is the original headers with the count of model runs so far.
func withAttempts(original []schemas.Header, attempts int) []schemas.Header {
	headers := slices.DeleteFunc(slices.Clone(original), func(h schemas.Header) bool { return h.Key == schemas.HeaderAttempts })
	return append(headers, schemas.Header{Key: schemas.HeaderAttempts, Value: []byte(strconv.Itoa(attempts))})
}

// target is the partition it came from, or by its key where that is gone.
func (r *replayer) target(ctx context.Context, letter *deadLetter) (int32, error) {
	n, known := r.partitions[letter.SourceTopic]
	if !known {
		meta, err := r.client.Metadata(ctx, letter.SourceTopic)
		if err != nil {
			return 0, unreachable(r.cfg.Kafka.Brokers, err)
		}
		if err := topicError(topicUse{letter.SourceTopic, "original", "nothing: it must be there to take records back"}, meta, r.cfg); err != nil {
			return 0, dependencyErrorf("%w", err)
		}
		n = int32(len(meta.Topic(letter.SourceTopic).Partitions))
		r.partitions[letter.SourceTopic] = n
	}
	if letter.SourcePartition >= n {
		return producer.ByKey, nil
	}
	return letter.SourcePartition, nil
}

// pace waits until the rate allows one more.
func (r *replayer) pace(ctx context.Context) error {
	if r.flags.rate == 0 {
		return nil
	}
	now := time.Now()
	if r.next.Before(now) {
		r.next = now
	}
	wait := time.NewTimer(r.next.Sub(now))
	defer wait.Stop()
	r.next = r.next.Add(time.Duration(float64(time.Second) / r.flags.rate))
	select {
	case <-wait.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// settle takes the broker's answer.
func (r *replayer) settle(at place, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err == nil:
		r.report.Replayed++
		r.positions[at.partition].mark(at.offset, at.offset+1)
	case errors.Is(err, producer.ErrTooLarge), errors.Is(err, producer.ErrRefused):
		r.report.Rejected++ // stays behind
	case r.fatal == nil:
		r.fatal = dependencyErrorf("send a dead letter back: %w", err)
	}
}

func (r *replayer) count(f func(*replayReport)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.report)
}

func (r *replayer) mark(partition int32, from, to int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.positions[partition].mark(from, to)
}

func (r *replayer) isDone(rec *schemas.Record) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.positions[rec.Partition].done(rec.Offset)
}

func (r *replayer) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fatal
}

// commit writes down what the broker has confirmed.
func (r *replayer) commit(ctx context.Context, group, topic string) error {
	if r.flags.dryRun {
		return nil
	}
	offsets, err := r.snapshot(topic)
	if err != nil || len(offsets) == 0 {
		return err
	}
	node, err := r.client.FindCoordinator(ctx, group)
	if err != nil {
		return fmt.Errorf("commit the position of group %s: %w", group, err)
	}
	answers, err := r.client.OffsetCommit(ctx, node, &kafkawire.OffsetCommitRequest{Group: group, Generation: -1, Offsets: offsets})
	if err != nil {
		return fmt.Errorf("commit the position of group %s: %w", group, err)
	}
	for _, o := range answers {
		if o.Err != kafkawire.ErrNone {
			return fmt.Errorf("commit the position of group %s, partition %d: %w", group, o.Partition, o.Err)
		}
	}
	return nil
}

func (r *replayer) snapshot(topic string) ([]kafkawire.GroupOffset, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var offsets []kafkawire.GroupOffset
	for p, position := range r.positions {
		metadata, err := position.metadata()
		if err != nil {
			return nil, err
		}
		offsets = append(offsets, kafkawire.GroupOffset{Topic: topic, Partition: p, Offset: position.base, LeaderEpoch: -1, Metadata: metadata})
	}
	return offsets, nil
}
