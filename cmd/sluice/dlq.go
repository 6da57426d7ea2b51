package main

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	consumer "github.com/sluice-ml/sluice/consumers/kafka"
	"github.com/sluice-ml/sluice/internal/config"
	"github.com/sluice-ml/sluice/internal/kafkawire"
	"github.com/sluice-ml/sluice/schemas"
)

// dlqFlags are what all dlq commands share.
type dlqFlags struct {
	source sourceFlags
	topic  string
	class  []string
	from   string
	to     string
	json   bool
}

func (f *dlqFlags) register(cmd *cobra.Command) {
	f.source.register(cmd)
	cmd.Flags().StringVarP(&f.topic, "topic", "t", "", "dead-letter topic (with -c: those of the configuration)")
	cmd.Flags().StringSliceVar(&f.class, "class", nil, "error classes to take, such as undecodable (all)")
	cmd.Flags().StringVar(&f.from, "from", "", "take dead letters written at this time or later: RFC 3339, Unix milliseconds, or 2h ago")
	cmd.Flags().StringVar(&f.to, "to", "", "take dead letters written before this time")
	jsonFlag(cmd, &f.json)
}

func (a *app) dlqCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dlq",
		Short: "Look at dead letters and send them back",
		Example: `  sluice dlq ls -c sluice.yaml
  sluice dlq show -b localhost:9092 -t payments.dlq -n 3
  sluice dlq replay -c sluice.yaml --class undecodable`,
		Args: cobra.ArbitraryArgs,
		RunE: needsCommand,
	}
	cmd.AddCommand(a.dlqLsCommand(), a.dlqShowCommand(), a.dlqReplayCommand())
	return cmd
}

// deadLetters is a connection to dead-letter topics.
type deadLetters struct {
	cfg    *config.Config
	client *kafkawire.Client
	topics []*kafkawire.TopicMeta
	pick   selection
}

// openDeadLetters connects and finds the topics; the caller closes the client.
func (a *app) openDeadLetters(cmd *cobra.Command, flags *dlqFlags) (*deadLetters, error) {
	pick, err := newSelection(flags)
	if err != nil {
		return nil, err
	}
	cfg, err := a.load(cmd, &flags.source, true)
	if err != nil {
		return nil, err
	}
	var names []string
	switch {
	case flags.topic != "":
		names = []string{flags.topic}
	case flags.source.file != "":
		for _, u := range topicsOf(cfg) {
			if u.role == "dead-letter" {
				names = append(names, u.name)
			}
		}
	default:
		return nil, usageErrorf("no topic; name the dead-letter topic with -t, or a configuration with -c")
	}
	client, err := connect(cfg, nil)
	if err != nil {
		return nil, err
	}
	d := &deadLetters{cfg: cfg, client: client, pick: pick}
	if err := d.find(cmd.Context(), names); err != nil {
		client.Close()
		return nil, err
	}
	return d, nil
}

func (d *deadLetters) find(ctx context.Context, names []string) error {
	meta, err := d.client.Metadata(ctx, names...)
	if err != nil {
		return unreachable(d.cfg.Kafka.Brokers, err)
	}
	for _, name := range names {
		if err := topicError(topicUse{name, "dead-letter", "-t"}, meta, d.cfg); err != nil {
			return dependencyErrorf("%w", err)
		}
		d.topics = append(d.topics, meta.Topic(name))
	}
	return nil
}

// each calls f for every dead letter that is there now and selected.
func (d *deadLetters) each(ctx context.Context, f func(rec *schemas.Record, letter *deadLetter) error) error {
	for _, t := range d.topics {
		present, err := readExtent(ctx, d.client, t.Name, partitionsOf(t), true)
		if err != nil {
			return err
		}
		scan := consumer.ScanConfig{Topic: t.Name, From: present.first, Until: present.end, ReadCommitted: true}
		if err := consumer.Scan(ctx, d.client, scan, func(rec *schemas.Record, _ int64) error {
			letter := readDeadLetter(rec)
			if !d.pick.takes(letter) {
				return nil
			}
			return f(rec, letter)
		}); err != nil {
			return err
		}
	}
	return nil
}

// deadLetter is one, as people want to see it.
type deadLetter struct {
	Topic     string    `json:"topic"`
	Partition int32     `json:"partition"`
	Offset    int64     `json:"offset"`
	Time      time.Time `json:"time"`

	Class    string `json:"class"`
	Stage    string `json:"stage"`
	Message  string `json:"message"`
	Attempts int    `json:"attempts"`
	Group    string `json:"group,omitempty"`
	Model    string `json:"model,omitempty"`
	Stub     bool   `json:"stub,omitempty"`

	SourceTopic     string `json:"source_topic"`
	SourcePartition int32  `json:"source_partition"`
	SourceOffset    int64  `json:"source_offset"`

	// original are the headers before ours; ok is false for a record that is no
	// dead letter.
	original []schemas.Header
	ok       bool
}

// stubPrefix begins the value that stands for a record too large to be written.
var stubPrefix = []byte(`{"stub":true,"topic":`)

func readDeadLetter(rec *schemas.Record) *deadLetter {
	original, info, ok := schemas.CutDeadLetter(rec.Headers)
	l := &deadLetter{
		Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset, Time: time.UnixMilli(rec.Timestamp).UTC(),
		Class: string(info.Error.Class), Stage: string(info.Error.Stage), Message: info.Error.Message,
		Attempts: info.Attempts, Group: info.Group, Model: info.ModelName,
		Stub:        ok && bytes.HasPrefix(rec.Value, stubPrefix),
		SourceTopic: info.Topic, SourcePartition: info.Partition, SourceOffset: info.Offset,
		original: original, ok: ok,
	}
	if !ok {
		l.Class, l.Message = "none", "no dead letter: it has no "+schemas.HeaderErrorTopic+" header"
	}
	return l
}

// selection is --class, --from and --to.
type selection struct {
	classes  map[string]bool
	from, to int64 // Unix milliseconds, -1 for none
}

func newSelection(flags *dlqFlags) (selection, error) {
	s := selection{classes: map[string]bool{}, from: -1, to: -1}
	known := []string{
		string(schemas.Undecodable), string(schemas.WrongName), string(schemas.WrongType), string(schemas.WrongShape),
		string(schemas.NonFinite), string(schemas.TooLarge), string(schemas.UnsupportedContentType), string(schemas.UnknownModel),
		string(schemas.RunFailed), string(schemas.RunTimeout), string(schemas.EncodeFailed), string(schemas.OutputTooLarge),
		string(schemas.Expired), string(schemas.Panic),
	}
	for _, c := range flags.class {
		if !contains(known, c) {
			near := config.Nearest(c, known)
			if near == "" {
				return s, usageErrorf("--class: unknown class %q; there are: %v", c, known)
			}
			return s, usageErrorf("--class: unknown class %q; did you mean %q?", c, near)
		}
		s.classes[c] = true
	}
	now := time.Now()
	for _, bound := range []struct {
		flag, text string
		target     *int64
	}{{"--from", flags.from, &s.from}, {"--to", flags.to, &s.to}} {
		if bound.text == "" {
			continue
		}
		at, err := parseMoment(bound.text, now)
		if err != nil {
			return s, usageErrorf("%s: %w", bound.flag, err)
		}
		*bound.target = at
	}
	return s, nil
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

func (s selection) takes(l *deadLetter) bool {
	at := l.Time.UnixMilli()
	return (len(s.classes) == 0 || s.classes[l.Class]) && (s.from < 0 || at >= s.from) && (s.to < 0 || at < s.to)
}

// where names the record a dead letter was made of.
func (l *deadLetter) where() string {
	return fmt.Sprintf("%s/%d@%d", l.SourceTopic, l.SourcePartition, l.SourceOffset)
}
