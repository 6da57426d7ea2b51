package kafkawire

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"

	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
)

// Security says how connections are encrypted and who we are.
type Security struct {
	TLS  TLSConfig
	SASL SASLConfig
	// Log is told when changed files are taken over, or cannot be; nil: nobody is.
	Log *slog.Logger
}

// SASLConfig is a user and a password, given directly or in a file whose last
// line break is ignored. Mechanism is plain, scram-sha-256, scram-sha-512, or
// oauthbearer, which has OAuth instead; "" is no SASL.
type SASLConfig struct {
	Mechanism, Username, PasswordFile string
	Password                          Secret
	OAuth                             OAuthConfig
}

// Secret is a string that prints as ***.
type Secret string

const masked = "***"

// String implements fmt.Stringer.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return masked
}

// GoString implements fmt.GoStringer.
func (s Secret) GoString() string { return `"` + s.String() + `"` }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText implements encoding.TextMarshaler.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Reveal is the secret itself.
func (s Secret) Reveal() string { return string(s) }

// Apply reads the files and sets cfg.TLS and cfg.SASL.
func (s Security) Apply(cfg *Config) error {
	log := s.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	tlsConfig, err := s.TLS.source(log)
	if err != nil {
		return err
	}
	mechanism, err := s.SASL.mechanism(log)
	if err != nil {
		return err
	}
	cfg.TLS, cfg.SASL = tlsConfig, mechanism
	return nil
}

func (s SASLConfig) mechanism(log *slog.Logger) (sasl.Mechanism, error) {
	name := strings.ToLower(s.Mechanism)
	if name == "" {
		if s.Username != "" || s.PasswordFile != "" || s.Password != "" {
			return nil, errors.New("a SASL user or password is given but no mechanism: plain, scram-sha-256, scram-sha-512 or oauthbearer")
		}
		return nil, nil
	}
	if name == mechanismOAuth {
		if s.Username != "" || s.PasswordFile != "" || s.Password != "" {
			return nil, errors.New("SASL oauthbearer takes a client id and secret, no user and password")
		}
		t, err := s.OAuth.mechanism(log)
		if err != nil {
			return nil, err
		}
		return t, nil
	}
	if name != "plain" && name != "scram-sha-256" && name != "scram-sha-512" {
		return nil, fmt.Errorf("SASL mechanism %q is none of plain, scram-sha-256, scram-sha-512, oauthbearer", s.Mechanism)
	}
	if s.Username == "" {
		return nil, fmt.Errorf("SASL %s needs a username", name)
	}
	password, err := s.password()
	if err != nil {
		return nil, err
	}
	m, err := s.with(password)
	if err != nil || s.PasswordFile == "" {
		return m, err
	}
	return &passwordFile{cfg: s, log: log, name: m.Name(), password: password, mechanism: m}, nil
}

// with is the mechanism with a password.
func (s SASLConfig) with(password string) (sasl.Mechanism, error) {
	switch strings.ToLower(s.Mechanism) {
	case "plain":
		return plain.Mechanism{Username: s.Username, Password: password}, nil
	case "scram-sha-256":
		return scramMechanism(scram.SHA256, s.Username, password)
	default:
		return scramMechanism(scram.SHA512, s.Username, password)
	}
}

// passwordFile is a mechanism whose password is read from its file for each new
// connection, so that one that rotates needs no restart. While the file cannot be read
// the password before serves, with a warning. Safe for concurrent use.
type passwordFile struct {
	cfg  SASLConfig
	log  *slog.Logger
	name string

	mu        sync.Mutex
	password  string
	mechanism sasl.Mechanism
}

var _ sasl.Mechanism = (*passwordFile)(nil)

// Name implements sasl.Mechanism.
func (f *passwordFile) Name() string { return f.name }

// Start implements sasl.Mechanism.
func (f *passwordFile) Start(ctx context.Context) (sasl.StateMachine, []byte, error) {
	return f.present().Start(ctx)
}

// present is the mechanism with the password that the file has now.
func (f *passwordFile) present() sasl.Mechanism {
	f.mu.Lock()
	defer f.mu.Unlock()
	password, err := f.cfg.password()
	if err == nil && password == f.password {
		return f.mechanism
	}
	var m sasl.Mechanism
	if err == nil {
		m, err = f.cfg.with(password)
	}
	if err != nil {
		f.log.Warn("SASL password not read again, the one before serves", "username", f.cfg.Username, "file", f.cfg.PasswordFile, "error", err)
		return f.mechanism
	}
	f.log.Info("SASL password changed", "username", f.cfg.Username, "file", f.cfg.PasswordFile)
	f.password, f.mechanism = password, m
	return m
}

func (s SASLConfig) password() (string, error) {
	return secretOf(fmt.Sprintf("password of SASL user %q", s.Username), s.Password, s.PasswordFile)
}

// secretOf is a secret given directly or as a file, whose last line break is
// ignored.
func secretOf(what string, direct Secret, file string) (string, error) {
	if file == "" {
		if direct == "" {
			return "", fmt.Errorf("no %s: name a file that holds it", what)
		}
		return direct.Reveal(), nil
	}
	if direct != "" {
		return "", fmt.Errorf("the %s is given twice: directly and as a file", what)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read the %s: %w", what, err)
	}
	secret := strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	if secret == "" {
		return "", fmt.Errorf("file %s with the %s is empty", file, what)
	}
	return secret, nil
}

func scramMechanism(algorithm scram.Algorithm, user, password string) (sasl.Mechanism, error) {
	m, err := scram.Mechanism(algorithm, user, password)
	if err != nil { // SASLprep refuses the characters; the text of the error may hold them
		return nil, fmt.Errorf("SASL user %q: name or password has characters that SCRAM does not allow (RFC 4013)", user)
	}
	return m, nil
}
