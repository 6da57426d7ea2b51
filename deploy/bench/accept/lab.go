package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// partitions of every topic: the count of the bench protocol.
const partitions = 4

// lab is one run's surroundings.
type lab struct {
	records, rounds   int
	bin, zoo, python  string
	out, restart      string
	seed              uint64
	brokers           []string
	dir               string // of configurations, logs, data
	id                string // makes topic and group names unique
	admin             *kadm.Client
	client            *kgo.Client
	random            *rand.Rand
	loadedJSON        string // topic with the JSON records, shared by the points
	loadedRaw         string
	referenceComputed bool
}

func (l *lab) open() error {
	brokers := os.Getenv("KAFKA_BROKERS")
	if brokers == "" {
		return errors.New("KAFKA_BROKERS is not set: run `make accept`, which starts a broker, or name yours")
	}
	l.brokers = strings.Split(brokers, ",")
	if _, err := os.Stat(l.bin); err != nil {
		return fmt.Errorf("%w: run `make build` first", err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(l.brokers...), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerBatchMaxBytes(900_000), kgo.MaxBufferedRecords(20_000), kgo.ProducerLinger(2*time.Millisecond))
	if err != nil {
		return err
	}
	l.client, l.admin = client, kadm.NewClient(client)
	l.random = rand.New(rand.NewPCG(l.seed, 0))
	l.id = fmt.Sprintf("a%x", time.Now().UnixNano()/1e6)
	l.dir, err = os.MkdirTemp("", "sluice-accept-")
	return err
}

// close removes the data but keeps logs when something is worth reading.
func (l *lab) close() {
	l.client.Close()
	_ = os.Remove(l.rowsFile())
	fmt.Fprintln(os.Stderr, "accept: logs and configurations are in", l.dir)
}

// topic makes a topic and gives its name.
func (l *lab) topic(ctx context.Context, name string, config map[string]*string) (string, error) {
	full := l.id + "." + name
	_, err := l.admin.CreateTopic(ctx, partitions, 1, config, full)
	return full, err
}

// topics makes an input topic unless it is given, its output and its dead letters.
func (l *lab) topics(ctx context.Context, name, input string) (in, out, dlq string, err error) {
	if in = input; in == "" {
		if in, err = l.topic(ctx, name, nil); err != nil {
			return in, out, dlq, err
		}
	}
	if out, err = l.topic(ctx, name+".out", nil); err != nil {
		return in, out, dlq, err
	}
	dlq, err = l.topic(ctx, name+".dlq", nil)
	return in, out, dlq, err
}

// drop deletes topics that are no longer needed, so that the disk stays small.
func (l *lab) drop(ctx context.Context, topics ...string) {
	if _, err := l.admin.DeleteTopics(ctx, topics...); err != nil {
		fmt.Fprintln(os.Stderr, "accept: delete topics:", err)
	}
}

// command runs a program and fails with its output.
func command(ctx context.Context, name string, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, stderr(err))
	}
	return string(out), nil
}

func (l *lab) rowsFile() string      { return filepath.Join(l.dir, "rows.f32") }
func (l *lab) referenceFile() string { return filepath.Join(l.dir, "reference.f32") }
func (l *lab) model(file string) string {
	return filepath.Join(l.zoo, file)
}

func stderr(err error) []byte {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.Stderr
	}
	return nil
}
