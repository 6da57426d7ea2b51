package lab

import (
	"regexp"
	"testing"
)

func TestLabelsMakeLegalTopicNames(t *testing.T) {
	t.Parallel()
	legal := regexp.MustCompile(`^[a-zA-Z0-9._-]+$`) // Kafka's rule
	for _, label := range []string{"growth.json.sluice.4 partitions, 1 member", "batching.json.sluice.max_rows=8", "a/b", "50 %"} {
		if name := topicName(label); !legal.MatchString(name) {
			t.Errorf("%q became %q", label, name)
		}
	}
}
