package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-ml/sluice/internal/config"
	"github.com/sluice-ml/sluice/pipeline/onnx"
)

func (a *app) modelCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "model",
		Short: "Look at models",
		Example: `  sluice model inspect ./models/fraud
  sluice model bench ./models/fraud
  sluice model ls ./models`,
		Args: cobra.ArbitraryArgs,
		RunE: needsCommand,
	}
	cmd.AddCommand(a.modelInspectCommand(), a.modelLsCommand(), a.modelBenchCommand())
	return cmd
}

// inspectFlags are the flags of `sluice model inspect`.
type inspectFlags struct {
	source      sourceFlags
	library     string
	device      string
	independent string
	maxRows     int
	json        bool
}

func (a *app) modelInspectCommand() *cobra.Command {
	var flags inspectFlags
	cmd := &cobra.Command{
		Use:   "inspect [PATH]",
		Short: "Show a model's inputs and outputs, and whether rows may share a batch",
		Long: `Load a model as run does, probe it, and show its inputs and outputs, its digest,
labels and metadata, and the verdict: batched, alone (each row is run by itself,
with the reason) or refused. The path is a .onnx file or a folder
<name>/<version>/model.onnx; with -c it is the configured model.`,
		Example: `  sluice model inspect ./models/fraud
  sluice model inspect fraud.onnx --json | jq .verdict
  sluice model inspect -c sluice.yaml`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.modelInspect(cmd, &flags, args) },
	}
	f := cmd.Flags()
	f.StringVarP(&flags.source.file, "config", "c", "", "configuration file")
	f.StringArrayVar(&flags.source.sets, "set", nil, "set a configuration key: path=value (repeatable)")
	f.StringVar(&flags.library, "library", "", "ONNX Runtime library (instead of runtime.library)")
	f.StringVar(&flags.device, "device", "cpu", "cpu, cuda, cuda:0 or auto")
	f.StringVar(&flags.independent, "independent", "probe", "probe, true or false")
	f.IntVar(&flags.maxRows, "max-rows", 256, "the largest batch to consider")
	jsonFlag(cmd, &flags.json)
	return cmd
}

func (a *app) modelInspect(cmd *cobra.Command, flags *inspectFlags, args []string) error {
	var cfg *config.Config
	switch {
	case len(args) == 1:
		cfg = config.Default()
		cfg.Model.Path, cfg.Model.Device = args[0], flags.device
		cfg.Model.Independent, cfg.Model.Batch.MaxRows = flags.independent, flags.maxRows
		cfg.Runtime.Library, _ = a.lookup("SLUICE_RUNTIME_LIBRARY")
	case flags.source.file != "":
		var err error
		if cfg, err = a.load(cmd, &flags.source, false); err != nil {
			return err
		}
	default:
		return usageErrorf("no model; name its path, or a configuration with -c")
	}
	if flags.library != "" {
		cfg.Runtime.Library = flags.library
	}
	if _, _, err := loadRuntime(cfg); err != nil {
		return err
	}
	report, err := onnx.Inspect(cmd.Context(), modelConfig(cfg))
	if err != nil {
		return modelError(cmd.Context(), err)
	}
	if flags.json {
		return printJSON(a.out, report)
	}
	return printReport(a.out, report)
}

func printReport(out io.Writer, r *onnx.Report) error {
	w := &strings.Builder{}
	line := func(name, format string, args ...any) { fmt.Fprintf(w, name+"\t"+format+"\n", args...) }
	line("model", "%s, version %s", r.Name, r.Version)
	line("file", "%s", r.File)
	line("sha256", "%s", r.SHA256)
	line("runtime", "ONNX Runtime %s, %s (%s)", r.RuntimeVersion, r.Device, strings.Join(r.Providers, ", "))
	for _, t := range r.Inputs {
		line("input", "%s", describePort(t))
	}
	for _, t := range r.Outputs {
		line("output", "%s", describePort(t))
	}
	verdict := r.Verdict
	if r.Reason != "" {
		verdict += ": " + r.Reason
	}
	if r.FixedRows > 1 {
		verdict += fmt.Sprintf(" (the model takes %d rows: batches are padded)", r.FixedRows)
	}
	if r.Varying {
		verdict += " (rows of equal shape only)"
	}
	line("verdict", "%s", verdict)
	line("probe", "%s", r.Probe)
	if len(r.Labels) > 0 {
		line("labels", "%d: %s", len(r.Labels), preview([]byte(strings.Join(r.Labels, ", ")), 120))
	}
	names := make([]string, 0, len(r.Metadata))
	for name := range r.Metadata {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		line("metadata", "%s: %s", preview([]byte(name), 80), preview([]byte(r.Metadata[name]), 200))
	}
	for _, warning := range r.Warnings {
		line("warning", "%s", warning)
	}
	return printTable(out, w)
}

func describePort(t onnx.TensorInfo) string {
	dims := make([]string, len(t.Shape))
	for i, d := range t.Shape {
		dims[i] = fmt.Sprint(d)
		if d < 0 {
			dims[i] = "*"
			if i < len(t.Dims) && t.Dims[i] != "" {
				dims[i] = t.Dims[i]
			}
		}
	}
	text := fmt.Sprintf("%s  %s [%s]", t.Name, t.Datatype, strings.Join(dims, ", "))
	if t.Sequence {
		text += ", a sequence of maps"
	}
	if t.BatchAxis > 0 {
		text += fmt.Sprintf(", rows on axis %d", t.BatchAxis)
	}
	return text
}

// listedModel is a model that `model ls` found.
type listedModel struct {
	Name     string   `json:"name"`
	Path     string   `json:"path"`
	Versions []string `json:"versions"`
}

func (a *app) modelLsCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "ls [FOLDER]",
		Short:   "List the models of a folder",
		Long:    "List the .onnx files and the model folders <name>/<version>/model.onnx of a folder. Nothing is loaded.",
		Example: "  sluice model ls ./models\n  sluice model ls ./models --json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			folder := "."
			if len(args) == 1 {
				folder = args[0]
			}
			models, err := listModels(folder)
			if err != nil {
				return usageErrorf("list models: %w", err)
			}
			if asJSON {
				return printJSON(a.out, models)
			}
			for _, m := range models {
				if _, err := fmt.Fprintf(a.out, "%s\t%s\t%s\n", m.Name, strings.Join(m.Versions, ","), m.Path); err != nil {
					return err
				}
			}
			return nil
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func listModels(folder string) ([]listedModel, error) {
	found := []listedModel{}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		path := filepath.Join(folder, e.Name())
		if strings.HasSuffix(e.Name(), ".onnx") {
			found = append(found, listedModel{strings.TrimSuffix(e.Name(), ".onnx"), path, []string{"1"}})
			continue
		}
		files, err := filepath.Glob(filepath.Join(path, "[0-9]*", "model.onnx"))
		if err != nil || len(files) == 0 {
			continue
		}
		m := listedModel{Name: e.Name(), Path: path}
		for _, f := range files {
			m.Versions = append(m.Versions, filepath.Base(filepath.Dir(f)))
		}
		found = append(found, m)
	}
	return found, nil
}
