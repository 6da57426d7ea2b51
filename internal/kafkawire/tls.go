package kafkawire

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"sync"
)

// TLSConfig is TLS 1.2 or later. CAFile is a PEM bundle; "" is the system's.
// CertFile and KeyFile, both PEM, are for brokers that ask for a client
// certificate. ServerName is checked instead of the broker's host name. The
// files are read again for a new connection when they have changed; those that
// are open go on.
type TLSConfig struct {
	Enabled                               bool
	CAFile, CertFile, KeyFile, ServerName string
}

// source reads the files and returns what gives each new connection its
// settings; nil without TLS.
func (t TLSConfig) source(log *slog.Logger) (func() *tls.Config, error) {
	if !t.Enabled {
		if t.CAFile != "" || t.CertFile != "" || t.KeyFile != "" {
			return nil, errors.New("TLS files are given but TLS is not enabled: enable it, or take the files out")
		}
		return nil, nil
	}
	f := &tlsFiles{cfg: t, log: log}
	f.seen = f.look()
	var err error
	if f.current, err = t.read(); err != nil {
		return nil, err
	}
	return f.latest, nil
}

// tlsFiles keeps what was last read of the files. Safe for concurrent use.
type tlsFiles struct {
	cfg TLSConfig
	log *slog.Logger

	mu      sync.Mutex
	seen    [3]fs.FileInfo // as they were when they were last tried; nil: not there
	current *tls.Config    // never changed, only replaced
}

// look is called before a read, so that what changes meanwhile is read again.
func (f *tlsFiles) look() (infos [3]fs.FileInfo) {
	for i, path := range []string{f.cfg.CAFile, f.cfg.CertFile, f.cfg.KeyFile} {
		if path != "" {
			infos[i], _ = os.Stat(path) // of the file that a link leads to: Kubernetes swaps links
		}
	}
	return infos
}

// latest reads the files again when one has another time, size or identity than
// before. Certificate and key are replaced one after the other: until they match
// the ones before are used.
func (f *tlsFiles) latest() *tls.Config {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.look()
	if sameFiles(f.seen, now) {
		return f.current
	}
	f.seen = now
	cfg, err := f.cfg.read()
	if err != nil {
		f.log.Warn("changed TLS files cannot be used, the ones before are kept", "error", err)
		return f.current
	}
	f.log.Info("changed TLS files are used from now on", "ca_file", f.cfg.CAFile, "cert_file", f.cfg.CertFile, "key_file", f.cfg.KeyFile)
	f.current = cfg
	return cfg
}

func sameFiles(a, b [3]fs.FileInfo) bool {
	for i := range a {
		if (a[i] == nil) != (b[i] == nil) {
			return false
		}
		if a[i] != nil && (!os.SameFile(a[i], b[i]) || a[i].Size() != b[i].Size() || !a[i].ModTime().Equal(b[i].ModTime())) {
			return false
		}
	}
	return true
}

func (t TLSConfig) read() (*tls.Config, error) {
	authorities, err := certPool(t.CAFile, "")
	if err != nil {
		return nil, err
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName, RootCAs: authorities}
	if (t.CertFile == "") != (t.KeyFile == "") {
		return nil, fmt.Errorf("a client certificate needs both files: certificate %q, key %q", t.CertFile, t.KeyFile)
	}
	if t.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("read the client certificate %s with the key %s: %w", t.CertFile, t.KeyFile, err)
		}
		cfg.Certificates = []tls.Certificate{cert}
	}
	return cfg, nil
}

// certPool reads a PEM bundle; nil, the system's, without a path. of says whose it is
// in an error.
func certPool(path, of string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the CA file%s: %w", of, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("CA file %s%s holds no PEM certificate (a line -----BEGIN CERTIFICATE-----)", path, of)
	}
	return pool, nil
}

// dial opens a connection for a pool: through TLS, and logged in, where that is
// configured. kafka-go would keep the TLS settings of the first one for good.
func (c *Client) dial(ctx context.Context, network, addr string, p *pool) (net.Conn, error) {
	conn, err := c.cfg.Dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	secured := conn
	if c.cfg.TLS != nil {
		secured, err = c.encrypt(ctx, conn, addr)
	}
	if err == nil && c.cfg.SASL != nil {
		err = c.login(ctx, secured, p)
	}
	if err != nil {
		_ = conn.Close() // the first error is the one to tell
		return nil, err
	}
	return secured, nil
}

func (c *Client) encrypt(ctx context.Context, conn net.Conn, addr string) (net.Conn, error) {
	cfg := c.cfg.TLS()
	if cfg.ServerName == "" {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, fmt.Errorf("host of %q: %w", addr, err)
		}
		cfg = cfg.Clone()
		cfg.ServerName = host
	}
	encrypted := tls.Client(conn, cfg)
	return encrypted, encrypted.HandshakeContext(ctx)
}
