package main

import (
	"context"
	"fmt"
	"time"

	"github.com/sluice-ml/sluice/deploy/bench/lab"
)

// heading writes what a figure means nothing without: when, what, where.
func (l *campaign) heading(ctx context.Context) error {
	if l.out == "" {
		return nil
	}
	text := fmt.Sprintf(`# The main job on a real Kafka

Made by %s; everything (broker, load, service, rivals) shares the machine's cores.

- when: %s
`, "`make accept`", time.Now().UTC().Format(time.RFC3339))
	for _, f := range lab.Surroundings(ctx, l.Lab) {
		text += fmt.Sprintf("- %s: %s\n", f[0], f[1])
	}
	return appendFile(l.out, text+fmt.Sprintf("- arguments: %s\n", lab.Arguments()))
}
