package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// rivalsFolder holds one folder or file per rival.
var rivalsFolder = filepath.Join("deploy", "bench", "rivals")

// rival is a contender by the bench contract: build gives its command line.
func rival(name string, payloads []string, null bool, build func(ctx context.Context, l *Lab) ([]string, error)) *Contender {
	return &Contender{
		Name: name, Payloads: payloads, Null: null,
		Build: func(ctx context.Context, l *Lab) (err error) {
			l.commands[name], err = build(ctx, l)
			return err
		},
		Start: func(ctx context.Context, l *Lab, j Job) ([]*Process, error) {
			// Null ones answer with as many bytes whatever the payload; they know two.
			if null && j.Payload.Name != "raw" {
				j.Payload = Payloads[0]
			}
			return l.spawnAll(ctx, 1, j, l.commands[name]...)
		},
	}
}

// script runs a rival's build.sh, which prints its command line.
func script(folder, which string) func(context.Context, *Lab) ([]string, error) {
	return func(ctx context.Context, _ *Lab) ([]string, error) {
		text, err := Command(ctx, filepath.Join(rivalsFolder, folder, "build.sh"), which)
		return strings.Fields(text), err
	}
}

// goProgram builds a Go program of this repository, also one with a module of its own.
func goProgram(folder string) func(context.Context, *Lab) ([]string, error) {
	return func(ctx context.Context, l *Lab) ([]string, error) {
		if _, err := os.Stat(folder); err != nil {
			return nil, err
		}
		program, err := filepath.Abs(filepath.Join(l.Work, filepath.Base(folder)))
		if err != nil {
			return nil, err
		}
		_, err = Command(ctx, "go", "build", "-C", folder, "-o", program, ".")
		return []string{program}, err
	}
}

// python is the loop with so many processes.
func python(n int) *Contender {
	return &Contender{Name: fmt.Sprintf("python x%d", n), Start: func(ctx context.Context, l *Lab, j Job) ([]*Process, error) {
		return l.spawnAll(ctx, n, j, l.Python, filepath.Join(rivalsFolder, "python_loop.py"))
	}}
}
