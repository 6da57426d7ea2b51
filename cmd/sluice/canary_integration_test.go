//go:build integration

package main

import (
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-ml/sluice/internal/kafkatest"
)

// The job with a secret given in each way, at the most talkative level: every
// page, every command, every record is overheard.
func TestNoSecretIsTold(t *testing.T) {
	t.Parallel()
	brokers, ca := kafkatest.SASLBrokers(t)
	tokens := kafkatest.Tokens(t, time.Hour)
	common := []string{
		"kafka.brokers=" + strings.Join(brokers, ","), "kafka.tls.enabled=true", "kafka.tls.ca_file=" + ca, "log.level=debug", "output.lineage=full",
	}
	for name, login := range map[string][]string{
		"property": {"kafka.properties.sasl.mechanism=SCRAM-SHA-256", "kafka.properties.sasl.username=" + kafkatest.User, "kafka.properties.sasl.password=" + canary},
		"jaas":     {`kafka.properties.sasl.jaas.config=x.PlainLoginModule required username="` + kafkatest.User + `" password="` + canary + `";`},
		"file":     {"kafka.sasl.mechanism=scram-sha-512", "kafka.sasl.username=" + kafkatest.User, "kafka.sasl.password_file=" + secretFile(t, canary)},
		"oauth": {
			"kafka.properties.sasl.mechanism=OAUTHBEARER", "kafka.properties.sasl.oauthbearer.client.id=" + kafkatest.User,
			"kafka.properties.sasl.oauthbearer.client.secret=" + canary, "kafka.properties.sasl.oauthbearer.token.endpoint.url=" + tokens.URL,
		},
		"refused": {"kafka.sasl.mechanism=plain", "kafka.properties.sasl.username=" + kafkatest.User, "kafka.properties.sasl.password=wrong-" + canary, "startup.wait=300ms"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			flags := w.with(append(common[:len(common):len(common)], login...)...)
			sluice(t, append([]string{"check"}, flags...)...)
			sluice(t, append([]string{"acls"}, flags...)...)
			sluice(t, append([]string{"dlq", "ls"}, flags...)...)
			if name == "refused" {
				s := start(t, flags...)
				s.exits(exitDependency)
				return
			}
			w.put(w.rows(0, 20)...)
			w.put(&kgo.Record{Value: []byte("poison")})
			s := start(t, flags...)
			s.await("ready")
			w.settled()
			for _, page := range []string{"/", "/status", "/metrics", "/readyz", "/livez", "/v2", "/v2/models/affine", "/debug/pprof/cmdline"} {
				fetch(t, s.base()+page)
			}
			s.end(exitOK)
			wantEach(t, w.outputs(), 20)
			if n := len(w.letters()); n != 1 {
				t.Errorf("%d dead letters", n)
			}
			sluice(t, append([]string{"dlq", "show"}, flags...)...)
		})
	}
}
