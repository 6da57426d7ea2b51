package kafkawire

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/sluice-ml/sluice/internal/kafkatest"
)

// authority is a CA with one server and one client certificate, as PEM files.
type authority struct {
	ca, cert, key string // paths; cert and key are the client's
	server        *tls.Config
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	dir := t.TempDir()
	caKey, ca := newCertificate(t, nil, nil)
	serverKey, server := newCertificate(t, ca, caKey)
	clientKey, client := newCertificate(t, ca, caKey)
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	keyDER, err := x509.MarshalPKCS8PrivateKey(clientKey)
	if err != nil {
		t.Fatal(err)
	}
	a := authority{
		ca: filepath.Join(dir, "ca.pem"), cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem"),
		server: &tls.Config{
			MinVersion: tls.VersionTLS12, ClientCAs: pool,
			Certificates: []tls.Certificate{{Certificate: [][]byte{server.Raw}, PrivateKey: serverKey}},
		},
	}
	writePEM(t, a.ca, "CERTIFICATE", ca.Raw)
	writePEM(t, a.cert, "CERTIFICATE", client.Raw)
	writePEM(t, a.key, "PRIVATE KEY", keyDER)
	return a
}

func newCertificate(t *testing.T, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*ecdsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC),
		BasicConstraintsValid: true, IsCA: parent == nil, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if parent == nil {
		parent, parentKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return key, cert
}

func writePEM(t *testing.T, path, kind string, der []byte) {
	t.Helper()
	writeFile(t, path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func writeFile(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// connect is what a client with this security learns of the cluster.
func connect(t *testing.T, plain *Client, s Security) error {
	t.Helper()
	cfg := Config{Brokers: plain.cfg.Brokers, Dial: plain.cfg.Dial}
	if err := s.Apply(&cfg); err != nil {
		t.Fatal(err)
	}
	c, err := NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = c.ClusterID(t.Context())
	return err
}

func TestTLSIsVerifiedAndClientCertificatesAreSent(t *testing.T) {
	t.Parallel()
	a, stranger := newAuthority(t), newAuthority(t)
	a.server.ClientAuth = tls.RequireAndVerifyClientCert
	// Over TCP: on a synchronous pipe both ends of a refused handshake wait for
	// each other.
	overLoopback(t, func(t *testing.T, c *Client) {
		t.Helper()
		good := TLSConfig{Enabled: true, CAFile: a.ca, CertFile: a.cert, KeyFile: a.key, ServerName: "localhost"}
		if err := connect(t, c, Security{TLS: good}); err != nil {
			t.Errorf("mTLS: %v", err)
		}
		bad := good
		bad.CAFile = stranger.ca
		if err := connect(t, c, Security{TLS: bad}); !errors.As(err, new(x509.UnknownAuthorityError)) {
			t.Errorf("unknown authority: %v", err)
		}
		bad = good
		bad.ServerName = "elsewhere"
		if err := connect(t, c, Security{TLS: bad}); !errors.As(err, new(x509.HostnameError)) {
			t.Errorf("other host name: %v", err)
		}
		bad = good
		bad.CertFile, bad.KeyFile = "", ""
		if err := connect(t, c, Security{TLS: bad}); err == nil {
			t.Error("no client certificate: accepted")
		}
		bad.CertFile, bad.KeyFile = stranger.cert, stranger.key
		if err := connect(t, c, Security{TLS: bad}); err == nil {
			t.Error("a stranger's client certificate: accepted")
		}
		if err := connect(t, c, Security{}); err == nil {
			t.Error("plaintext: accepted")
		}
	}, kfake.TLS(a.server))
}

func overLoopback(t *testing.T, f func(t *testing.T, c *Client), opts ...kfake.Opt) {
	t.Helper()
	_, brokers := kafkatest.Kfake(t, opts...)
	c, err := NewClient(Config{Brokers: brokers})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	f(t, c)
}

func TestSASLMechanismsAuthenticateAndWrongPasswordsAreRefused(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "password")
	writeFile(t, file, []byte("secret\r\n"))
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "scram-sha-512"} {
		t.Run(mechanism, func(t *testing.T) {
			t.Parallel()
			inVirtualTime(t, func(t *testing.T, _ *kfake.Cluster, c *Client) {
				t.Helper()
				s := SASLConfig{Mechanism: mechanism, Username: "user", PasswordFile: file}
				if err := connect(t, c, Security{SASL: s}); err != nil {
					t.Errorf("%v", err)
				}
				s.PasswordFile, s.Password = "", "wrong"
				if err := connect(t, c, Security{SASL: s}); !errors.As(err, new(*NetError)) { // kfake hangs up, a broker answers with code 58
					t.Errorf("wrong password: %v", err)
				}
			}, kfake.EnableSASL(), kfake.Superuser(strings.ToUpper(mechanism), "user", "secret"))
		})
	}
}

func TestAPasswordFileThatChangesServesNewConnections(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	file := filepath.Join(t.TempDir(), "password")
	writeFile(t, file, []byte("old\n"))
	var cfg Config
	security := Security{SASL: SASLConfig{Mechanism: "plain", Username: "user", PasswordFile: file}, Log: slog.New(slog.NewTextHandler(&log, nil))}
	if err := security.Apply(&cfg); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		do         func()
		want, said string
	}{
		{func() {}, "old", ""},
		{func() { writeFile(t, file, []byte("new\n")) }, "new", "SASL password changed"},
		{func() { writeFile(t, file, nil) }, "new", "the one before serves"},
		{func() {
			if err := os.Remove(file); err != nil {
				t.Error(err)
			}
		}, "new", "the one before serves"},
		{func() { writeFile(t, file, []byte("newest")) }, "newest", "SASL password changed"},
	} {
		step.do()
		log.Reset()
		_, first, err := cfg.SASL.Start(t.Context())
		if want := "\x00user\x00" + step.want; err != nil || string(first) != want {
			t.Errorf("logs in with %q, %v, want %q", first, err, want)
		}
		if !strings.Contains(log.String(), step.said) || strings.Contains(log.String(), step.want) || step.said == "" && log.Len() > 0 {
			t.Errorf("log %q, want %q and no password", &log, step.said)
		}
	}
}

func TestSecurityMistakesNameTheFileOrTheCure(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	writeFile(t, empty, []byte("\n"))
	user := SASLConfig{Mechanism: "plain", Username: "u", Password: "p"}
	tests := map[string]struct {
		s    Security
		want string
	}{
		"missing CA":         {Security{TLS: TLSConfig{Enabled: true, CAFile: dir + "/none"}}, dir + "/none"},
		"CA is no PEM":       {Security{TLS: TLSConfig{Enabled: true, CAFile: empty}}, empty},
		"key without cert":   {Security{TLS: TLSConfig{Enabled: true, KeyFile: a.key}}, "both files"},
		"cert without key":   {Security{TLS: TLSConfig{Enabled: true, CertFile: a.cert}}, "both files"},
		"cert and key mixed": {Security{TLS: TLSConfig{Enabled: true, CertFile: a.cert, KeyFile: newAuthority(t).key}}, a.cert},
		"files but no TLS":   {Security{TLS: TLSConfig{CAFile: a.ca}}, "not enabled"},
		"unknown mechanism":  {Security{SASL: SASLConfig{Mechanism: "gssapi"}}, "gssapi"},
		"user, no mechanism": {Security{SASL: SASLConfig{Username: "u"}}, "no mechanism"},
		"no user":            {Security{SASL: SASLConfig{Mechanism: "plain", Password: "p"}}, "username"},
		"no password":        {Security{SASL: SASLConfig{Mechanism: "plain", Username: "u"}}, "no password of SASL user"},
		"missing password":   {Security{SASL: SASLConfig{Mechanism: "plain", Username: "u", PasswordFile: dir + "/none"}}, dir + "/none"},
		"empty password":     {Security{SASL: SASLConfig{Mechanism: "plain", Username: "u", PasswordFile: empty}}, empty},
		"two passwords":      {Security{SASL: SASLConfig{Mechanism: "plain", Username: "u", PasswordFile: empty, Password: "p"}}, "twice"},
		"SCRAM characters":   {Security{SASL: SASLConfig{Mechanism: "scram-sha-256", Username: "u", Password: "hush\u0007hush"}}, "RFC 4013"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var cfg Config
			err := tt.s.Apply(&cfg)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hush") {
				t.Fatalf("error %v, want %q", err, tt.want)
			}
			if cfg.TLS != nil || cfg.SASL != nil {
				t.Fatal("applied in part")
			}
		})
	}
	var cfg Config
	if err := (Security{TLS: TLSConfig{Enabled: true}, SASL: user}).Apply(&cfg); err != nil || cfg.TLS().MinVersion != tls.VersionTLS12 || cfg.SASL.Name() != "PLAIN" {
		t.Fatalf("%+v, %v", cfg, err)
	}
}

func TestASecretIsNeverPrinted(t *testing.T) {
	t.Parallel()
	s := SASLConfig{Password: "hush"}
	var out bytes.Buffer
	slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "config", s, "password", s.Password)
	slog.New(slog.NewTextHandler(&out, nil)).Info("m", "config", s, "password", s.Password)
	if err := json.NewEncoder(&out).Encode(s); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&out, "%v %+v %#v %s %q %v", s, s, s, s.Password, s.Password, &s)
	if text := out.String(); strings.Contains(text, "hush") || !strings.Contains(text, masked) {
		t.Fatal(text)
	}
	if s.Password.Reveal() != "hush" || Secret("").String() != "" {
		t.Fatal("a secret is not what it was")
	}
}
