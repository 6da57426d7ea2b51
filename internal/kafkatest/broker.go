package kafkatest

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"strings"
	"testing"
)

// The names under which a test run is told where its broker is.
const (
	EnvBrokers     = "KAFKA_BROKERS"      // plaintext, comma-separated
	EnvTLSBrokers  = "KAFKA_TLS_BROKERS"  // TLS
	EnvSASLBrokers = "KAFKA_SASL_BROKERS" // TLS and SASL: SCRAM-SHA-256, SCRAM-SHA-512, PLAIN
	EnvMTLSBrokers = "KAFKA_MTLS_BROKERS" // TLS with a client certificate
	EnvCAFile      = "KAFKA_CA_FILE"
	EnvCertFile    = "KAFKA_CERT_FILE"
	EnvKeyFile     = "KAFKA_KEY_FILE"
	EnvJars        = "KAFKA_JARS" // folder with the Java client
)

// User and Password are the credentials that deploy/kafka/broker.sh sets up for
// every SASL mechanism. The password occurs nowhere else, so that the tests can
// look for it in all that sluice writes.
const (
	User     = "user"
	Password = "canary-d41b8c"
)

// Brokers gives the addresses of the real broker. Without one the test fails,
// with the cure.
func Brokers(tb testing.TB) []string {
	tb.Helper()
	return brokers(tb, EnvBrokers)
}

// TLSBrokers gives the TLS listener's addresses and the file of the authority
// that clients must trust.
func TLSBrokers(tb testing.TB) (addresses []string, caFile string) {
	tb.Helper()
	return brokers(tb, EnvTLSBrokers), value(tb, EnvCAFile)
}

// SASLBrokers gives the addresses of the listener with TLS and SASL (User,
// Password), and the authority's file.
func SASLBrokers(tb testing.TB) (addresses []string, caFile string) {
	tb.Helper()
	return brokers(tb, EnvSASLBrokers), value(tb, EnvCAFile)
}

// MTLSBrokers gives the addresses of the listener that asks for a client
// certificate, and the files to use there.
func MTLSBrokers(tb testing.TB) (addresses []string, caFile, certFile, keyFile string) {
	tb.Helper()
	return brokers(tb, EnvMTLSBrokers), value(tb, EnvCAFile), value(tb, EnvCertFile), value(tb, EnvKeyFile)
}

// TLSConfig trusts the authority of caFile and no other.
func TLSConfig(tb testing.TB, caFile string) *tls.Config {
	tb.Helper()
	pem, err := os.ReadFile(caFile)
	if err != nil {
		tb.Fatalf("read the broker's authority: %v", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		tb.Fatalf("%s holds no certificate", caFile)
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}

func brokers(tb testing.TB, name string) []string {
	tb.Helper()
	return strings.Split(value(tb, name), ",")
}

// value reads one name of the environment. Where the caller brought a broker of
// their own without, say, a TLS listener, the tests that need one are skipped
// (deploy/kafka/broker.sh says so before the run); in CI nothing is.
func value(tb testing.TB, name string) string {
	tb.Helper()
	v := os.Getenv(name)
	switch {
	case v != "":
	case name != EnvBrokers && os.Getenv(EnvBrokers) != "" && os.Getenv("CI") != "true":
		tb.Skipf("%s is not set, and KAFKA_BROKERS names a broker of yours", name)
	default:
		tb.Fatalf("%s is not set, and this test needs a real Kafka.\n"+
			"`make test` starts one; by hand: export $(deploy/kafka/broker.sh start) and, afterwards, deploy/kafka/broker.sh stop.", name)
	}
	return v
}
