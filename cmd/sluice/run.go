package main

import (
	"errors"
	"os"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/sluice-ml/sluice/internal/config"
	"github.com/sluice-ml/sluice/internal/telemetry"
)

func (a *app) runCommand() *cobra.Command {
	var flags sourceFlags
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the service",
		Long: `Run the service until SIGTERM or SIGINT, which drain it: what runs finishes, is
delivered and committed, then it exits with 0, whatever was dead-lettered. A
second signal ends it at once (exit 1). It creates nothing: topics must exist.`,
		Example: `  sluice run -c sluice.yaml
  sluice run -c sluice.yaml --set model.device=cuda --set input.instance=$(hostname)
  SLUICE_KAFKA_BROKERS=kafka-1:9092,kafka-2:9092 sluice run -c sluice.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.serve(cmd, &flags) },
	}
	flags.register(cmd)
	return cmd
}

// serve runs the service. Once there is a log, errors are told there too.
func (a *app) serve(cmd *cobra.Command, flags *sourceFlags) error {
	cfg, warnings, err := config.Load(config.Options{
		Path: flags.file, Environ: a.environ, Sets: flags.sets, Brokers: flags.brokers, KnownEnv: flagEnvironment(cmd.Root()),
	})
	if err != nil {
		return err
	}
	log, err := telemetry.NewLogger(a.err, telemetry.LogConfig{Format: cfg.Log.Format, Level: cfg.Log.Level})
	if err != nil {
		return usageErrorf("%w", err)
	}
	for _, w := range warnings {
		log.Warn("configuration", "path", w.Path, "where", w.String(), "warning", w.Message)
	}
	for _, short := range lookAtMachine(os.DirFS("/")).shortages(cfg) {
		log.Warn("machine", "warning", short)
	}
	ctx := cmd.Context()
	s, err := newService(ctx, cfg, serviceDeps{Logger: log, Env: a.env})
	if err != nil && interrupted(ctx) {
		log.Info("stopped", "predicted", 0, "dead_lettered", 0, "expired", 0, "skipped", 0, "abandoned", 0)
		return nil
	}
	if err == nil {
		spareThread(a.env)
		err = s.Run(ctx)
	}
	if err != nil {
		log.Error("failed", "error", err.Error(), "exit_code", exitCode(err))
		return &exitError{exitCode(err), errTold}
	}
	return nil
}

// spareThread gives the network one thread more than the workers, which are as many
// as cores: while all of them compute, for milliseconds, answers of the brokers would
// wait in the sockets. Go's scheduler looks there only when a thread has nothing to
// do, the kernel's at once. In drains on two cores it brought about a tenth with raw
// payloads and was within the noise with JSON. It comes after the workers are counted,
// and a GOMAXPROCS of the user's stays.
func spareThread(env func(string) string) {
	if env("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	}
}

// errTold is an error that the log has told already.
var errTold = errors.New("")
