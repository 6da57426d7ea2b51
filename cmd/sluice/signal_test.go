package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// asProgram makes this test binary be the program itself, so that signals and
// exits are the real ones.
const asProgram = "SLUICE_CACHE_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	code := m.Run()
	if leaks := leaked(); leaks != "" {
		fmt.Fprintln(os.Stderr, "secrets were printed:", leaks)
		code = 1
	}
	os.Exit(code)
}

// process is the program in a process of its own.
func process(t *testing.T, args ...string) (*exec.Cmd, *running) {
	t.Helper()
	return processWith(t, nil, args...)
}

// processWith is a process with variables more in its environment.
func processWith(t *testing.T, env []string, args ...string) (*exec.Cmd, *running) {
	t.Helper()
	return command(t, os.Args[0], append(env, asProgram+"=1"), args...)
}

// command runs any build of the program.
func command(t *testing.T, bin string, env []string, args ...string) (*exec.Cmd, *running) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	r := &running{t: t, log: &syncBuffer{}, code: make(chan int, 1)}
	cmd := exec.CommandContext(ctx, bin, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = r.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { // ends with the process
		_ = cmd.Wait() // the exit code is looked at
		r.code <- cmd.ProcessState.ExitCode()
	}()
	return cmd, r
}

func signalAnd(t *testing.T, cmd *exec.Cmd, s os.Signal) {
	t.Helper()
	if err := cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

func TestFirstSignalDrainsAndExitsWithZero(t *testing.T) {
	t.Parallel()
	b := cluster(t, "in", "in.dlq", "out")
	for _, s := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		cmd, r := process(t, "run", "-c", configFile(t, b))
		r.await("ready")
		signalAnd(t, cmd, s)
		if code := <-r.code; code != exitOK || r.line("stopped") == nil {
			t.Errorf("%v: exit code %d\n%s", s, code, r.log)
		}
	}
}

func TestSecondSignalExitsAtOnce(t *testing.T) {
	t.Parallel()
	b := cluster(t, "in", "in.dlq", "out")
	model, err := filepath.Abs("../../pipeline/onnx/testdata/zoo/slow_loop.onnx")
	if err != nil {
		t.Fatal(err)
	}
	produce(t, b, &kgo.Record{Topic: "in", Value: []byte(`{"x":[` + strings.Repeat("0,", 255) + `0],"n":2000000000}`)})
	cmd, r := process(t, "run", "-c", configFile(t, b), "--set", "model.path="+model, "--set", "model.name=slow", "--set", "shutdown.drain_timeout=1m")
	base := "http://" + r.await("admin listening")["addr"].(string)
	r.await("ready")
	eventually(t, "one item in flight", func() bool {
		_, body := fetch(t, base+"/metrics")
		return strings.Contains(body, "sluice_in_flight_items 1")
	})
	began := time.Now()
	signalAnd(t, cmd, syscall.SIGTERM)
	r.await("draining")
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		select {
		case <-again.C:
			_ = cmd.Process.Signal(syscall.SIGTERM) // it may be gone already
		case code := <-r.code:
			// Repeats within oneSignal count as the first: see timeout(1).
			if took := time.Since(began); code != exitFailure || took < oneSignal || took > 5*time.Second || !strings.Contains(r.log.String(), "second signal") {
				t.Errorf("exit code %d after %v\n%s", code, took, r.log)
			}
			return
		}
	}
}
