package lab

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the kernel's unit of process times as /proc tells them: USER_HZ is 100
// on every Linux that Go runs on.
const tick = 10 * time.Millisecond

// Usage is what a process tree has used so far.
type Usage struct {
	CPU  time.Duration // user and system, of the living and of children waited for
	Peak int64         // bytes: the sum of each living process's own high-water mark
}

// UsageOf adds up the trees of these processes.
func UsageOf(all []*Process) Usage {
	var u Usage
	children := childrenByParent()
	for _, v := range all {
		u.add(v.cmd.Process.Pid, children)
	}
	return u
}

func (u *Usage) add(pid int, children map[int][]int) {
	u.CPU += cpuOf(pid)
	u.Peak += peakOf(pid)
	for _, c := range children[pid] {
		u.add(c, children)
	}
}

// BrokerCPU is what the broker has used so far, 0 where KAFKA_DIR does not tell
// its process (broker.sh does).
func BrokerCPU() time.Duration {
	files, _ := filepath.Glob(filepath.Join(os.Getenv("KAFKA_DIR"), "[0-9]", "pid"))
	sum := time.Duration(0)
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			sum += cpuOf(pid)
		}
	}
	return sum
}

// childrenByParent reads the parent of every process.
func childrenByParent() map[int][]int {
	children := map[int][]int{}
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, f := range files {
		fields := statFields(f)
		if len(fields) < 2 {
			continue
		}
		pid, err1 := strconv.Atoi(filepath.Base(filepath.Dir(f)))
		parent, err2 := strconv.Atoi(fields[1])
		if err1 == nil && err2 == nil {
			children[parent] = append(children[parent], pid)
		}
	}
	return children
}

// statFields are the fields of a stat file behind the program's name, which may
// contain anything: state, ppid, ...
func statFields(path string) []string {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	return strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
}

// cpuOf is utime + stime + cutime + cstime of proc(5), fields 14 to 17.
func cpuOf(pid int) time.Duration {
	fields := statFields(fmt.Sprintf("/proc/%d/stat", pid))
	if len(fields) < 15 {
		return 0
	}
	sum := time.Duration(0)
	for _, f := range fields[11:15] {
		n, _ := strconv.ParseInt(f, 10, 64)
		sum += time.Duration(n) * tick
	}
	return sum
}

func peakOf(pid int) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kib << 10
		}
	}
	return 0
}
