package main

import (
	"log/slog"

	"github.com/sluice-ml/sluice/internal/config"
	"github.com/sluice-ml/sluice/internal/kafkawire"
)

// connect makes a client of the configured cluster; it contacts nobody yet. A
// file it names that cannot be read is exit code 2. log is told when files are
// read again; nil: nobody is.
func connect(cfg *config.Config, log *slog.Logger) (*kafkawire.Client, error) {
	k := cfg.Kafka
	wire := kafkawire.Config{
		Brokers: k.Brokers, ClientID: k.Tuning.ClientID, RequestTimeout: k.Tuning.RequestTimeout,
	}
	security := kafkawire.Security{
		Log: log,
		TLS: kafkawire.TLSConfig{
			Enabled: k.TLS.Enabled, CAFile: k.TLS.CAFile, CertFile: k.TLS.CertFile,
			KeyFile: k.TLS.KeyFile, ServerName: k.TLS.ServerName,
		},
		SASL: kafkawire.SASLConfig{
			Mechanism: k.SASL.Mechanism, Username: k.SASL.Username,
			PasswordFile: k.SASL.PasswordFile, Password: kafkawire.Secret(k.SASL.Password.Reveal()),
			OAuth: kafkawire.OAuthConfig{
				TokenEndpointURL: k.SASL.OAuth.TokenEndpointURL, ClientID: k.SASL.OAuth.ClientID, Scope: k.SASL.OAuth.Scope,
				ClientSecretFile: k.SASL.OAuth.ClientSecretFile, ClientSecret: kafkawire.Secret(k.SASL.OAuth.ClientSecret.Reveal()),
				CAFile: k.SASL.OAuth.CAFile,
			},
		},
	}
	if err := security.Apply(&wire); err != nil {
		return nil, usageErrorf("kafka: %w", err)
	}
	client, err := kafkawire.NewClient(wire)
	if err != nil {
		return nil, usageErrorf("kafka.brokers: %w", err)
	}
	return client, nil
}
