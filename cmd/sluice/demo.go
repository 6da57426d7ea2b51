//go:build demo

package main

import (
	"context"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/sluice-ml/sluice/internal/config"
	"github.com/sluice-ml/sluice/internal/demo"
)

// newDemoCommand is the main job on embedded defaults.
func newDemoCommand(a *app) *cobra.Command {
	cfg := &demo.Config{Out: a.out, Serve: a.serveDemo}
	var plain bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "The main job on embedded defaults: broker, model, generator and a live view",
		Long: `Do the main job in one process, offline: an embedded broker, the service with a
model that reads handwritten digits, a generator that publishes images the model
has never seen, and a reader that checks every prediction against the truth.

On a terminal it draws a live view, elsewhere it prints a line every second.
Ctrl-C, --count or --for end it with a summary; it exits with 1 unless every image
has exactly one prediction. The embedded broker keeps its data in a temporary
folder and is no place for data of yours. Traces go where OTEL_EXPORTER_OTLP_*
says, all of them.`,
		Example: `  sluice demo
  sluice demo --rate 0                     # as fast as possible
  sluice demo --rate 500 --for 30s
  sluice demo --count 10000 --rate 0 --plain
  OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4317 sluice demo --rate 10`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cfg.Validate(); err != nil {
				return usageErrorf("%w", err)
			}
			if file, ok := a.out.(*os.File); ok && !plain && term.IsTerminal(int(file.Fd())) {
				cfg.Terminal = file
			}
			return demo.Run(cmd.Context(), cfg)
		},
	}
	flags := cmd.Flags()
	flags.Float64Var(&cfg.Rate, "rate", 2000, "images published a second, 0 for as many as go through")
	flags.Int64Var(&cfg.Count, "count", 0, "end after that many images, 0 for no end")
	flags.DurationVar(&cfg.For, "for", 0, "end after that time, 0 for no end")
	flags.Int32Var(&cfg.Partitions, "partitions", 4, "partitions of each topic")
	flags.BoolVar(&plain, "plain", false, "plain lines on a terminal too")
	return cmd
}

// serveDemo starts what `sluice run -c file` runs. Of the environment it takes the
// runtime library and OpenTelemetry's names; keys of the configuration are the
// demo's own.
func (a *app) serveDemo(ctx context.Context, file string, log *slog.Logger) (*demo.Service, error) {
	environ := slices.DeleteFunc(slices.Clone(a.environ), func(pair string) bool {
		return strings.HasPrefix(pair, "SLUICE_") && !strings.HasPrefix(pair, "SLUICE_RUNTIME_LIBRARY=")
	})
	cfg, _, err := config.Load(config.Options{Path: file, Environ: environ})
	if err != nil {
		return nil, err
	}
	s, err := newService(ctx, cfg, serviceDeps{Logger: log, Env: a.env, SampleRatio: 1})
	if err != nil {
		return nil, err
	}
	done := make(chan struct{})
	var ended error
	go func() { // ends with ctx
		defer close(done)
		ended = s.Run(ctx)
	}()
	return &demo.Service{
		Ready: s.Ready(), Done: done, Err: func() error { return ended }, Admin: s.AdminAddr, Metrics: s.Metrics(),
	}, nil
}
