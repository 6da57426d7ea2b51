//go:build integration

package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// broker is one of the test's own, for what would disturb the others.
type broker struct {
	t   *testing.T
	dir string
	env map[string]string // what broker.sh printed
}

// ownBroker starts one with these settings; the test's end stops it.
func ownBroker(t *testing.T, settings ...string) *broker {
	t.Helper()
	if os.Getenv("KAFKA_JARS") == "" {
		t.Skip("this test starts a broker of its own from KAFKA_JARS, which is not set")
	}
	b := &broker{t, t.TempDir(), map[string]string{}}
	t.Cleanup(func() { _ = exec.Command("bash", brokerScript, "stop", b.dir).Run() })
	for line := range strings.Lines(b.run(append([]string{"start", "-d", b.dir}, settings...)...)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			b.env[name] = value
		}
	}
	return b
}

const brokerScript = "../../deploy/kafka/broker.sh"

func (b *broker) run(args ...string) string {
	b.t.Helper()
	cmd := exec.Command("bash", append([]string{brokerScript}, args...)...)
	cmd.Env = append(os.Environ(), "KAFKA_BROKERS=")
	cmd.Stderr = &syncBuffer{}
	out, err := cmd.Output()
	if err != nil {
		b.t.Fatalf("broker.sh %v: %v\n%s", args, err, cmd.Stderr)
	}
	return string(out)
}

// brokers are the addresses of a listener, by the name in the environment.
func (b *broker) brokers(listener string) []string { return strings.Split(b.env[listener], ",") }
