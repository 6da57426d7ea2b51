//go:build integration

package kafkawire

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

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

// Sessions last as long as their token (KIP-368): connections are replaced before
// the broker closes them, and no request fails over it.
func TestRealBrokerByTokensThatExpire(t *testing.T) {
	t.Parallel()
	addresses, ca := kafkatest.SASLBrokers(t)
	tokens := kafkatest.Tokens(t, 3*time.Second)
	s := Security{TLS: TLSConfig{Enabled: true, CAFile: ca}, SASL: SASLConfig{Mechanism: "oauthbearer", OAuth: OAuthConfig{
		TokenEndpointURL: tokens.URL, ClientID: kafkatest.User, ClientSecret: kafkatest.Password,
	}}}
	cfg := Config{Brokers: addresses}
	if err := s.Apply(&cfg); err != nil {
		t.Fatal(err)
	}
	c := realClient(t, func(k *Config) { *k = cfg })
	for tokens.Asked.Load() < 4 { // each but the first replaces a connection
		if _, err := c.Metadata(t.Context()); err != nil {
			t.Fatalf("after %d tokens: %v", tokens.Asked.Load(), err)
		}
	}
	s.SASL.OAuth.ClientSecret = "wrong"
	if err := s.Apply(&cfg); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, cfg)
	expired := kafkatest.Tokens(t, -time.Minute)
	s.SASL.OAuth.ClientSecret, s.SASL.OAuth.TokenEndpointURL = kafkatest.Password, expired.URL
	if err := s.Apply(&cfg); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, cfg)
}
