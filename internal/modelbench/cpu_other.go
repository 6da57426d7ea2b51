//go:build !unix

package modelbench

import "time"

// cpuTime is not known here.
func cpuTime() time.Duration { return 0 }
