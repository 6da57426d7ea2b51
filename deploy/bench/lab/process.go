package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Process is one running program, usually a contender. Safe for concurrent use.
type Process struct {
	Name string
	// Waited is closed when the process is gone.
	Waited chan struct{}

	cmd *exec.Cmd
	err error // of Wait; read after Waited is closed

	mu       sync.Mutex
	messages map[string]map[string]any // last JSON log line by its message
	seen     chan struct{}             // closed and replaced on each line
}

const readyMessage = "ready"

// Spawn runs a program with its stderr in a log file of that name. It has a
// process group of its own, so that Ctrl-C reaches only the bench, which then
// stops it in order.
func (l *Lab) Spawn(ctx context.Context, name string, args ...string) (*Process, error) {
	v := &Process{Name: name, Waited: make(chan struct{}), messages: map[string]map[string]any{}, seen: make(chan struct{})}
	v.cmd = exec.CommandContext(context.WithoutCancel(ctx), args[0], args[1:]...)
	v.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stderr, err := v.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(l.Dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	if err := v.cmd.Start(); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	go func() { // ends when the process closes its stderr
		defer log.Close() //nolint:errcheck // a log of an experiment
		scanner := bufio.NewScanner(stderr)
		scanner.Buffer(nil, 1<<20)
		for scanner.Scan() {
			_, _ = fmt.Fprintln(log, scanner.Text())
			v.note(scanner.Bytes())
		}
		v.err = v.cmd.Wait()
		close(v.Waited)
	}()
	return v, nil
}

// note keeps a JSON log line, or that a plain one says "ready".
func (v *Process) note(line []byte) {
	var fields map[string]any
	message := ""
	if json.Unmarshal(line, &fields) == nil {
		message, _ = fields["msg"].(string)
	} else if strings.Contains(string(line), readyMessage) {
		message = readyMessage
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.messages[message] = fields
	close(v.seen)
	v.seen = make(chan struct{})
}

// Logged is a field of the last JSON log line with that message, nil without one.
func (v *Process) Logged(message, field string) any {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.messages[message][field]
}

// Ready waits until the process says that it consumes.
func (v *Process) Ready(ctx context.Context) error {
	for {
		v.mu.Lock()
		_, ok := v.messages[readyMessage]
		seen := v.seen
		v.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-seen:
		case <-v.Waited:
			return fmt.Errorf("%s ended before it said %q: %w", v.Name, readyMessage, v.err)
		case <-ctx.Done():
			return fmt.Errorf("%s did not say %q: %w", v.Name, readyMessage, context.Cause(ctx))
		}
	}
}

// Stop sends SIGTERM and gives the exit code and the seconds it took.
func (v *Process) Stop() (code int, took time.Duration, err error) {
	began := time.Now()
	if err := v.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return 0, 0, err
	}
	limit := time.NewTimer(90 * time.Second)
	defer limit.Stop()
	select {
	case <-v.Waited:
	case <-limit.C:
		v.Kill()
		return -1, time.Since(began), errors.New(v.Name + " did not stop within 90 s")
	}
	return v.ExitCode(), time.Since(began), nil
}

// Signal sends a signal to the process.
func (v *Process) Signal(s os.Signal) error { return v.cmd.Process.Signal(s) }

// Kill sends SIGKILL and waits.
func (v *Process) Kill() {
	_ = v.cmd.Process.Kill()
	<-v.Waited
}

// ended tells whether the process is gone.
func (v *Process) ended() bool {
	select {
	case <-v.Waited:
		return true
	default:
		return false
	}
}

// ExitCode is that of a process that has ended.
func (v *Process) ExitCode() int { return v.cmd.ProcessState.ExitCode() }

// Peak is the highest resident memory so far, in bytes.
func (v *Process) Peak() int64 { return peakOf(v.cmd.Process.Pid) }

// StopAll stops all and fails with the first that did not end with 0.
func StopAll(all []*Process) error {
	var errs []error
	for _, v := range all {
		code, _, err := v.Stop()
		if err == nil && code != 0 {
			err = fmt.Errorf("%s: exit code %d on SIGTERM", v.Name, code)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// KillAll kills what still runs.
func KillAll(all []*Process) {
	for _, v := range all {
		v.Kill()
	}
}
