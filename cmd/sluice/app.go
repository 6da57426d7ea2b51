package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sluice-ml/sluice/internal/config"
)

// app is one invocation: its streams and its environment. Data goes to out,
// text for people to err.
type app struct {
	in       io.Reader
	out, err io.Writer
	environ  []string
}

// run is the whole program but for signals and the exit.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, environ []string) int {
	a := &app{in: stdin, out: stdout, err: stderr, environ: environ}
	root := a.rootCommand() //nolint:contextcheck // commands get it from cobra, below
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err != nil {
		if text := err.Error(); text != "" {
			a.say("sluice: %s", strings.ReplaceAll(text, "\n", "\n        "))
		}
	}
	return exitCode(err)
}

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "sluice",
		Short: "Kafka in, ONNX model, Kafka out, nothing lost",
		Long: `sluice pulls work items from Kafka into a bounded worker pool that runs an ONNX
model in dynamic batches, and writes the predictions to an output topic, with
nothing lost.

Every flag has an environment name: SLUICE_ and the flag in capitals (--brokers
is SLUICE_BROKERS). Exit codes: 0 ok, 1 failure, 2 usage or configuration,
3 partial, 5 a dependency is missing or refuses.`,
		Example: `  sluice check -c sluice.yaml
  sluice run -c sluice.yaml
  sluice publish -b localhost:9092 -t payments requests.jsonl
  sluice tap -b localhost:9092 -t payments.predictions -o -10 -e`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE:          needsCommand,
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.PersistentPreRunE = a.applyEnvironment
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(
		a.runCommand(), a.checkCommand(), a.aclsCommand(), newDemoCommand(a), a.publishCommand(), a.tapCommand(),
		a.dlqCommand(), a.benchCommand(), a.modelCommand(), a.versionCommand(), a.completionCommand(),
	)
	usageErrors(root)
	return root
}

// needsCommand is what a command with subcommands does by itself: without an
// argument it shows its help, with an unknown one it suggests.
func needsCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		cmd.SetOut(cmd.ErrOrStderr())
		if err := cmd.Help(); err != nil {
			return err
		}
		return usageErrorf("name a command")
	}
	var names []string
	for _, c := range cmd.Commands() {
		names = append(names, c.Name())
	}
	if near := config.Nearest(args[0], names); near != "" {
		return usageErrorf("unknown command %q for %q; did you mean %q?", args[0], cmd.CommandPath(), near)
	}
	return usageErrorf("unknown command %q for %q; there are: %s", args[0], cmd.CommandPath(), strings.Join(names, ", "))
}

// flagError is exit code 2 with a suggestion.
func flagError(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		if near := config.Nearest(unknown.GetSpecifiedName(), names); near != "" {
			return usageErrorf("%w; did you mean --%s?", err, near)
		}
	}
	return usageErrorf("%w; see %s --help", err, cmd.CommandPath())
}

// usageErrors makes wrong arguments exit with 2, in every command.
func usageErrors(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usageErrorf("%w; see %s --help", err, cmd.CommandPath())
			}
			return nil
		}
	}
	for _, c := range cmd.Commands() {
		usageErrors(c)
	}
}

// applyEnvironment sets each flag that was not given from its SLUICE_ name. A
// list takes one value a line.
func (a *app) applyEnvironment(cmd *cobra.Command, _ []string) error {
	var errs []error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		name := config.EnvName(f.Name)
		value, set := a.lookup(name)
		if !set || value == "" || f.Changed || f.Name == "help" {
			return
		}
		values := []string{value}
		if f.Value.Type() == "stringArray" {
			values = strings.Split(strings.TrimSpace(value), "\n")
		}
		for _, v := range values {
			if err := cmd.Flags().Set(f.Name, v); err != nil {
				errs = append(errs, usageErrorf("environment %s=%s: %w", name, value, err))
			}
		}
	})
	return errors.Join(errs...)
}

// say writes a line for people; when nobody reads it any more, so be it.
func (a *app) say(format string, args ...any) { _, _ = fmt.Fprintf(a.err, format+"\n", args...) }

// lookup reads the environment of this invocation; the last of equal names
// counts, as in the system's.
func (a *app) lookup(name string) (value string, ok bool) {
	for _, pair := range a.environ {
		if n, v, found := strings.Cut(pair, "="); found && n == name {
			value, ok = v, true
		}
	}
	return value, ok
}

// env is lookup for packages that take "" for unset.
func (a *app) env(name string) string {
	value, _ := a.lookup(name)
	return value
}

// flagEnvironment is every flag's environment name, so that none is taken for
// a mistyped key.
func flagEnvironment(cmd *cobra.Command) []string {
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, config.EnvName(f.Name)) })
	for _, c := range cmd.Commands() {
		names = append(names, flagEnvironment(c)...)
	}
	return names
}
