package main

import (
	"encoding/json"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/sluice-ml/sluice/internal/config"
)

// sourceFlags say where the cluster and the configuration are; every command
// that needs either has them.
type sourceFlags struct {
	file    string
	brokers []string
	sets    []string
}

func (f *sourceFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.file, "config", "c", "", "configuration file")
	cmd.Flags().StringArrayVarP(&f.brokers, "brokers", "b", nil, "brokers, host:port, separated by commas (instead of kafka.brokers)")
	cmd.Flags().StringArrayVar(&f.sets, "set", nil, "set a configuration key: path=value (repeatable)")
}

// load reads the configuration; without a file only the kafka section counts
// when kafkaOnly is set. Warnings go to people.
func (a *app) load(cmd *cobra.Command, f *sourceFlags, kafkaOnly bool) (*config.Config, error) {
	cfg, warnings, err := config.Load(config.Options{
		Path: f.file, Environ: a.environ, Sets: f.sets, Brokers: f.brokers,
		KnownEnv: flagEnvironment(cmd.Root()), KafkaOnly: kafkaOnly && f.file == "",
	})
	for _, w := range warnings {
		a.say("warning: %v", w)
	}
	return cfg, err
}

// jsonFlag is --json of a reporting command.
func jsonFlag(cmd *cobra.Command, target *bool) {
	cmd.Flags().BoolVar(target, "json", false, "print JSON")
}

// printTable aligns the tab-separated columns of lines.
func printTable(out io.Writer, lines *strings.Builder) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	if _, err := io.WriteString(w, lines.String()); err != nil {
		return err
	}
	return w.Flush()
}

// printJSON writes one value as indented JSON.
func printJSON(out io.Writer, value any) error {
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(value)
}
