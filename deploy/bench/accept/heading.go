package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

// heading writes what a figure means nothing without: when, what, where.
func (l *lab) heading(ctx context.Context) error {
	if l.out == "" {
		return nil
	}
	version, err := command(ctx, l.bin, "version")
	if err != nil {
		return err
	}
	commit, err := command(ctx, "git", "rev-parse", "--short=12", "HEAD")
	if err != nil {
		commit = "unknown (" + err.Error() + ")"
	}
	text := fmt.Sprintf(`# The main job on a real Kafka

Made by %s; everything (broker, load, service, rivals) shares the machine's cores.

- when: %s
- commit: %s
- service: %s
- machine: %s, %d cores
- arguments: %s
`, "`make accept`", time.Now().UTC().Format(time.RFC3339), strings.TrimSpace(commit), strings.TrimSpace(version), processor(), runtime.NumCPU(),
		strings.Join(os.Args[1:], " "))
	return appendFile(l.out, text)
}

// processor is the CPU's name, where the kernel tells it.
func processor() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}
