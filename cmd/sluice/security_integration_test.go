//go:build integration

package main

import (
	"strings"
	"testing"
	"time"

	"github.com/sluice-ml/sluice/internal/kafkatest"
)

// Every way to log in carries the whole job.
func TestTheJobOverEveryListener(t *testing.T) {
	t.Parallel()
	tlsBrokers, ca := kafkatest.TLSBrokers(t)
	saslBrokers, _ := kafkatest.SASLBrokers(t)
	mtlsBrokers, _, cert, key := kafkatest.MTLSBrokers(t)
	encrypted := []string{"kafka.tls.enabled=true", "kafka.tls.ca_file=" + ca}
	login := func(mechanism string) []string {
		return append(encrypted[:2:2], "kafka.brokers="+strings.Join(saslBrokers, ","), "kafka.sasl.mechanism="+mechanism,
			"kafka.sasl.username="+kafkatest.User, "kafka.sasl.password_file="+secretFile(t, kafkatest.Password+"\n"))
	}
	tokens := kafkatest.Tokens(t, time.Hour)
	for name, sets := range map[string][]string{
		"tls":           append(encrypted[:2:2], "kafka.brokers="+strings.Join(tlsBrokers, ",")),
		"mtls":          append(encrypted[:2:2], "kafka.brokers="+strings.Join(mtlsBrokers, ","), "kafka.tls.cert_file="+cert, "kafka.tls.key_file="+key),
		"plain":         login("plain"),
		"scram-sha-256": login("scram-sha-256"),
		"scram-sha-512": login("scram-sha-512"),
		"oauthbearer": append(encrypted[:2:2], "kafka.brokers="+strings.Join(saslBrokers, ","), "kafka.sasl.mechanism=oauthbearer",
			"kafka.sasl.oauthbearer.token_endpoint_url="+tokens.URL, "kafka.sasl.oauthbearer.client_id="+kafkatest.User,
			"kafka.sasl.oauthbearer.client_secret_file="+secretFile(t, kafkatest.Password+"\n")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 2)
			w.put(w.rows(0, 500)...)
			s := start(t, w.with(sets...)...)
			s.await("ready")
			w.settled()
			s.end(exitOK)
			if redone := wantEach(t, w.outputs(), 500); redone != 0 {
				t.Errorf("%d outputs came twice", redone)
			}
		})
	}
}
