package kafkawire

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// rotating is a server whose certificate and trusted clients can be replaced. It
// counts handshakes.
type rotating struct {
	server     atomic.Pointer[tls.Config]
	handshakes atomic.Int32
}

func (r *rotating) use(a authority) {
	cfg := a.server.Clone()
	cfg.ClientAuth = tls.RequireAndVerifyClientCert
	cfg.VerifyConnection = func(tls.ConnectionState) error { r.handshakes.Add(1); return nil }
	r.server.Store(cfg)
}

// replaceFile gives a file another content and another time, even where the
// clock of the file system is coarse.
func replaceFile(t *testing.T, path string, content []byte, age time.Duration) {
	t.Helper()
	writeFile(t, path, content)
	then := time.Now().Add(-age)
	if err := os.Chtimes(path, then, then); err != nil {
		t.Fatal(err)
	}
}

func (a authority) read(t *testing.T) (ca, cert, key []byte) {
	t.Helper()
	for path, into := range map[string]*[]byte{a.ca: &ca, a.cert: &cert, a.key: &key} {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		*into = b
	}
	return ca, cert, key
}

func TestChangedTLSFilesServeNewConnectionsAndOldOnesGoOn(t *testing.T) {
	t.Parallel()
	first, second := newAuthority(t), newAuthority(t)
	r := &rotating{}
	r.use(first)
	server := &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return r.server.Load(), nil }}
	overLoopback(t, func(t *testing.T, plain *Client) {
		t.Helper()
		var logged bytes.Buffer
		cfg := Config{Brokers: plain.cfg.Brokers}
		s := Security{
			TLS: TLSConfig{Enabled: true, CAFile: first.ca, CertFile: first.cert, KeyFile: first.key, ServerName: "localhost"},
			Log: slog.New(slog.NewTextHandler(&logged, nil)),
		}
		if err := s.Apply(&cfg); err != nil {
			t.Fatal(err)
		}
		c, err := NewClient(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		ask := func(when string, isNew bool) {
			t.Helper()
			before := r.handshakes.Load()
			if _, err := c.Metadata(t.Context()); err != nil {
				t.Fatalf("%s: %v", when, err)
			}
			if n := r.handshakes.Load() - before; (n > 0) != isNew {
				t.Fatalf("%s: %d handshakes, new is %v", when, n, isNew)
			}
		}
		reconnect := func() {
			c.mu.Lock()
			var peers []*peer
			for _, p := range c.peers {
				peers = append(peers, p)
			}
			c.mu.Unlock()
			for _, p := range peers {
				c.discard(p)
			}
		}
		ask("first connection", true)

		r.use(second)
		ca, cert, key := second.read(t)
		replaceFile(t, first.ca, ca, 3*time.Hour)
		replaceFile(t, first.cert, cert, 3*time.Hour)
		ask("open connection, files half replaced", false)
		replaceFile(t, first.key, key, 3*time.Hour)
		ask("open connection, files replaced", false)
		reconnect()
		ask("new connection", true)
		if !strings.Contains(logged.String(), "used from now on") {
			t.Errorf("the log does not tell:\n%s", &logged)
		}

		logged.Reset()
		replaceFile(t, first.key, []byte("no key"), 2*time.Hour)
		reconnect()
		ask("broken key", true)
		reconnect()
		ask("broken key, again", true)
		if err := os.Remove(first.ca); err != nil {
			t.Fatal(err)
		}
		reconnect()
		ask("no authority", true)
		if text := logged.String(); strings.Count(text, "level=WARN") != 2 || !strings.Contains(text, first.key) || !strings.Contains(text, first.ca) {
			t.Errorf("want one warning for each change, with the file:\n%s", text)
		}

		r.use(newAuthority(t)) // which nothing here trusts
		reconnect()
		if _, err := c.Metadata(t.Context()); err == nil || !strings.Contains(err.Error(), (x509.UnknownAuthorityError{}).Error()) {
			t.Errorf("a stranger's server: %v", err)
		}
	}, kfake.TLS(server))
}
