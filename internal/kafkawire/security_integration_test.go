//go:build integration

package kafkawire

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/sluice-ml/sluice/internal/kafkatest"
)

func TestRealBrokerOverTLS(t *testing.T) {
	t.Parallel()
	addresses, ca := kafkatest.TLSBrokers(t)
	cfg := Config{Brokers: addresses}
	if err := (Security{TLS: TLSConfig{Enabled: true, CAFile: ca}}).Apply(&cfg); err != nil {
		t.Fatal(err)
	}
	wantCluster(t, cfg)
	cfg = Config{Brokers: addresses}
	if err := (Security{TLS: TLSConfig{Enabled: true}}).Apply(&cfg); err != nil {
		t.Fatal(err)
	}
	c := realClient(t, func(k *Config) { *k = cfg })
	if _, err := c.ClusterID(t.Context()); err == nil {
		t.Fatal("an unknown authority is trusted")
	}
}

func TestRealBrokerOverSASL(t *testing.T) {
	t.Parallel()
	addresses, ca := kafkatest.SASLBrokers(t)
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(kafkatest.Password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var cfg Config
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-512", "SCRAM-SHA-256"} {
		s := Security{
			TLS:  TLSConfig{Enabled: true, CAFile: ca},
			SASL: SASLConfig{Mechanism: mechanism, Username: kafkatest.User, PasswordFile: file},
		}
		cfg = Config{Brokers: addresses}
		if err := s.Apply(&cfg); err != nil {
			t.Fatal(err)
		}
		wantCluster(t, cfg)
		s.SASL.PasswordFile, s.SASL.Password = "", "wrong"
		if err := s.Apply(&cfg); err != nil {
			t.Fatal(err)
		}
		wantRefused(t, cfg)
	}
}

func wantRefused(t *testing.T, cfg Config) {
	t.Helper()
	c := realClient(t, func(k *Config) { *k = cfg })
	_, err := c.ClusterID(t.Context())
	var cut *NetError
	if !errors.Is(err, ErrSASLAuthentication) || !errors.As(err, &cut) {
		t.Fatalf("wrong password: %v", err)
	}
}

func wantCluster(t *testing.T, cfg Config) {
	t.Helper()
	c := realClient(t, func(k *Config) { *k = cfg })
	if id, err := c.ClusterID(t.Context()); err != nil || id == "" {
		t.Fatalf("cluster id %q, %v", id, err)
	}
}

func TestRealBrokerWithAClientCertificate(t *testing.T) {
	t.Parallel()
	addresses, ca, cert, key := kafkatest.MTLSBrokers(t)
	s := Security{TLS: TLSConfig{Enabled: true, CAFile: ca, CertFile: cert, KeyFile: key}}
	cfg := Config{Brokers: addresses}
	if err := s.Apply(&cfg); err != nil {
		t.Fatal(err)
	}
	wantCluster(t, cfg)
	s.TLS.CertFile, s.TLS.KeyFile = "", ""
	if err := s.Apply(&cfg); err != nil {
		t.Fatal(err)
	}
	c := realClient(t, func(k *Config) { *k = cfg })
	if _, err := c.ClusterID(t.Context()); err == nil {
		t.Fatal("no certificate is accepted")
	}
}
