package lab

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Surroundings are names and values of what a figure means nothing without:
// commit, versions, machine. What cannot be told is "unknown".
func Surroundings(ctx context.Context, l *Lab) [][2]string {
	ask := func(name string, args ...string) string {
		text, err := Command(ctx, name, args...)
		if err != nil {
			return "unknown"
		}
		return strings.TrimSpace(text)
	}
	return [][2]string{
		{"commit", ask("git", "rev-parse", "--short=12", "HEAD")},
		{"service", ask(l.Bin, "version")},
		{"machine", fmt.Sprintf("%s, %d cores, %s", Processor(), runtime.NumCPU(), memory())},
		{"Python", ask(l.Python, "-c", "import sys, onnxruntime, confluent_kafka, numpy; print(sys.version.split()[0], 'with onnxruntime', onnxruntime.__version__ + ', librdkafka', confluent_kafka.libversion()[0] + ', numpy', numpy.__version__)")},
	}
}

// Heading begins a results page of a program that needs no broker.
func Heading(ctx context.Context, title, madeBy string) *strings.Builder {
	b := &strings.Builder{}
	fmt.Fprintf(b, "# %s\n\nMade by `%s`.\n\n- when: %s\n", title, madeBy, time.Now().UTC().Format(time.RFC3339))
	for _, f := range Surroundings(context.WithoutCancel(ctx), &Lab{}) { // also of a run that was stopped
		if f[0] == "commit" || f[0] == "machine" {
			fmt.Fprintf(b, "- %s: %s\n", f[0], f[1])
		}
	}
	fmt.Fprintf(b, "- Go: %s\n- arguments: %s\n", runtime.Version(), Arguments())
	return b
}

// Processor is the CPU's name, where the kernel tells it.
func Processor() string { return lineOf("/proc/cpuinfo", "model name", runtime.GOARCH) }

func memory() string { return lineOf("/proc/meminfo", "MemTotal", "memory unknown") }

func lineOf(path, name, otherwise string) string {
	info, err := os.ReadFile(path)
	if err != nil {
		return otherwise
	}
	for line := range strings.Lines(string(info)) {
		if n, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(n) == name {
			return strings.TrimSpace(value)
		}
	}
	return otherwise
}

// Arguments are the program's as a reader would give them: those that make chooses,
// paths of this machine, are left out.
func Arguments() string {
	args := slices.Clone(os.Args[1:])
	for _, path := range []string{"-python", "-out", "-work", "-restart-broker"} {
		if i := slices.Index(args, path); i >= 0 && i+1 < len(args) {
			args = slices.Delete(args, i, i+2)
		}
	}
	if len(args) == 0 {
		return "none"
	}
	return "`" + strings.Join(args, " ") + "`"
}
