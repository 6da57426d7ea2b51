//go:build integration

package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-ml/sluice/internal/kafkatest"
)

// The probes of check and the commit of replay rest on what a real broker says.
func TestCommandsOnARealBroker(t *testing.T) {
	t.Parallel()
	brokers := kafkatest.Brokers(t)
	in, out := kafkatest.Topic(t, brokers, 2), kafkatest.Topic(t, brokers, 2)
	dlq, group := kafkatest.Topic(t, brokers, 1), kafkatest.Group(t, brokers)
	b := strings.Join(brokers, ",")
	flags := []string{
		"-c", configFile(t, b), "--set", "input.topics=" + in, "--set", "output.topic=" + out,
		"--set", "dead_letter.topic=" + dlq, "--set", "input.group=" + group,
	}
	report := check(t, exitOK, flags...)
	report.says(t, statusOK, "output", "topic "+out+" is writable")
	report.says(t, statusOK, "group", "can be used")
	if tap := sluice(t, "tap", "-b", b, "-t", out, "-e"); tap.out != "" {
		t.Errorf("check wrote %s", tap.out)
	}

	lines := ""
	for i := range 100 {
		lines += fmt.Sprintf("{\"id\":%d,\"x\":[1,2,3,%d]}\n", i, i)
	}
	sluiceWith(t, nil, lines+"poison\n", "publish", "-b", b, "-t", in).want(t, exitOK, "published 101")
	s := start(t, flags...)
	s.await("ready")
	consume(t, b, out, 100)
	consume(t, b, dlq, 1)
	s.end(exitOK)

	replay := []string{"dlq", "replay", "-b", b, "-t", dlq}
	sluice(t, append(replay, "--class", "wrong_shape")...).want(t, exitOK, "replayed 0")
	sluice(t, replay...).want(t, exitOK, "replayed 1")
	sluice(t, replay...).want(t, exitOK, "replayed 0")
	if got := consume(t, b, in, 102); !hasAttempts(got) {
		t.Error("no replayed record with x-attempts")
	}
}

func hasAttempts(records []*kgo.Record) bool {
	for _, r := range records {
		for _, h := range r.Headers {
			if h.Key == "x-attempts" && string(r.Value) == "poison" {
				return true
			}
		}
	}
	return false
}
