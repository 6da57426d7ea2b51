package config

import (
	"errors"
	"fmt"
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
	case "plain", "scram-sha-256", "scram-sha-512":
		c.Kafka.SASL.Mechanism = m
		return nil
	default:
		return fmt.Errorf("mechanism %q is not spoken; allowed: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512", v)
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
	if class != "PlainLoginModule" && class != "ScramLoginModule" {
		return fmt.Errorf("login module %s is not spoken; allowed: PlainLoginModule, ScramLoginModule", class)
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
var secretProperties = []string{"sasl.jaas.config", "sasl.password", "ssl.key.password", "ssl.keystore.password", "ssl.truststore.password"}

func maskProperties(values map[string]string) {
	for _, name := range secretProperties {
		if _, ok := values[name]; ok {
			values[name] = masked
		}
	}
}
