package demo

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The demo's topics and group.
const (
	inputTopic      = "digits"
	outputTopic     = "digits.predictions"
	deadLetterTopic = "digits.dlq"
	group           = "sluice-demo"
)

// topicSettings keep a demo that runs for days within about 100 MB of disk: the
// reader is never more than maxOutstanding records behind, about 10 MB.
var topicSettings = map[string]string{
	"retention.bytes": "33554432", // a partition
	"segment.bytes":   "4194304",
}

// broker is kfake with a data folder: in memory it would keep what it is given.
type broker struct {
	cluster   *kfake.Cluster
	addresses []string
}

func startBroker(ctx context.Context, dir string, partitions int32) (*broker, error) {
	cluster, err := kfake.NewCluster(
		kfake.NumBrokers(1),
		kfake.DataDir(filepath.Join(dir, "broker")),
		// The cleaner's own default is an hour.
		kfake.BrokerConfigs(map[string]string{"log.cleaner.backoff.ms": "500"}),
	)
	if err != nil {
		return nil, fmt.Errorf("start the embedded broker in %s: %w", dir, err)
	}
	b := &broker{cluster: cluster, addresses: cluster.ListenAddrs()}
	if err := b.createTopics(ctx, partitions); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *broker) createTopics(ctx context.Context, partitions int32) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(b.addresses...))
	if err != nil {
		return err
	}
	defer client.Close()
	settings := make(map[string]*string, len(topicSettings))
	for key, value := range topicSettings {
		settings[key] = &value
	}
	answers, err := kadm.NewClient(client).CreateTopics(ctx, partitions, 1, settings, inputTopic, outputTopic, deadLetterTopic)
	if err == nil {
		err = answers.Error()
	}
	if err != nil {
		return fmt.Errorf("create the demo's topics: %w", err)
	}
	return nil
}

func (b *broker) list() string { return strings.Join(b.addresses, ",") }

func (b *broker) close() { b.cluster.Close() }
