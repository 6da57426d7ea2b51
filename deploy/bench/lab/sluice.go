package lab

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Setup is what a configuration file of sluice needs.
type Setup struct {
	Name, Input, Output, DLQ, Group, Instance string
	Model, ModelName, Codec                   string
	Sets                                      []string // --set path=value
	Env                                       []string // NAME=value, added to the environment
	Bin                                       string   // the service's binary, where it is not the lab's
}

// config writes the YAML of a set-up and gives its path.
func (l *Lab) config(s Setup) (string, error) {
	if s.Codec == "" {
		s.Codec = "json"
	}
	text := fmt.Sprintf(`kafka:
  brokers: [%s]
input:
  topics: [%s]
  group: %s
  instance: %q
  codec: %s
model:
  name: %s
  path: %s
output:
  topic: %s
dead_letter: { topic: %q, max_share: 0.9 }
admin: { listen: "127.0.0.1:0" }
`, strings.Join(l.Brokers, ", "), s.Input, s.Group, s.Instance, s.Codec, s.ModelName, s.Model, s.Output, s.DLQ)
	path := filepath.Join(l.Dir, s.Name+".yaml")
	return path, os.WriteFile(path, []byte(text), 0o644)
}

// Start runs sluice and returns at once; cgroup, when set, is a memory cgroup's
// folder the process is put into before it runs.
func (l *Lab) Start(ctx context.Context, s Setup, cgroup string) (*Process, error) {
	path, err := l.config(s)
	if err != nil {
		return nil, err
	}
	args := []string{cmp.Or(s.Bin, l.Bin), "run", "-c", path}
	for _, x := range s.Sets {
		args = append(args, "--set", x)
	}
	if len(s.Env) > 0 {
		args = append(append([]string{"env"}, s.Env...), args...)
	}
	if cgroup != "" {
		args = append([]string{"sh", "-c", `echo $$ > "$0"/cgroup.procs && exec "$@"`, cgroup}, args...)
	}
	return l.Spawn(ctx, s.Name, args...)
}
