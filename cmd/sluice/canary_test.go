package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"sync"
	"testing"

	"github.com/sluice-ml/sluice/internal/config"
	"github.com/sluice-ml/sluice/internal/kafkatest"
	"github.com/sluice-ml/sluice/schemas"
)

// Every test's output passes overhear: logs, what commands print, pages of the
// admin port, and the records that are written. canary is in every secret of
// the tests, so TestMain can say after all of them that none was told.
const canary = kafkatest.Password

var heard struct {
	sync.Mutex
	leaks []string
}

func overhear(where string, text []byte) {
	heard.Lock()
	defer heard.Unlock()
	for _, form := range canaryForms {
		if i := bytes.Index(text, form); i >= 0 {
			heard.leaks = append(heard.leaks, where+": "+string(text[max(i-80, 0):min(i+80, len(text))]))
		}
	}
}

// canaryForms are the canary as it is, in hex, and in base64 at any offset.
var canaryForms = func() [][]byte {
	forms := [][]byte{[]byte(canary), []byte(hex.EncodeToString([]byte(canary)))}
	for offset := range 3 {
		text := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("-", offset) + canary + "---"))
		forms = append(forms, []byte(text[4:16])) // whole groups of three within
	}
	return forms
}()

func overheard(records []schemas.Record) []schemas.Record {
	for i := range records {
		overhear("key of "+records[i].Topic, records[i].Key)
		overhear("value of "+records[i].Topic, records[i].Value)
		for _, h := range records[i].Headers {
			overhear("header "+h.Key+" of "+records[i].Topic, h.Value)
		}
	}
	return records
}

func leaked() string {
	heard.Lock()
	defer heard.Unlock()
	return strings.Join(heard.leaks, "\n")
}

// The mistakes that people make with secrets, each told without it.
func TestMistakesWithSecretsAreToldWithoutThem(t *testing.T) {
	t.Parallel()
	file := configFile(t, "127.0.0.1:1")
	for _, set := range []string{
		"kafka.sasl.password=" + canary, "kafka.sasl.oauthbearer.client_secret=" + canary,
		"kafka.properties.sasl.pasword=" + canary, "kafka.properties.sasl.jaas.config=" + canary,
		"kafka.properties.sasl.jaas.config=x.Krb5LoginModule required password=" + canary, "kafka.properties.sasl.password=" + canary,
		"kafka.properties.ssl.key.password=" + canary, "kafka.properties.ssl.keystore.password=" + canary,
		"kafka.properties.sasl.oauthbearer.client.secret=" + canary,
		"kafka.sasl.oauthbearer.token_endpoint_url=https://u:" + canary + "@id/token",
	} {
		sluice(t, "check", "-c", file, "--set", set, "--set", "startup.wait=1ms")
		key, value, _ := strings.Cut(set, "=")
		sluiceWith(t, []string{config.EnvName(key) + "=" + value}, "", "check", "-c", file)
	}
	sluice(t, "run", "--help")
	if text := leaked(); text != "" {
		t.Error(text)
	}
}
