package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// service is one running sluice.
type service struct {
	name   string
	cmd    *exec.Cmd
	waited chan struct{} // closed when the process is gone
	err    error         // of Wait

	mu       sync.Mutex
	messages map[string]map[string]any // last log line by message
	seen     chan struct{}             // closed and replaced on each line
}

// setup is what a configuration file needs.
type setup struct {
	name, input, output, dlq, group, instance string
	model, modelName, codec                   string
	extra                                     []string // --set path=value
}

// config writes the YAML of a set-up and gives its path.
func (l *lab) config(s setup) (string, error) {
	if s.codec == "" {
		s.codec = "json"
	}
	text := fmt.Sprintf(`kafka:
  brokers: [%s]
input:
  topics: [%s]
  group: %s
  instance: %q
  codec: %s
model:
  name: %s
  path: %s
output:
  topic: %s
dead_letter: { topic: %q, max_share: 0.9 }
admin: { listen: "127.0.0.1:0" }
`, strings.Join(l.brokers, ", "), s.input, s.group, s.instance, s.codec, s.modelName, s.model, s.output, s.dlq)
	path := filepath.Join(l.dir, s.name+".yaml")
	return path, os.WriteFile(path, []byte(text), 0o644)
}

// start runs sluice and returns at once; cgroup, when set, is a memory cgroup's
// folder the process is put into before it runs.
func (l *lab) start(ctx context.Context, s setup, cgroup string) (*service, error) {
	path, err := l.config(s)
	if err != nil {
		return nil, err
	}
	args := []string{l.bin, "run", "-c", path}
	for _, x := range s.extra {
		args = append(args, "--set", x)
	}
	if cgroup != "" {
		args = append([]string{"sh", "-c", `echo $$ > "$0"/cgroup.procs && exec "$@"`, cgroup}, args...)
	}
	return l.spawn(ctx, s.name, args...)
}

// spawn runs a program with its stderr in a log file of that name.
func (l *lab) spawn(ctx context.Context, name string, args ...string) (*service, error) {
	v := &service{name: name, waited: make(chan struct{}), messages: map[string]map[string]any{}, seen: make(chan struct{})}
	v.cmd = exec.CommandContext(context.WithoutCancel(ctx), args[0], args[1:]...)
	stderr, err := v.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(l.dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	if err := v.cmd.Start(); err != nil {
		return nil, err
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
		close(v.waited)
	}()
	return v, nil
}

func (v *service) note(line []byte) {
	var fields map[string]any
	if json.Unmarshal(line, &fields) != nil {
		return
	}
	message, _ := fields["msg"].(string)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.messages[message] = fields
	close(v.seen)
	v.seen = make(chan struct{})
}

// ready waits until the service consumes.
func (v *service) ready(ctx context.Context) error {
	const message = "ready"
	for {
		v.mu.Lock()
		_, ok := v.messages[message]
		seen := v.seen
		v.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-seen:
		case <-v.waited:
			return fmt.Errorf("%s ended before it said %q: %w", v.name, message, v.err)
		case <-ctx.Done():
			return fmt.Errorf("%s did not say %q: %w", v.name, message, context.Cause(ctx))
		}
	}
}

// stop sends SIGTERM and gives the exit code and the seconds it took.
func (v *service) stop() (code int, took time.Duration, err error) {
	began := time.Now()
	if err := v.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return 0, 0, err
	}
	limit := time.NewTimer(90 * time.Second)
	defer limit.Stop()
	select {
	case <-v.waited:
	case <-limit.C:
		_ = v.cmd.Process.Kill()
		<-v.waited
		return -1, time.Since(began), errors.New(v.name + " did not stop within 90 s")
	}
	return v.cmd.ProcessState.ExitCode(), time.Since(began), nil
}

// kill sends SIGKILL and waits.
func (v *service) kill() {
	_ = v.cmd.Process.Kill()
	<-v.waited
}

// cpu is the user and system time of a process that has ended.
func (v *service) cpu() time.Duration {
	return v.cmd.ProcessState.UserTime() + v.cmd.ProcessState.SystemTime()
}

// peak reads the highest resident memory so far, in bytes.
func (v *service) peak() int64 { return status(v.cmd.Process.Pid, "VmHWM:") }

func status(pid int, name string) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			kib, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kib << 10
		}
	}
	return 0
}
