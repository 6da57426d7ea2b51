//go:build integration

package kafkatest

import (
	"crypto/tls"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

func TestEveryListenerAnswers(t *testing.T) {
	t.Parallel()
	saslBrokers, ca := SASLBrokers(t)
	tlsBrokers, _ := TLSBrokers(t)
	mtlsBrokers, _, cert, key := MTLSBrokers(t)
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	mutual := TLSConfig(t, ca)
	mutual.Certificates = []tls.Certificate{pair}
	login := scram.Auth{User: User, Pass: Password}

	for name, c := range map[string]struct {
		brokers []string
		tls     *tls.Config
		sasl    sasl.Mechanism
	}{
		"plaintext": {Brokers(t), nil, nil},
		"tls":       {tlsBrokers, TLSConfig(t, ca), nil},
		"mtls":      {mtlsBrokers, mutual, nil},
		"scram-256": {saslBrokers, TLSConfig(t, ca), login.AsSha256Mechanism()},
		"scram-512": {saslBrokers, TLSConfig(t, ca), login.AsSha512Mechanism()},
		"plain":     {saslBrokers, TLSConfig(t, ca), plain.Auth{User: User, Pass: Password}.AsMechanism()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var opts []kgo.Opt
			if c.tls != nil {
				opts = append(opts, kgo.DialTLSConfig(c.tls))
			}
			if c.sasl != nil {
				opts = append(opts, kgo.SASL(c.sasl))
			}
			meta, err := kadm.NewClient(Client(t, c.brokers, opts...)).BrokerMetadata(t.Context())
			if err != nil || len(meta.Brokers) == 0 {
				t.Fatalf("%d brokers: %v", len(meta.Brokers), err)
			}
		})
	}
}

func TestTopicOnTheRealBroker(t *testing.T) {
	t.Parallel()
	brokers := Brokers(t)
	name := Topic(t, brokers, 2, "retention.ms=60000")
	if !strings.HasPrefix(name, t.Name()) {
		t.Errorf("name %q does not tell where it is from", name)
	}
	configs, err := Admin(t).DescribeTopicConfigs(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range configs[0].Configs {
		if c.Key == "retention.ms" && c.MaybeValue() != "60000" {
			t.Errorf("retention.ms = %s", c.MaybeValue())
		}
	}
}
