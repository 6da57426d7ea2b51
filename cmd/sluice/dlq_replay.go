package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-ml/sluice/internal/kafkawire"
	"github.com/sluice-ml/sluice/pipeline"
	producer "github.com/sluice-ml/sluice/producers/kafka"
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
