package config

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// Options says where a configuration comes from.
type Options struct {
	// Path is the file, "" for none.
	Path string
	// Environ is the environment as name=value.
	Environ []string
	// Sets are the --set flags, path=value.
	Sets []string
	// Brokers, when not empty, stands in for kafka.brokers (the flag -b).
	Brokers []string
	// KnownEnv names further SLUICE_ variables that are no keys: those of flags.
	KnownEnv []string
	// KafkaOnly checks the kafka section alone: for commands that need no model.
	KafkaOnly bool
}

// loader collects values and problems of one configuration.
type loader struct {
	cfg      *Config
	file     string
	env      func(string) (string, bool)
	origin   map[string]Position // of every key that was set
	anchors  map[string]anchor
	problems Problems
	warnings Problems
}

// Load reads the file, then the environment, then --set, and checks the whole.
// The error is Problems: every problem, not the first. Warnings come with a
// good configuration too.
func Load(o Options) (*Config, Problems, error) {
	l := &loader{
		cfg: Default(), file: o.Path, env: lookup(o.Environ),
		origin: map[string]Position{}, anchors: map[string]anchor{},
	}
	if brokers, _ := l.env("KAFKA_BROKERS"); brokers != "" {
		l.cfg.Kafka.Brokers = []string{brokers}
	}
	if o.Path != "" {
		data, err := os.ReadFile(o.Path)
		if err != nil {
			return nil, nil, Problems{{Position: Position{File: o.Path}, Message: "read the configuration: " + reason(err), Cure: "give its path with -c"}}
		}
		if !l.readDocument(data) {
			return nil, nil, l.problems // what is no YAML says nothing about its keys
		}
	}
	l.readEnvironment(o.Environ, o.KnownEnv)
	l.readSets(o.Sets)
	if len(o.Brokers) > 0 {
		l.cfg.Kafka.Brokers = o.Brokers
		l.origin["kafka.brokers"] = Position{Source: "--brokers"}
	}
	l.applyProperties()
	l.validate(o.KafkaOnly)
	if len(l.problems) > 0 {
		return nil, l.warnings, l.problems.sorted()
	}
	return l.cfg, l.warnings, nil
}

// reason is an error without its path, which the message names already.
func reason(err error) string {
	switch {
	case os.IsNotExist(err):
		return "no such file"
	case os.IsPermission(err):
		return "permission denied"
	default:
		return err.Error()
	}
}

func lookup(environ []string) func(string) (string, bool) {
	values := make(map[string]string, len(environ))
	for _, pair := range environ {
		if name, value, ok := strings.Cut(pair, "="); ok {
			values[name] = value
		}
	}
	return func(name string) (string, bool) {
		value, ok := values[name]
		return value, ok
	}
}

// problem notes one; message may carry its cure after "; ".
func (l *loader) problem(at Position, path, message string) {
	message, cure, _ := strings.Cut(message, "; ")
	p := Problem{Position: at, Path: path, Message: message, Cure: cure}
	if !slices.Contains(l.problems, p) { // once for several input topics
		l.problems = append(l.problems, p)
	}
}

func (l *loader) warn(at Position, path, format string, args ...any) {
	l.warnings = append(l.warnings, Problem{Position: at, Path: path, Message: fmt.Sprintf(format, args...)})
}

// where is the position of a key: its own, else its nearest section's.
func (l *loader) where(path string) Position {
	for p := path; ; {
		if at, ok := l.origin[p]; ok {
			return at
		}
		i := strings.LastIndexByte(p, '.')
		if i < 0 {
			break
		}
		p = p[:i]
	}
	if l.file == "" {
		return Position{Source: "no configuration file (-c)"}
	}
	return Position{File: l.file, Line: 1, Column: 1}
}
