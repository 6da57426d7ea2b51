package demo

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/sluice-ml/sluice/deploy/digits"
)

// settings is the configuration file that the demo writes for the service: what a
// user would write, and nothing else.
const settings = `# Written by sluice demo.
kafka:
  brokers: [%q]
input:
  topics: [%s]
  group: %s
  commit_interval: 100ms
model:
  name: digits
  path: %q
  sha256: %s
output:
  topic: %s
dead_letter: {topic: %s}
admin: {listen: "127.0.0.1:0"}
`

// writeSettings puts the model and the configuration into dir and gives the
// configuration's path.
func writeSettings(dir, brokers string) (string, error) {
	model := filepath.Join(dir, "digits.onnx")
	if err := os.WriteFile(model, digits.Model, 0o600); err != nil {
		return "", fmt.Errorf("unpack the demo's model: %w", err)
	}
	file := filepath.Join(dir, "sluice.yaml")
	text := fmt.Sprintf(settings, brokers, inputTopic, group, model, digits.SHA256(), outputTopic, deadLetterTopic)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return "", fmt.Errorf("write the demo's configuration: %w", err)
	}
	return file, nil
}
