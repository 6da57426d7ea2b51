package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sluice-ml/sluice/internal/config"
)

func TestMistypedNamesAreUsageErrorsWithASuggestion(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"chekc":                   `did you mean "check"?`,
		"dlq shw":                 `did you mean "show"?`,
		"run --confg x":           "did you mean --config?",
		"tap -b a:1 -t x --frmat": "did you mean --format?",
		"quux":                    "there are: ",
		"dlq":                     "name a command",
		"":                        "name a command",
		"tap":                     "no topic; name one with -t",
		"tap -t x -b nonsense":    `"nonsense" is no broker address`,
		"tap -t x -b a:1 -o soon": `"soon" is no position`,
		"tap -t x -f yaml":        "allowed: json, decoded, value, key-value",
		"run extra":               "unknown command",
		"dlq ls -b a:1":           "name the dead-letter topic with -t",
		"dlq ls -t x --class undecodeable -b a:1": `did you mean "undecodable"?`,
		"dlq replay -t x -b a:1 --max -1":         "must not be negative",
		"dlq show 0-1 -t x -b a:1":                "write partition/offset",
		"publish -t x --compression rar":          "rar",
		"publish -t x -b a:1 nowhere.jsonl":       "nowhere.jsonl",
		"run -c nowhere.yaml":                     "no such file",
		"model inspect":                           "name its path",
		"model inspect nowhere.onnx":              "nowhere.onnx",
		"completion tcsh":                         "tcsh",
	} {
		sluice(t, strings.Fields(args)...).want(t, exitUsage, want)
	}
}

func everyCommand(c *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{c}
	for _, sub := range c.Commands() {
		all = append(all, everyCommand(sub)...)
	}
	return all
}

func TestEveryHelpHasExamples(t *testing.T) {
	t.Parallel()
	root := (&app{}).rootCommand()
	for _, c := range everyCommand(root) {
		if c.Name() == "help" {
			continue
		}
		if c.Short == "" || !strings.HasPrefix(c.Example, "  ") {
			t.Errorf("%s: help without a line or an example", c.CommandPath())
		}
		r := sluice(t, append(strings.Fields(c.CommandPath())[1:], "--help")...)
		r.want(t, exitOK, "Examples:")
		if r.out == "" {
			t.Errorf("%s --help prints nothing to stdout", c.CommandPath())
		}
	}
}

func TestNoFlagHasTheEnvironmentNameOfAKey(t *testing.T) {
	t.Parallel()
	keys := map[string]string{}
	for _, k := range config.Keys() {
		keys[k.Env] = k.Path
	}
	for _, c := range everyCommand((&app{}).rootCommand()) {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if key, taken := keys[config.EnvName(f.Name)]; taken {
				t.Errorf("%s --%s has the environment name of %s", c.CommandPath(), f.Name, key)
			}
		})
	}
}

func TestFlagsTakeTheirEnvironmentNames(t *testing.T) {
	t.Parallel()
	r := sluiceWith(t, []string{"SLUICE_JSON=true"}, "", "version")
	r.want(t, exitOK, `"version": "dev"`)
	sluiceWith(t, []string{"SLUICE_JSON=perhaps"}, "", "version").want(t, exitUsage, "SLUICE_JSON=perhaps")
	sluiceWith(t, []string{"SLUICE_CONFIG=nowhere.yaml"}, "", "check").want(t, exitUsage, "nowhere.yaml")
	sluiceWith(t, []string{"SLUICE_SET=input.group=g\nquux=1"}, "", "check").want(t, exitUsage, `unknown key "quux"`)
}

func TestExactlyOnceNeedsOrder(t *testing.T) {
	t.Parallel()
	file := configFile(t, "127.0.0.1:1")
	sluice(t, "run", "-c", file, "--set", "output.delivery=exactly-once", "--set", "output.order=none").want(t, exitUsage, "none does not go with exactly-once")
}

func TestCompletionScripts(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		sluice(t, "completion", shell).want(t, exitOK, "sluice")
	}
}
