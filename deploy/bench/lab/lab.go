// Package lab is what the bench's programs share: topics and their contents on a
// real broker, payloads with a reference of what must come out, contenders as
// processes with their CPU time and memory, a drain and an open-loop leg.
package lab

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Partitions of a topic, unless a leg is about another number.
const Partitions = 4

// Lab is one run's surroundings. The exported fields are set before Open.
type Lab struct {
	// Bin is the service's binary, Zoo the folder of the model zoo, Python an
	// interpreter with requirements.txt.
	Bin, Zoo, Python string
	// Work keeps models and references from run to run.
	Work string
	// Dir is of configurations and logs; Open makes one where it is empty.
	Dir string

	Brokers []string
	ID      string // makes topic and group names unique
	Admin   *kadm.Client
	Client  *kgo.Client // with a producer for loading

	loaded     map[string]string // input topics by payload and shape
	references map[string][][]float64
	rows       map[string]*rows
	pace       pace
	commands   map[string][]string // of built rivals
}

// Open connects to the broker that KAFKA_BROKERS names.
func (l *Lab) Open() error {
	brokers := os.Getenv("KAFKA_BROKERS")
	if brokers == "" {
		return errors.New("KAFKA_BROKERS is not set: run `make accept` or `make bench`, which start a broker, or name yours")
	}
	l.Brokers = strings.Split(brokers, ",")
	if _, err := os.Stat(l.Bin); err != nil {
		return fmt.Errorf("%w: run `make build` first", err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(l.Brokers...), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerBatchMaxBytes(900_000), kgo.MaxBufferedRecords(20_000), kgo.ProducerLinger(2*time.Millisecond))
	if err != nil {
		return err
	}
	l.Client, l.Admin = client, kadm.NewClient(client)
	l.ID = fmt.Sprintf("b%x", time.Now().UnixMilli())
	return l.Offline()
}

// Offline prepares what needs no broker: payloads, their models and references.
func (l *Lab) Offline() (err error) {
	l.loaded, l.references, l.rows = map[string]string{}, map[string][][]float64{}, map[string]*rows{}
	l.commands = map[string][]string{}
	if l.Dir == "" {
		if l.Dir, err = os.MkdirTemp("", "sluice-bench-"); err != nil {
			return err
		}
	}
	if l.Work == "" {
		l.Work = l.Dir
	}
	return errors.Join(os.MkdirAll(l.Dir, 0o755), os.MkdirAll(l.Work, 0o755))
}

// Close deletes the inputs, leaves the logs where they are and says so.
func (l *Lab) Close(ctx context.Context) {
	// The broker may be another one's: some gigabytes of inputs must not stay there.
	if len(l.loaded) > 0 {
		l.Drop(ctx, slices.Collect(maps.Values(l.loaded))...)
	}
	l.Client.Close()
	fmt.Fprintln(os.Stderr, "bench: logs and configurations are in", l.Dir)
}

// Topic makes a topic of so many partitions, with as many replicas as is usual for the
// brokers, and gives its name. Configuration entries come as name=value.
func (l *Lab) Topic(ctx context.Context, name string, partitions int32, config ...string) (string, error) {
	full := l.ID + "." + name
	settings := map[string]*string{}
	for _, c := range config {
		k, v, _ := strings.Cut(c, "=")
		settings[k] = &v
	}
	if _, err := l.Admin.CreateTopic(ctx, partitions, -1, settings, full); err != nil {
		return full, err
	}
	// A broker that is busy says so before it leads the partitions.
	limit, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		_, err := l.End(ctx, full)
		if err == nil || Pause(limit, 20*time.Millisecond) != nil {
			return full, err
		}
	}
}

// Topics makes an input topic unless it is given, its output and its dead letters.
func (l *Lab) Topics(ctx context.Context, name, input string) (in, out, dlq string, err error) {
	if in = input; in == "" {
		if in, err = l.Topic(ctx, name, Partitions); err != nil {
			return in, out, dlq, err
		}
	}
	if out, err = l.Topic(ctx, name+".out", Partitions); err != nil {
		return in, out, dlq, err
	}
	dlq, err = l.Topic(ctx, name+".dlq", Partitions)
	return in, out, dlq, err
}

// Drop deletes topics that are no longer needed, so that the disk stays small;
// also after ctx was cancelled.
func (l *Lab) Drop(ctx context.Context, topics ...string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if _, err := l.Admin.DeleteTopics(ctx, topics...); err != nil {
		fmt.Fprintln(os.Stderr, "bench: delete topics:", err)
	}
}

// Command runs a program and fails with its stderr.
func Command(ctx context.Context, name string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		text := ""
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			text = string(exit.Stderr)
		}
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, text)
	}
	return string(out), nil
}

// Model is the path of a zoo model.
func (l *Lab) Model(file string) string { return filepath.Join(l.Zoo, file) }

// Pause waits, or until ctx is done (its cause).
func Pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
