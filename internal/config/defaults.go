package config

import (
	"strings"
	"time"
)

// inputPlaceholder stands for the input topic's name in dead_letter.topic.
const inputPlaceholder = "{input}"

// defaultBroker is where a broker is when nothing says otherwise, not even
// KAFKA_BROKERS.
const defaultBroker = "localhost:9092"

// Default is the configuration of an empty file; required keys are empty.
func Default() *Config {
	return &Config{
		Kafka: Kafka{Brokers: []string{defaultBroker}, Properties: map[string]string{}},
		Input: Input{
			Start: "earliest", OutOfRange: "stop", Isolation: "read_committed",
			Codec: "json", Tombstones: "pass",
			SessionTimeout: 10 * time.Second, RebalanceTimeout: 30 * time.Second,
			MaxInFlight: 16384, MaxInFlightBytes: 256 << 20, MaxUncommitted: 65536,
			CommitInterval: 100 * time.Millisecond,
		},
		Model: Model{
			Version: "latest", Device: "cpu", Rows: "one", OnMissing: "reject", NonFinite: "reject",
			RunTimeout: 30 * time.Second, Independent: "probe", Batch: Batch{MaxRows: 256},
		},
		Output: Output{
			Delivery: AtLeastOnce, Order: "partition", Partition: "key", Timestamp: "input",
			Lineage: "short", Compression: "none", Linger: time.Millisecond,
		},
		DeadLetter: DeadLetter{
			Topic: inputPlaceholder + ".dlq", OnError: "dead-letter", Expired: "dead-letter",
			MaxShare: 0.5, Window: time.Minute, MinItems: 1000,
		},
		Transaction: Transaction{IDPrefix: "sluice", Timeout: 10 * time.Second},
		Log:         Log{Format: "auto", Level: "info"},
		Admin:       Admin{Listen: "127.0.0.1:8900"},
		Startup:     Startup{Wait: time.Minute},
		Shutdown:    Shutdown{DrainTimeout: 20 * time.Second, Leave: "auto"},
	}
}

// The delivery levels.
const (
	AtLeastOnce = "at-least-once"
	ExactlyOnce = "exactly-once"
)

func expandInput(pattern, input string) string {
	return strings.ReplaceAll(pattern, inputPlaceholder, input)
}
