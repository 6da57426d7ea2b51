package config

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// props loads a configuration with one property per argument, name=value.
func props(t *testing.T, pairs ...string) (*Config, Problems, error) {
	t.Helper()
	sets := make([]string, len(pairs))
	for i, p := range pairs {
		sets[i] = "kafka.properties." + p
	}
	return Load(Options{Path: minimal(t, ""), Sets: sets})
}

func TestPropertiesSetKeys(t *testing.T) {
	t.Parallel()
	cfg, warnings, err := props(t,
		"bootstrap.servers=a:1,b:2", "security.protocol=SASL_SSL", "sasl.mechanism=SCRAM-SHA-512",
		`sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="ann" password="p\"w=;";`,
		"ssl.ca.location=/ca.pem", "auto.offset.reset=latest", "isolation.level=read_uncommitted",
		"session.timeout.ms=20000", "linger.ms=5", "compression.type=zstd", "fetch.max.wait.ms=250",
		"acks=all", "enable.idempotence=true", "enable.auto.commit=false", "client.id=me", "batch.size=65536")
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	got := fmt.Sprint(cfg.Kafka.Brokers, cfg.Kafka.TLS.Enabled, cfg.Kafka.TLS.CAFile, cfg.Kafka.SASL.Mechanism, cfg.Kafka.SASL.Username,
		cfg.Kafka.SASL.Password.Reveal(), cfg.Input.Start, cfg.Input.OutOfRange, cfg.Input.Isolation, cfg.Input.SessionTimeout,
		cfg.Output.Linger, cfg.Output.Compression, cfg.Kafka.Tuning.FetchMaxWait, cfg.Kafka.Tuning.ClientID, cfg.Kafka.Tuning.BatchBytes)
	want := fmt.Sprint([]string{"a:1", "b:2"}, true, "/ca.pem", "scram-sha-512", "ann", `p"w=;`,
		"latest", "stop", "read_uncommitted", 20*time.Second, 5*time.Millisecond, "zstd", 250*time.Millisecond, "me", 65536)
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestPropertyAndKeyForOneSettingIsAnError(t *testing.T) {
	t.Parallel()
	_, _, err := Load(Options{
		Path: minimal(t, "kafka: {properties: {session.timeout.ms: 9000, group.id: g2}}\n"), Environ: []string{"SLUICE_INPUT_SESSION_TIMEOUT=8s"},
	})
	if err == nil || !strings.Contains(err.Error(), "input.session_timeout is set too (environment SLUICE_INPUT_SESSION_TIMEOUT); keep one of them") ||
		!strings.Contains(err.Error(), "input.group is set too") {
		t.Error(err)
	}
}

func TestMeaninglessPropertiesWarn(t *testing.T) {
	t.Parallel()
	_, warnings, err := props(t, "max.poll.records=500", "auto.ofset.reset=latest", "quux=1")
	if err != nil || len(warnings) != 3 {
		t.Fatal(err, warnings)
	}
	all := warnings.Error()
	for _, want := range []string{
		"kafka.properties.max.poll.records: has no meaning here: see input.max_in_flight",
		`unknown property "auto.ofset.reset", ignored; did you mean "auto.offset.reset"?`,
		`unknown property "quux", ignored`,
	} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in\n%s", want, all)
		}
	}
}

func TestEveryPropertyHasOneMeaning(t *testing.T) {
	t.Parallel()
	for name, p := range properties {
		if (p.meaningless == "") == (p.apply == nil) {
			t.Errorf("%s: wants either a meaning or a reason for having none", name)
		}
		for _, k := range p.keys {
			if _, ok := keyAt(k); !ok {
				t.Errorf("%s sets %s, which is no key", name, k)
			}
		}
	}
}

func TestSecretsPrintAsStars(t *testing.T) {
	t.Parallel()
	const canary = "hunter2canary"
	cfg, _, err := props(t, "security.protocol=SASL_SSL", "sasl.jaas.config=x.PlainLoginModule required username=u password="+canary+";")
	if err != nil || cfg.Kafka.SASL.Password.Reveal() != canary {
		t.Fatal(err, "password not read")
	}
	asJSON, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	all := string(asJSON)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		all += fmt.Sprintf(verb, *cfg)
	}
	if strings.Contains(all, canary) || strings.Contains(all, fmt.Sprintf("%x", canary)) {
		t.Error("the password is printed")
	}
	if !strings.Contains(all, "***") {
		t.Error("no *** where the password is")
	}
	for _, bad := range []string{
		"sasl.jaas.config=" + canary, "sasl.jaas.config=x.KerberosModule required password=" + canary,
		"sasl.jaas.config=x.PlainLoginModule required password=" + canary, "sasl.mechanism=GSSAPI",
	} {
		if _, _, err := props(t, bad); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%v: want an error without the password", err)
		}
	}
}

func TestOAuthByPropertiesOfOtherClients(t *testing.T) {
	t.Parallel()
	const canary = "hunter2canary"
	want := OAuth{TokenEndpointURL: "https://id/token", ClientID: "c", ClientSecret: canary, Scope: "kafka"}
	for name, pairs := range map[string][]string{
		"Java, KIP-1139": {"sasl.mechanism=OAUTHBEARER", "sasl.oauthbearer.client.credentials.client.id=c", "sasl.oauthbearer.client.credentials.client.secret=" + canary, "sasl.oauthbearer.scope=kafka"},
		"Java, KIP-768":  {`sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required clientId="c" clientSecret="` + canary + `" scope="kafka";`},
		"librdkafka":     {"sasl.mechanisms=OAUTHBEARER", "sasl.oauthbearer.method=oidc", "sasl.oauthbearer.client.id=c", "sasl.oauthbearer.client.secret=" + canary, "sasl.oauthbearer.scope=kafka"},
	} {
		cfg, warnings, err := props(t, append(pairs, "security.protocol=SASL_SSL", "sasl.oauthbearer.token.endpoint.url=https://id/token")...)
		if err != nil || len(warnings) > 0 || cfg.Kafka.SASL.OAuth != want || cfg.Kafka.SASL.Mechanism != "oauthbearer" {
			t.Errorf("%s: %v, %v", name, warnings, err)
			continue
		}
		if all := fmt.Sprintf("%v %+v %#v", *cfg, *cfg, cfg.Kafka); strings.Contains(all, canary) {
			t.Errorf("%s: the secret is printed: %s", name, all)
		}
	}
	for want, pairs := range map[string][]string{
		"needs a token endpoint": {"sasl.mechanism=OAUTHBEARER", "sasl.oauthbearer.client.secret=" + canary},
		"no URL":                 {"sasl.mechanism=OAUTHBEARER", "sasl.oauthbearer.client.id=c", "sasl.oauthbearer.client.secret=" + canary, "sasl.oauthbearer.token.endpoint.url=https://u:" + canary + "@id/"},
		"no user and password":   {"sasl.mechanism=OAUTHBEARER", "sasl.username=u"},
		"mechanism is another":   {"sasl.mechanism=PLAIN", "sasl.username=u", "sasl.password=p", "sasl.oauthbearer.client.id=c"},
	} {
		if _, _, err := props(t, append(pairs, "security.protocol=SASL_SSL")...); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), canary) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	if _, warnings, err := props(t, "security.protocol=SASL_SSL", "sasl.mechanism=OAUTHBEARER", "sasl.oauthbearer.client.id=c", "sasl.oauthbearer.client.secret=s", "sasl.oauthbearer.token.endpoint.url=http://id/token"); err != nil || len(warnings) != 1 {
		t.Errorf("http: %v, %v; want one warning", warnings, err)
	}
}

func TestSizesReadAndPrint(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Size{"64MiB": 64 << 20, "1.5KiB": 1536, "200kB": 200000, "12": 12, "7B": 7, "1GiB": 1 << 30} {
		got, err := ParseSize(text)
		if err != nil || got != want {
			t.Errorf("%s = %d, %v", text, got, err)
		}
		if again, err := ParseSize(got.String()); err != nil || again != got {
			t.Errorf("%s prints as %s", text, got)
		}
	}
	for _, text := range []string{"", "x", "-1MiB", "1 elephant", "9999999TiB", "NaN"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("%q = %d, want an error", text, got)
		}
	}
}

func TestPropertyListIsDocumented(t *testing.T) {
	t.Parallel()
	const file = "../../deploy/config/PROPERTIES.md"
	var b strings.Builder
	b.WriteString("# Kafka properties\n\nNames of Java clients and librdkafka that `kafka.properties` accepts, and what they do here. A name that is not\n" +
		"in this list warns and does nothing. A key and a property for one setting is an error. Held equal to the code by a test.\n\n" +
		"| property | here |\n| --- | --- |\n")
	for _, name := range propertyNames() {
		b.WriteString("| `" + name + "` | " + properties[name].describe() + " |\n")
	}
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b.String(), string(got)); diff != "" {
		t.Errorf("run the tests with -update: %s", diff)
	}
}

// describe is what the list says of a property.
func (p property) describe() string {
	switch {
	case p.meaningless != "":
		return "warns: " + p.meaningless
	case p.refused:
		return "error: " + p.why
	case p.only != nil:
		return "only `" + strings.Join(p.only, "` or `") + "`: " + strings.TrimSuffix(p.why, "; remove it")
	case p.why != "":
		return "anything but `0`: " + strings.TrimSuffix(p.why, "; remove it")
	case len(p.keys) > 0:
		return "sets `" + strings.Join(p.keys, "`, `") + "`"
	default:
		return "tunes requests; there is no key for it"
	}
}
