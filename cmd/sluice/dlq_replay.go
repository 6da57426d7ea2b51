package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/spf13/cobra"

	consumer "github.com/sluice-ml/sluice/consumers/kafka"
	"github.com/sluice-ml/sluice/internal/kafkawire"
	"github.com/sluice-ml/sluice/pipeline"
	producer "github.com/sluice-ml/sluice/producers/kafka"
	"github.com/sluice-ml/sluice/schemas"
)

// replayGroupPrefix and the dead-letter topic name the group that holds what
// was replayed.
const replayGroupPrefix = "sluice-dlq-replay."

// groupNotFound is what some brokers say of a group that has committed nothing.
const groupNotFound kafkawire.ErrorCode = 69

// commitEvery is how often the position is committed: what a crash repeats.
const commitEvery = time.Second

// replayFlags are the flags of `sluice dlq replay`.
type replayFlags struct {
	dlqFlags
	max    int64
	rate   float64
	dryRun bool
}

// replayReport is how it went.
type replayReport struct {
	Selected int64 `json:"selected"`
	Replayed int64 `json:"replayed"`
	// Rejected were refused by the broker, one by one.
	Rejected int64 `json:"rejected"`
	// Stubs hold no original to send back.
	Stubs int64 `json:"stubs"`
	// Foreign are records without dead-letter headers.
	Foreign int64 `json:"not_dead_letters"`
	// Before were replayed by an earlier run.
	Before int64            `json:"replayed_before"`
	Class  map[string]int64 `json:"by_class"`
	DryRun bool             `json:"dry_run,omitempty"`
}

func (a *app) dlqReplayCommand() *cobra.Command {
	var flags replayFlags
	cmd := &cobra.Command{
		Use:   "replay",
		Short: "Send dead letters back to where they came from",
		Long: `Send dead letters back to the topic they came from, with their original key,
value and headers, and x-attempts as it stands, so that further model runs add to
it. They go to the same partition where it still exists.

What was replayed is committed in the group sluice-dlq-replay.<dead-letter topic>
once the broker has confirmed it: the next replay goes on behind it, also after a
crash, which repeats at most the last second. Records that --class, --from or --to
leave out stay for a later replay. To begin anew, delete the group. It ends at
what is there when it starts. Exit code 3: some could not be sent back.`,
		Example: `  sluice dlq replay -c sluice.yaml --dry-run
  sluice dlq replay -c sluice.yaml --class undecodable --rate 100
  sluice dlq replay -b localhost:9092 -t payments.dlq --from 2026-01-31T12:00:00Z --max 1000`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.dlqReplay(cmd, &flags) },
	}
	flags.register(cmd)
	cmd.Flags().Int64Var(&flags.max, "max", 0, "send back at most that many (all)")
	cmd.Flags().Float64Var(&flags.rate, "rate", 0, "at most that many a second (as fast as possible)")
	cmd.Flags().BoolVar(&flags.dryRun, "dry-run", false, "only count what would be sent back")
	return cmd
}

func (a *app) dlqReplay(cmd *cobra.Command, flags *replayFlags) error {
	if flags.max < 0 || flags.rate < 0 {
		return usageErrorf("--max and --rate must not be negative")
	}
	d, err := a.openDeadLetters(cmd, &flags.dlqFlags)
	if err != nil {
		return err
	}
	defer d.client.Close()
	out, err := producer.NewProducer(d.client, producer.ProducerConfig{Linger: 5 * time.Millisecond}, nil)
	if err != nil {
		return err
	}
	r := &replayer{
		deadLetters: d, flags: flags, out: out, budget: pipeline.NewBudget(publishBuffer), partitions: map[string]int32{},
		report: replayReport{Class: map[string]int64{}, DryRun: flags.dryRun},
	}
	ctx := cmd.Context()
	for _, t := range d.topics {
		if err = r.topic(ctx, t); err != nil {
			break
		}
	}
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveLimit)
	defer cancel()
	return errors.Join(r.print(a.out, flags.json), r.end(ctx, err, out.Close(closing)))
}

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

// end is the command's result.
func (r *replayer) end(ctx context.Context, err, closeErr error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case interrupted(ctx):
		return &exitError{exitFailure, errors.New("interrupted; what was confirmed is committed, the next replay goes on from there")}
	case err != nil:
		return err
	case closeErr != nil:
		return closeErr
	case r.report.Rejected > 0 || r.report.Stubs > 0:
		return partialErrorf("%d were refused by the broker, %d are stubs without their original", r.report.Rejected, r.report.Stubs)
	}
	return nil
}

func (r *replayer) print(out io.Writer, asJSON bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.report
	if asJSON {
		return printJSON(out, n)
	}
	verb := "replayed"
	count := n.Replayed
	if n.DryRun {
		verb, count = "would replay", n.Selected
	}
	_, err := fmt.Fprintf(out, "%s %d (%v); refused %d, stubs %d, not dead letters %d, replayed before %d\n",
		verb, count, n.Class, n.Rejected, n.Stubs, n.Foreign, n.Before)
	return err
}
