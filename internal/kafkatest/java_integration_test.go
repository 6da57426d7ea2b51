//go:build integration

package kafkatest

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The two foreign clients must agree before ours is compared with them.
func TestForeignClientsAgree(t *testing.T) {
	t.Parallel()
	brokers := Brokers(t)
	topic := Topic(t, brokers, 2)
	JavaWrite(t, brokers, topic, 100)

	for name, want := range map[bool]int{true: 5*100 + 6*7, false: 5*100 + 12*7} {
		java, franz := JavaRead(t, brokers, topic, name), FranzRead(t, brokers, topic, name)
		if len(java) != want {
			t.Errorf("committed %v: %d records, want %d", name, len(java), want)
		}
		if diff := cmp.Diff(java, franz); diff != "" {
			t.Errorf("committed %v, Java -, franz-go +:\n%s", name, diff)
		}
	}
}
