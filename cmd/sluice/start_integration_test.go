//go:build integration

package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-ml/sluice/internal/kafkatest"
)

// secretFile writes a password file.
func secretFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestStartErrorsOnARealBrokerNameTheCure(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	saslBrokers, ca := kafkatest.SASLBrokers(t)
	mtlsBrokers, _, cert, key := kafkatest.MTLSBrokers(t)
	login := []string{
		"kafka.brokers=" + strings.Join(saslBrokers, ","), "kafka.tls.enabled=true", "kafka.tls.ca_file=" + ca,
		"kafka.sasl.mechanism=scram-sha-512", "kafka.sasl.username=" + kafkatest.User,
	}
	wrong, right := secretFile(t, "wrong-canary"), secretFile(t, kafkatest.Password)
	for _, c := range []struct {
		name  string
		sets  []string
		code  int
		texts []string
	}{
		{"no input topic", []string{"input.topics=nope"}, exitDependency, []string{`input topic \"nope\" does not exist`, "--create --topic nope"}},
		{"no output topic", []string{"output.topic=nope"}, exitDependency, []string{"kafka-topics.sh --bootstrap-server " + w.broker + " --create --topic nope --partitions 3"}},
		{"no dead-letter topic", []string{"dead_letter.topic=nope"}, exitDependency, []string{`dead-letter topic \"nope\" does not exist`, "--create --topic nope"}},
		{"all of them at once", []string{"output.topic=nope1", "dead_letter.topic=nope2"}, exitDependency, []string{"nope1", "nope2"}},
		{"no broker", []string{"kafka.brokers=127.0.0.1:1"}, exitDependency, []string{"127.0.0.1:1", "check kafka.brokers"}},
		{"wrong password", append(login[:len(login):len(login)], "kafka.sasl.password_file="+wrong), exitDependency, []string{"check kafka.sasl"}},
		{"wrong mechanism's name", append(login[:len(login):len(login)], "kafka.sasl.mechanism=gssapi", "kafka.sasl.password_file="+right), exitUsage, []string{"kafka.sasl.mechanism"}},
		{"no password file", append(login[:len(login):len(login)], "kafka.sasl.password_file=/nope/password"), exitUsage, []string{"/nope/password"}},
		{"wrong CA", append(login[:len(login):len(login)], "kafka.sasl.password_file="+right, "kafka.tls.ca_file="+otherCA(t)), exitDependency, []string{"check kafka.tls: ca_file"}},
		{"no TLS at a TLS port", []string{"kafka.brokers=" + strings.Join(saslBrokers, ",")}, exitDependency, []string{"kafka.tls.enabled"}},
		{"TLS at a plain port", []string{"kafka.tls.enabled=true"}, exitDependency, []string{"check kafka.brokers and kafka.tls.enabled"}},
		{"no client certificate", []string{"kafka.brokers=" + strings.Join(mtlsBrokers, ","), "kafka.tls.enabled=true", "kafka.tls.ca_file=" + ca}, exitDependency, []string{"kafka.tls"}},
		{"key of a certificate missing", []string{"kafka.tls.enabled=true", "kafka.tls.cert_file=" + cert}, exitUsage, []string{"kafka.tls"}},
		{"CA is no certificate", []string{"kafka.tls.enabled=true", "kafka.tls.ca_file=" + key}, exitUsage, []string{"CA file", key}},
		{"no model file", []string{"model.path=/nope.onnx"}, exitUsage, []string{"/nope.onnx"}},
		{"a model that is none", []string{"model.path=" + right}, exitUsage, []string{"model.path"}},
		{"another digest", []string{"model.sha256=" + strings.Repeat("0", 64)}, exitUsage, []string{"sha256"}},
		{"no library", []string{"runtime.library=/nope/libonnxruntime.so"}, exitDependency, []string{"/nope/libonnxruntime.so"}},
		{"short session", []string{"input.session_timeout=200ms"}, exitUsage, []string{"session_timeout"}},
		{"long session", []string{"input.session_timeout=1h"}, exitUsage, []string{"session_timeout"}},
		{"several wrong keys", []string{"input.codec=xml", "output.order=random", "model.nope=1"}, exitUsage, []string{"input.codec", "output.order", "model.nope"}},
		{"exactly once without order", []string{"output.delivery=exactly-once", "output.order=none"}, exitUsage, []string{"order"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, w.with(append([]string{"startup.wait=300ms"}, c.sets...)...)...)
			s.exits(c.code)
			for _, text := range c.texts {
				if !strings.Contains(s.log.String(), text) {
					t.Errorf("no %q", text)
				}
			}
			if strings.Contains(s.log.String(), "wrong-canary") {
				t.Error("the log holds the password")
			}
			if t.Failed() {
				t.Log(s.log)
			}
		})
	}
	if members := w.members(); members != 0 {
		t.Errorf("%d members are left in the group", members)
	}
}

// exits waits for the end that comes by itself.
func (r *running) exits(want int) {
	r.t.Helper()
	select {
	case code := <-r.code:
		if code != want {
			r.t.Errorf("exit code %d, want %d", code, want)
		}
	case <-time.After(30 * time.Second):
		r.t.Fatalf("goes on\n%s", r.log)
	}
}

// members is how many the group has.
func (w *world) members() int {
	w.t.Helper()
	groups, err := w.admin.DescribeGroups(w.t.Context(), w.group)
	if err != nil {
		w.t.Fatal(err)
	}
	return len(groups[w.group].Members)
}

// otherCA is an authority that signed nothing: the client's own certificate.
func otherCA(t *testing.T) string {
	t.Helper()
	_, _, cert, _ := kafkatest.MTLSBrokers(t)
	text, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	end := strings.Index(string(text), "-----END CERTIFICATE-----") // the leaf alone, without its issuer
	path := filepath.Join(t.TempDir(), "other.pem")
	if err := os.WriteFile(path, append(text[:end:end], "-----END CERTIFICATE-----\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A library of the CPU, asked for CUDA.
func TestCUDAThatIsAbsentIsADependency(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	s := start(t, w.with("model.device=cuda")...)
	if code := <-s.code; code != exitDependency {
		t.Errorf("exit code %d, want %d\n%s", code, exitDependency, s.log)
	}
	if text := s.log.String(); !strings.Contains(strings.ToLower(text), "cuda") || !strings.Contains(text, ".so") {
		t.Errorf("does not name the missing library:\n%s", text)
	}
}

func TestSignalDuringTheWaitIsCleanAndTopicsMayStillCome(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	late := kafkatest.Name(t)
	cmd, waiting := process(t, append([]string{"run"}, w.with("output.topic="+late, "startup.wait=1m")...)...)
	coming := start(t, w.with("output.topic="+late, "startup.wait=1m")...)
	waiting.await("waiting for brokers and topics")
	coming.await("waiting for brokers and topics")

	began := time.Now()
	signalAnd(t, cmd, syscall.SIGTERM)
	if code := <-waiting.code; code != exitOK || waiting.line("stopped") == nil || time.Since(began) > 5*time.Second {
		t.Errorf("exit code %d after %v\n%s", code, time.Since(began), waiting.log)
	}
	kafkatest.MakeTopic(t, w.brokers, late, 1)
	coming.await("ready")
	coming.end(exitOK)
}
