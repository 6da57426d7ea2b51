package main

import (
	"bufio"
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	consumer "github.com/sluice-ml/sluice/consumers/kafka"
	"github.com/sluice-ml/sluice/schemas"
)

// tapFlags are the flags of `sluice tap`.
type tapFlags struct {
	source      sourceFlags
	topic       string
	offsets     []string
	partitions  []int32
	count       int64
	exitAtEnd   bool
	format      string
	uncommitted bool
}

func (a *app) tapCommand() *cobra.Command {
	var flags tapFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "tap",
		Short: "Print records of a topic",
		Long: `Print records of a topic, one a line, and follow it until Ctrl-C, -c or -e. It
joins no group and commits nothing. The formats: json is the envelope that
publish --json reads, with topic and offset; decoded is the same with JSON values
as JSON; value is the value alone; key-value is both with a tab between.`,
		Example: `  sluice tap -b localhost:9092 -t payments.predictions
  sluice tap -b localhost:9092 -t payments -o -5 -e
  sluice tap -b localhost:9092 -t payments -o s@2026-01-31T12:00:00Z -o e@2026-01-31T13:00:00Z
  sluice tap --config sluice.yaml -t payments.dlq -p 0 -o 1200 -c 1 --format decoded`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asJSON && !cmd.Flags().Changed("format") {
				flags.format = "json"
			}
			return a.tap(cmd, &flags)
		},
	}
	f := cmd.Flags()
	f.StringVar(&flags.source.file, "config", "", "configuration file")
	f.StringArrayVarP(&flags.source.brokers, "brokers", "b", nil, "brokers, host:port, separated by commas (instead of kafka.brokers)")
	f.StringArrayVar(&flags.source.sets, "set", nil, "set a configuration key: path=value (repeatable)")
	f.StringVarP(&flags.topic, "topic", "t", "", "topic to read")
	f.StringArrayVarP(&flags.offsets, "offset", "o", nil, "where to begin: beginning (default), end, N, -N, s@TIME; e@TIME ends (repeatable)")
	f.Int32SliceVarP(&flags.partitions, "partition", "p", nil, "partitions to read (all)")
	f.Int64VarP(&flags.count, "count", "c", 0, "end after that many records")
	f.BoolVarP(&flags.exitAtEnd, "exit", "e", false, "end at the end of the topic")
	f.StringVarP(&flags.format, "format", "f", "json", "json, decoded, value or key-value")
	f.BoolVar(&flags.uncommitted, "uncommitted", false, "print records of open and aborted transactions too")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// errEnough ends a scan that has printed what was asked for.
var errEnough = errors.New("enough")

func (a *app) tap(cmd *cobra.Command, flags *tapFlags) error {
	write, err := tapFormat(flags.format)
	if err != nil {
		return err
	}
	where, err := parseBounds(flags.offsets, time.Now())
	if err != nil {
		return err
	}
	_, client, meta, err := a.openTopic(cmd, &flags.source, flags.topic)
	if err != nil {
		return err
	}
	defer client.Close()
	partitions, err := choose(meta, flags.partitions)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	present, err := readExtent(ctx, client, flags.topic, partitions, !flags.uncommitted)
	if err != nil {
		return err
	}
	from, until, err := where.resolve(ctx, client, flags.topic, present, flags.exitAtEnd)
	if err != nil {
		return err
	}
	following := len(until) < len(from)
	out, printed := bufio.NewWriterSize(a.out, 64<<10), int64(0)
	var line []byte
	err = consumer.Scan(ctx, client, consumer.ScanConfig{Topic: flags.topic, From: from, Until: until, ReadCommitted: !flags.uncommitted},
		func(rec *schemas.Record, _ int64) error {
			line = append(write(line[:0], rec), '\n')
			if _, err := out.Write(line); err != nil {
				return err
			}
			if printed++; printed == flags.count {
				return errEnough
			}
			if following {
				return out.Flush()
			}
			return nil
		})
	return errors.Join(out.Flush(), tapEnd(ctx, err))
}

// tapEnd: Ctrl-C is how one stops following.
func tapEnd(ctx context.Context, err error) error {
	if errors.Is(err, errEnough) || interrupted(ctx) {
		return nil
	}
	return err
}

// tapFormat is how a record becomes a line.
func tapFormat(name string) (func(dst []byte, rec *schemas.Record) []byte, error) {
	switch name {
	case "json", "decoded":
		return func(dst []byte, rec *schemas.Record) []byte { return writeEnvelope(dst, rec, name == "decoded") }, nil
	case "value":
		return func(dst []byte, rec *schemas.Record) []byte { return append(dst, rec.Value...) }, nil
	case "key-value":
		return func(dst []byte, rec *schemas.Record) []byte {
			return append(append(append(dst, rec.Key...), '\t'), rec.Value...)
		}, nil
	}
	return nil, usageErrorf("--format: unknown format %q; allowed: json, decoded, value, key-value", name)
}
