package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-ml/sluice/internal/config"
)

// finding is one line of `sluice check`.
type finding struct {
	Status  string `json:"status"` // ok, warning, failed
	Subject string `json:"subject"`
	Message string `json:"message"`

	err  error // of what failed
	code int   // of the exit when it failed
}

const (
	statusOK      = "ok"
	statusWarning = "warning"
	statusFailed  = "failed"
)

// findings collects them in order.
type findings struct{ list []finding }

func (f *findings) ok(subject, format string, args ...any) {
	f.list = append(f.list, finding{Status: statusOK, Subject: subject, Message: fmt.Sprintf(format, args...)})
}

func (f *findings) warn(subject, format string, args ...any) {
	f.list = append(f.list, finding{Status: statusWarning, Subject: subject, Message: fmt.Sprintf(format, args...)})
}

// fail notes an error; its text says the cure.
func (f *findings) fail(subject string, err error, code int) {
	f.list = append(f.list, finding{statusFailed, subject, err.Error(), err, code})
}

// code is the exit code: what is wrong with the configuration comes first,
// because nothing else can be mended before it.
func (f *findings) code() int {
	worst := exitOK
	for _, x := range f.list {
		if x.Status == statusFailed && (worst == exitOK || x.code == exitUsage) {
			worst = x.code
		}
	}
	return worst
}

func (f *findings) print(out io.Writer) error {
	marks := map[string]string{statusOK: "OK   ", statusWarning: "WARN ", statusFailed: "FAIL "}
	for _, x := range f.list {
		message := strings.ReplaceAll(x.Message, "\n", "\n"+strings.Repeat(" ", 18))
		if _, err := fmt.Fprintf(out, "%s %-11s %s\n", marks[x.Status], x.Subject, message); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) checkCommand() *cobra.Command {
	var flags sourceFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check configuration, model, brokers, topics and permissions",
		Long: `Check everything that run needs, and print a line for each: OK, or what is wrong
and how to mend it. Nothing is created, nothing is written: that a topic can be
written is asked with a produce request that holds no record, which a broker
refuses as empty only after it has checked the permission to write; that the
group can be used with a heartbeat of a member that does not exist.`,
		Example: `  sluice check -c sluice.yaml
  sluice check -c sluice.yaml --json | jq '.findings[] | select(.status != "ok")'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.check(cmd, &flags, asJSON) },
	}
	flags.register(cmd)
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (a *app) check(cmd *cobra.Command, flags *sourceFlags, asJSON bool) error {
	f := &findings{}
	cfg, warnings, err := config.Load(config.Options{
		Path: flags.file, Environ: a.environ, Sets: flags.sets, Brokers: flags.brokers, KnownEnv: flagEnvironment(cmd.Root()),
	})
	for _, w := range warnings {
		f.warn("config", "%s", w.Error())
	}
	if err != nil {
		noteProblems(f, err)
	} else {
		f.ok("config", "%s: every key is good", orDash(flags.file))
		checkAll(cmd.Context(), f, cfg)
	}
	return a.reportFindings(f, cfg, asJSON)
}

// checkAll goes on after a failure: what does not rest on it is worth knowing.
func checkAll(ctx context.Context, f *findings, cfg *config.Config) {
	for _, short := range lookAtMachine(os.DirFS("/")).shortages(cfg) {
		f.warn("machine", "%s", short)
	}
	checkModel(ctx, f, cfg)
	checkCluster(ctx, f, cfg)
}

func noteProblems(f *findings, err error) {
	var problems config.Problems
	if !errors.As(err, &problems) {
		f.fail("config", err, exitUsage)
		return
	}
	for _, p := range problems {
		f.fail("config", p, exitUsage)
	}
}

func (a *app) reportFindings(f *findings, cfg *config.Config, asJSON bool) error {
	delivery := ""
	if cfg != nil {
		delivery = promise(cfg)
	}
	var err error
	if asJSON {
		err = printJSON(a.out, map[string]any{"ok": f.code() == exitOK, "findings": f.list, "promise": delivery})
	} else if err = f.print(a.out); err == nil && delivery != "" {
		_, err = fmt.Fprintln(a.out, "\nPromise: "+delivery)
	}
	if err != nil {
		return err
	}
	if code := f.code(); code != exitOK {
		return &exitError{code, errors.New("not everything is as run needs it")}
	}
	return nil
}

func orDash(path string) string {
	if path == "" {
		return "environment and flags"
	}
	return path
}
