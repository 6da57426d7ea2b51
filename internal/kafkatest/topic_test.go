package kafkatest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

func TestNamesAreUniqueAndLegal(t *testing.T) {
	t.Parallel()
	t.Run("with odd/characters: ä", func(t *testing.T) {
		t.Parallel()
		a, b := Name(t), Name(t)
		if a == b {
			t.Errorf("two calls gave %q", a)
		}
		if strings.Trim(a, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") != "" {
			t.Errorf("%q is no topic name", a)
		}
	})
}

func TestTopicIsThereAndGoesWithItsTest(t *testing.T) { //nolint:tparallel // it waits for the inner test's end
	t.Parallel()
	_, brokers := Kfake(t)
	admin := kadm.NewClient(Client(t, brokers))

	var name string
	t.Run("during the test", func(t *testing.T) {
		name = Topic(t, brokers, 3, "cleanup.policy=compact")
		topics, err := admin.ListTopics(t.Context(), name)
		if err != nil || len(topics[name].Partitions) != 3 {
			t.Errorf("topic has %d partitions, want 3 (%v)", len(topics[name].Partitions), err)
		}
	})

	topics, err := admin.ListTopics(t.Context())
	if err != nil || topics.Has(name) {
		t.Errorf("%s is still there (%v)", name, err)
	}
}

func TestEventuallyLooksAgain(t *testing.T) {
	t.Parallel()
	looks := 0
	Eventually(t, time.Minute, "three looks", func(context.Context) bool { looks++; return looks == 3 })
	if looks != 3 {
		t.Errorf("looked %d times", looks)
	}
}
