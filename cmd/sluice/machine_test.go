package main

import (
	"math"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/sluice-ml/sluice/internal/config"
)

func TestCgroupLimitsAreFound(t *testing.T) {
	t.Parallel()
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	for name, c := range map[string]struct {
		root fstest.MapFS
		want int64
	}{
		"nothing to read": {fstest.MapFS{}, math.MaxInt64},
		"no limit":        {fstest.MapFS{"proc/self/cgroup": file("0::/a\n"), "sys/fs/cgroup/a/memory.max": file("max\n")}, math.MaxInt64},
		"its own": {fstest.MapFS{
			"proc/self/cgroup": file("0::/a/b\n"), "sys/fs/cgroup/a/b/memory.max": file("1000\n"),
			"sys/fs/cgroup/a/memory.max": file("max\n"),
		}, 1000},
		"that around it": {fstest.MapFS{
			"proc/self/cgroup": file("0::/a/b\n"), "sys/fs/cgroup/a/b/memory.max": file("1000\n"),
			"sys/fs/cgroup/a/memory.max": file("500\n"),
		}, 500},
		"in a container": {fstest.MapFS{"proc/self/cgroup": file("0::/\n"), "sys/fs/cgroup/memory.max": file("700\n")}, 700},
		"version 1": {fstest.MapFS{
			"proc/self/cgroup": file("3:cpu:/x\n2:memory,other:/x\n"),
			"sys/fs/cgroup/memory/x/memory.limit_in_bytes": file("900\n"), "sys/fs/cgroup/x/memory.max": file("1\n"),
		}, 900},
	} {
		if got := cgroupLimit(c.root); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}

func TestShortagesAreToldWithTheCure(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	if got := (machine{memory: 512 << 20, files: 1024}).shortages(cfg); len(got) > 0 {
		t.Errorf("enough: %q", got)
	}
	got := strings.Join((machine{memory: 300 << 20, from: "GOMEMLIMIT", files: 64}).shortages(cfg), "\n")
	for _, want := range []string{"GOMEMLIMIT allows 300 MiB", "up to 512 MiB", "input.max_in_flight_bytes to 44MiB", "only 64 open files", "ulimit -n"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in %q", want, got)
		}
	}
	if lookAtMachine(fstest.MapFS{}).files == 0 {
		t.Error("the limit of open files was not read")
	}
}
