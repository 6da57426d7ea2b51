//go:build failpoint

package failpoint

import (
	"bytes"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// variable names a place and the passage at which the process dies: txn-offsets/40.
const variable = "SLUICE_FAILPOINT"

var place, left = parse(os.Getenv(variable))

func parse(text string) (string, *atomic.Int64) {
	name, count, _ := strings.Cut(text, "/")
	n, err := strconv.ParseInt(count, 10, 64)
	if err != nil {
		n = 1
	}
	left := &atomic.Int64{}
	left.Store(n)
	return name, left
}

// Here kills the process with SIGKILL if this is the place and the passage.
func Here(name string) {
	if name == place && left.Add(-1) == 0 {
		die()
	}
}

// Soon does so within 3 ms, while the caller goes on.
func Soon(name string) {
	if name == place && left.Add(-1) == 0 {
		time.AfterFunc(time.Duration(rand.Int64N(int64(3*time.Millisecond))), die)
	}
}

// poison is a text: a record whose value holds it kills the process that runs it.
var poison = []byte(os.Getenv("SLUICE_FAILPOINT_POISON"))

// Poison kills the process if a model is about to run such a record, as a model that
// aborts would.
func Poison(value []byte) {
	if len(poison) > 0 && bytes.Contains(value, poison) {
		die()
	}
}

func die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}
