package main

import (
	"fmt"
	"io/fs"
	"math"
	"path"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sluice-ml/sluice/internal/config"
)

// machine is what the process may use of the machine it runs on.
type machine struct {
	memory int64  // bytes, math.MaxInt64 without a limit
	from   string // whose limit that is
	files  uint64 // open files and connections
}

const (
	// memoryBesides is what the process takes with a small model besides
	// input.max_in_flight_bytes: the README's 512 MiB with the default of 256 MiB.
	memoryBesides = 256 << 20
	// leastInFlight is the smallest input.max_in_flight_bytes worth advising.
	leastInFlight = 16 << 20
	// fewFiles is below what a cluster of some dozen brokers, the admin port and the
	// runtime library together may have open.
	fewFiles = 256
)

// lookAtMachine reads the limits of the process. Root is the machine's file system:
// what cannot be read there counts as no limit.
func lookAtMachine(root fs.FS) machine {
	m := machine{memory: math.MaxInt64, files: math.MaxUint64}
	if limit := debug.SetMemoryLimit(-1); limit < m.memory { // a negative one only asks
		m.memory, m.from = limit, "GOMEMLIMIT"
	}
	if limit := cgroupLimit(root); limit < m.memory {
		m.memory, m.from = limit, "the cgroup (container)"
	}
	var files unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &files) == nil {
		m.files = files.Cur
	}
	return m
}

// cgroupLimit is the memory limit of the process's cgroup and of those around it,
// version 2 or 1.
func cgroupLimit(root fs.FS) int64 {
	limit := int64(math.MaxInt64)
	own, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return limit
	}
	for _, line := range strings.Split(strings.TrimSpace(string(own)), "\n") {
		_, rest, _ := strings.Cut(line, ":")
		controllers, group, ok := strings.Cut(rest, ":")
		base, file := "sys/fs/cgroup", "memory.max"
		switch {
		case !ok:
			continue
		case controllers != "" && !strings.Contains(","+controllers+",", ",memory,"):
			continue
		case controllers != "":
			base, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		}
		// A container may see its own group as the root, or by its path outside.
		for dir := path.Clean("/" + group); ; dir = path.Dir(dir) {
			if text, err := fs.ReadFile(root, path.Join(base, dir, file)); err == nil {
				if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil {
					limit = min(limit, n) // "max" is no number
				}
			}
			if dir == "/" {
				break
			}
		}
	}
	return limit
}

// shortages says, with the cure, what the configuration may need and the process
// does not have.
func (m machine) shortages(cfg *config.Config) []string {
	var all []string
	if need := int64(cfg.Input.MaxInFlightBytes) + memoryBesides; m.memory < need {
		text := fmt.Sprintf("%s allows %d MiB of memory, and up to %d MiB are used with a small model: give it more", m.from, m.memory>>20, need>>20)
		if rest := m.memory - memoryBesides; rest >= leastInFlight {
			text += fmt.Sprintf(", or set input.max_in_flight_bytes to %dMiB", rest>>20)
		}
		all = append(all, text)
	}
	if m.files < fewFiles {
		all = append(all, fmt.Sprintf("only %d open files are allowed (ulimit -n): connections to brokers may be refused; allow %d or more", m.files, fewFiles))
	}
	return all
}
