package kafkawire

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"
)

func TestKeysGoWhereTheJavaClientPutsThem(t *testing.T) {
	t.Parallel()
	// From Kafka's own UtilsTest.testMurmur2.
	for key, want := range map[string]int32{
		"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536,
		"a-little-bit-longer-string": -1486304829, "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971, "abc": 479470107,
	} {
		if got := int32(Murmur2([]byte(key))); got != want {
			t.Errorf("murmur2(%q) = %d, want %d", key, got, want)
		}
	}
	other := kgo.StickyKeyPartitioner(nil).ForTopic("t")
	rapid.Check(t, func(t *rapid.T) {
		key, n := rapid.SliceOf(rapid.Byte()).Draw(t, "key"), rapid.IntRange(1, 1000).Draw(t, "n")
		if key == nil {
			key = []byte{}
		}
		if got, want := PartitionForKey(key, n), other.Partition(&kgo.Record{Key: key}, n); int(got) != want {
			t.Fatalf("partition %d, want %d", got, want)
		}
	})
}
