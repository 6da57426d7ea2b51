package kafkatest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// adminTimeout bounds each administrative call: a broker that has just started
// takes seconds for its first internal topics.
const adminTimeout = 60 * time.Second

// Name gives a name for a topic or group that no other test, run or process uses.
// It begins with the test's name, so that a leftover tells where it is from.
func Name(tb testing.TB) string {
	tb.Helper()
	var id [6]byte
	_, _ = rand.Read(id[:]) // never fails, see its documentation
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-':
			return r
		}
		return '-'
	}, tb.Name())
	return name[:min(len(name), 150)] + "-" + hex.EncodeToString(id[:])
}

// Client gives a franz-go client of the brokers, closed when the test ends. It is
// the independent second opinion on what ours read and wrote.
func Client(tb testing.TB, brokers []string, opts ...kgo.Opt) *kgo.Client {
	tb.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(brokers...)}, opts...)...)
	if err != nil {
		tb.Fatalf("franz-go client of %v: %v", brokers, err)
	}
	tb.Cleanup(client.Close)
	return client
}

// Admin gives an administrative client of the real broker.
func Admin(tb testing.TB) *kadm.Client {
	tb.Helper()
	return kadm.NewClient(Client(tb, Brokers(tb)))
}

// Topic makes a topic with a unique name and removes it when the test ends.
// configs are "key=value" settings of the topic.
func Topic(tb testing.TB, brokers []string, partitions int32, configs ...string) string {
	tb.Helper()
	name := Name(tb)
	MakeTopic(tb, brokers, name, partitions, configs...)
	return name
}

// MakeTopic makes a topic of this name, for tests that choose it (dead letters,
// recreated topics), and removes it when the test ends. It returns when every
// partition has a leader. Nothing is deleted by age unless configs say so: tests
// write records of any time.
func MakeTopic(tb testing.TB, brokers []string, name string, partitions int32, configs ...string) {
	tb.Helper()
	forever := "-1"
	settings := map[string]*string{"retention.ms": &forever}
	for _, c := range configs {
		key, value, ok := strings.Cut(c, "=")
		if !ok {
			tb.Fatalf("topic setting %q is not key=value", c)
		}
		settings[key] = &value
	}
	admin := kadm.NewClient(Client(tb, brokers))
	ctx, cancel := context.WithTimeout(tb.Context(), adminTimeout)
	defer cancel()
	if _, err := admin.CreateTopic(ctx, partitions, -1, settings, name); err != nil {
		tb.Fatalf("create topic %s: %v", name, err)
	}
	tb.Cleanup(func() { // before the client's own cleanup; its context has ended
		ctx, cancel := context.WithTimeout(context.Background(), adminTimeout)
		defer cancel()
		_, _ = admin.DeleteTopic(ctx, name) // the test may have deleted it
	})
	awaitLeaders(ctx, tb, admin, name, int(partitions))
}

func awaitLeaders(ctx context.Context, tb testing.TB, admin *kadm.Client, name string, partitions int) {
	tb.Helper()
	for {
		topics, err := admin.ListTopics(ctx, name)
		led := 0
		for _, p := range topics[name].Partitions {
			if p.Err == nil && p.Leader >= 0 {
				led++
			}
		}
		if err == nil && led == partitions {
			return
		}
		if !pause(ctx) {
			tb.Fatalf("topic %s has %d of %d leaders: %v", name, led, partitions, err)
		}
	}
}

// Group gives a unique group name whose offsets are removed when the test ends.
func Group(tb testing.TB, brokers []string) string {
	tb.Helper()
	name := Name(tb)
	admin := kadm.NewClient(Client(tb, brokers))
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), adminTimeout)
		defer cancel()
		_, _ = admin.DeleteGroups(ctx, name) // the test may never have joined it
	})
	return name
}

// pause waits a moment between two looks; false when the time is up.
func pause(ctx context.Context) bool {
	timer := time.NewTimer(20 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// Eventually looks again and again until the condition holds, and fails the test
// when it does not within the given time.
func Eventually(tb testing.TB, within time.Duration, what string, condition func(ctx context.Context) bool) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), within)
	defer cancel()
	for !condition(ctx) {
		if !pause(ctx) {
			tb.Fatalf("not within %v: %s", within, what)
		}
	}
}
