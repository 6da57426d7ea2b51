package config

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

func setSecurityProtocol(c *Config, v string) error {
	switch strings.ToUpper(v) {
	case "PLAINTEXT", "SASL_PLAINTEXT":
		c.Kafka.TLS.Enabled = false
	case "SSL", "SASL_SSL":
		c.Kafka.TLS.Enabled = true
	default:
		return fmt.Errorf("unknown value %q; allowed: PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL", v)
	}
	return nil
}

func setMechanism(c *Config, v string) error {
	switch m := strings.ToLower(v); m {
	case "plain", "scram-sha-256", "scram-sha-512", oauthbearer:
		c.Kafka.SASL.Mechanism = m
		return nil
	default:
		return fmt.Errorf("mechanism %q is not spoken; allowed: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER", v)
	}
}

// loginModule is a JAAS line: class, flag, name="value" options, semicolon.
var (
	loginModule = regexp.MustCompile(`^\s*([\w.$]+)\s+(required|requisite|sufficient|optional)\s+(.*?)\s*;?\s*$`)
	loginOption = regexp.MustCompile(`(\w+)\s*=\s*("(?:[^"\\]|\\.)*"|'[^']*'|[^\s;"']+)`)
)

// setJAAS takes user and password out of a Java login line. Its errors never
// repeat the value: it holds the password.
func setJAAS(c *Config, v string) error {
	parts := loginModule.FindStringSubmatch(strings.ReplaceAll(v, "\n", " "))
	if parts == nil {
		return errors.New("no JAAS line; write PlainLoginModule required username=\"...\" password=\"...\"; or use kafka.sasl.username and password_file")
	}
	class := parts[1][strings.LastIndexByte(parts[1], '.')+1:]
	if class == "OAuthBearerLoginModule" {
		return setOAuthJAAS(c, parts[3])
	}
	if class != "PlainLoginModule" && class != "ScramLoginModule" {
		return fmt.Errorf("login module %s is not spoken; allowed: PlainLoginModule, ScramLoginModule, OAuthBearerLoginModule", class)
	}
	var username, password string
	for _, option := range loginOption.FindAllStringSubmatch(parts[3], -1) {
		switch value := unquote(option[2]); option[1] {
		case "username":
			username = value
		case "password":
			password = value
		}
	}
	if username == "" || password == "" {
		return errors.New("the JAAS line names no username or no password; write both, each in quotes")
	}
	c.Kafka.SASL.Username, c.Kafka.SASL.Password = username, Secret(password)
	if c.Kafka.SASL.Mechanism == "" && class == "PlainLoginModule" {
		c.Kafka.SASL.Mechanism = "plain"
	}
	return nil
}

// setOAuthJAAS takes the options that Java's client had before KIP-1139 gave
// them properties of their own.
func setOAuthJAAS(c *Config, options string) error {
	o := &c.Kafka.SASL.OAuth
	for _, option := range loginOption.FindAllStringSubmatch(options, -1) {
		switch value := unquote(option[2]); option[1] {
		case "clientId":
			o.ClientID = value
		case "clientSecret":
			o.ClientSecret = Secret(value)
		case "scope":
			o.Scope = value
		}
	}
	if c.Kafka.SASL.Mechanism == "" {
		c.Kafka.SASL.Mechanism = oauthbearer
	}
	return nil
}

const oauthbearer = "oauthbearer"

// validateSASL wants what the mechanism needs, whole.
func (l *loader) validateSASL() {
	k := &l.cfg.Kafka
	s, o := k.SASL, k.SASL.OAuth
	user := s.Username != "" || s.PasswordFile != "" || s.Password != ""
	client := o != OAuth{}
	switch {
	case s.Mechanism == "" && user:
		l.problem(l.where("kafka.sasl"), "kafka.sasl", "a user without a mechanism; set mechanism: plain, scram-sha-256 or scram-sha-512")
	case s.Mechanism != oauthbearer && client:
		l.problem(l.where("kafka.sasl.oauthbearer"), "kafka.sasl.oauthbearer", "is set while the mechanism is another; set kafka.sasl.mechanism: oauthbearer")
	case s.Mechanism == oauthbearer && user:
		l.problem(l.where("kafka.sasl"), "kafka.sasl", "oauthbearer has no user and password; set oauthbearer.client_id and client_secret_file")
	case s.Mechanism == oauthbearer:
		l.validateOAuth()
	case s.Mechanism != "" && (s.Username == "" || (s.PasswordFile == "" && s.Password == "")):
		l.problem(l.where("kafka.sasl.mechanism"), "kafka.sasl", s.Mechanism+" needs a user and a password; set username and password_file")
	}
	if (s.Mechanism == "plain" || s.Mechanism == oauthbearer) && !k.TLS.Enabled {
		l.warn(l.where("kafka.sasl.mechanism"), "kafka.sasl.mechanism", "%s without TLS sends the %s in the clear", s.Mechanism, map[bool]string{true: "token", false: "password"}[s.Mechanism == oauthbearer])
	}
}

func (l *loader) validateOAuth() {
	const section = "kafka.sasl.oauthbearer"
	o := l.cfg.Kafka.SASL.OAuth
	if o.TokenEndpointURL == "" || o.ClientID == "" || (o.ClientSecretFile == "" && o.ClientSecret == "") {
		l.problem(l.where(section), section, "oauthbearer needs a token endpoint and a client; set token_endpoint_url, client_id and client_secret_file")
		return
	}
	endpoint, err := url.Parse(o.TokenEndpointURL)
	if err != nil || (endpoint.Scheme != "https" && endpoint.Scheme != "http") || endpoint.Host == "" || endpoint.User != nil {
		l.problem(l.where(section+".token_endpoint_url"), section+".token_endpoint_url", "is no URL of a token endpoint; write https://host/path, without user and password")
		return
	}
	if endpoint.Scheme == "http" {
		l.warn(l.where(section+".token_endpoint_url"), section+".token_endpoint_url", "http sends the client's secret in the clear")
	}
}

func unquote(text string) string {
	if len(text) >= 2 && (text[0] == '"' || text[0] == '\'') {
		text = text[1 : len(text)-1]
	}
	return strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(text)
}

// checkProtocol holds security.protocol against the mechanism: a cluster that
// wants a login answers an anonymous client with a dropped connection only.
func checkProtocol(c *Config) error {
	protocol := strings.ToUpper(c.Kafka.Properties["security.protocol"])
	switch login := strings.HasPrefix(protocol, "SASL_"); {
	case login && c.Kafka.SASL.Mechanism == "":
		return fmt.Errorf("%s needs a mechanism; set kafka.sasl or sasl.mechanism", protocol)
	case !login && protocol != "" && c.Kafka.SASL.Mechanism != "":
		return fmt.Errorf("%s has no login, but a mechanism is set; write SASL_%s", protocol, protocol)
	}
	return nil
}

// secretProperties hold passwords; their values are masked once they are read.
var secretProperties = []string{"sasl.jaas.config", "sasl.oauthbearer.client.credentials.client.secret", "sasl.oauthbearer.client.secret", "sasl.password", "ssl.key.password", "ssl.keystore.password", "ssl.truststore.password"}

func maskProperties(values map[string]string) {
	for _, name := range secretProperties {
		if _, ok := values[name]; ok {
			values[name] = masked
		}
	}
}
