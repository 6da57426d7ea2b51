package lab

import (
	"testing"
	"time"
)

func TestAProcessIsReadyUsesCPUAndStops(t *testing.T) {
	t.Parallel()
	l := &Lab{Dir: t.TempDir()}
	// The work is done by a child, so that only a tree has the time.
	script := `trap 'exit 0' TERM; sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done'; echo '{"msg":"stopped","n":3}' >&2; echo "now ready" >&2; while :; do sleep 0.05; done`
	v, err := l.Spawn(t.Context(), "child", "sh", "-c", script)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if u := UsageOf([]*Process{v}); u.CPU < 20*time.Millisecond || u.Peak < 100<<10 {
		t.Errorf("%+v used", u)
	}
	if v.Logged("stopped", "n") != 3.0 {
		t.Errorf("logged %v", v.Logged("stopped", "n"))
	}
	if code, _, err := v.Stop(); err != nil || code != 0 {
		t.Errorf("exit %d, %v", code, err)
	}
}

func TestAProcessThatEndsIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	l := &Lab{Dir: t.TempDir()}
	v, err := l.Spawn(t.Context(), "child", "sh", "-c", "exit 3")
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Ready(t.Context()); err == nil {
		t.Error("a process that ended was ready")
	}
	if !v.ended() {
		t.Error("it has not ended")
	}
	if err := StopAll([]*Process{v}); err == nil {
		t.Error("exit code 3 is no error")
	}
}
