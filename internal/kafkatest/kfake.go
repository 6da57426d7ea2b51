package kafkatest

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Kfake starts kfake, a single-process stand-in for Kafka, in this test, and gives
// its addresses: for the quick tests. It completes transactions at once, never
// throttles, has no initial rebalance delay and does not apply LogAppendTime: what
// rests on these needs the real broker.
func Kfake(tb testing.TB, opts ...kfake.Opt) (cluster *kfake.Cluster, brokers []string) {
	tb.Helper()
	cluster, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		tb.Fatalf("start kfake: %v", err)
	}
	tb.Cleanup(cluster.Close)
	return cluster, cluster.ListenAddrs()
}
