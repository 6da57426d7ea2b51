package kafkawire

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"github.com/segmentio/kafka-go/sasl"
)

// Config says where a cluster is and how to talk to it.
type Config struct {
	// Brokers are the bootstrap addresses, host:port, already split.
	Brokers []string
	// TLS is nil for plaintext.
	TLS *tls.Config
	// SASL is nil for none.
	SASL sasl.Mechanism
	// ClientID is what brokers log and count quotas by; default "sluice".
	ClientID string
	// Dial opens connections; nil is a net.Dialer with a timeout of 5 s and keep-alive.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// RequestTimeout is added to calls whose context has no deadline; default 10 s.
	RequestTimeout time.Duration
	// MaxResponse is the largest answer that is read, in bytes; default 256 MiB.
	MaxResponse int
}

// Client sends requests to the brokers of one cluster. Safe for concurrent use.
type Client struct {
	cfg Config
}
