package lab

import (
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sluice-ml/sluice/deploy/bench/stats"
)

// Limits of what a leg may see of others on the machine: the bench protocol's.
const (
	maxDeviation = 0.05
	maxSteal     = 0.03
)

// spinSteps take some 60 ms on a core of 2025.
const spinSteps = 1 << 26

// pace remembers how long the fixed loop takes on this machine.
type pace struct{ seen []float64 }

// Noise is what a leg saw of others.
type Noise struct {
	// Before and After are milliseconds of a fixed loop on all cores at once.
	Before float64 `json:"before_ms"`
	After  float64 `json:"after_ms"`
	// Deviation is how far the worse of them is from the median of all so far.
	Deviation float64 `json:"deviation"`
	// Steal is the share of the cores' time that the hypervisor gave to others.
	Steal float64 `json:"steal"`
	// Repeats is how often the leg was done again because of them.
	Repeats int `json:"repeats"`
}

// Noisy tells whether the machine was not ours alone.
func (n Noise) Noisy() bool { return n.Deviation > maxDeviation || n.Steal > maxSteal }

// Quietly does a leg between two calibrations, and again, at most so many times,
// when they say that the machine was not ours alone. An error ends it.
func (l *Lab) Quietly(maxRepeats int, leg func() error) (Noise, error) {
	for len(l.pace.seen) < 5 {
		l.pace.seen = append(l.pace.seen, spin())
	}
	for repeats := 0; ; repeats++ {
		n := Noise{Before: spin(), Repeats: repeats}
		total, stolen := coreTime()
		err := leg()
		total2, stolen2 := coreTime()
		n.After = spin()
		l.pace.seen = append(l.pace.seen, n.Before, n.After)
		usual := stats.Median(l.pace.seen)
		n.Deviation = max(n.Before, n.After)/usual - 1
		if total2 > total {
			n.Steal = float64(stolen2-stolen) / float64(total2-total)
		}
		if err != nil || !n.Noisy() || repeats == maxRepeats {
			return n, err
		}
	}
}

// spin is the milliseconds of a fixed amount of work on every core at once.
func spin() float64 {
	began := time.Now()
	var wg sync.WaitGroup
	sums := make([]uint64, runtime.NumCPU())
	for i := range sums {
		wg.Go(func() { // ends after its steps
			x := uint64(i) + 1
			for range spinSteps {
				x = x*6364136223846793005 + 1442695040888963407
			}
			sums[i] = x
		})
	}
	wg.Wait()
	if slices.Contains(sums, 0) {
		panic("BUG: the loop was left out")
	}
	return float64(time.Since(began).Microseconds()) / 1000
}

// coreTime is all cores' time since the start of the machine, and what of it was
// stolen, in ticks.
func coreTime() (total, stolen int64) {
	data, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, 0
	}
	first, _, _ := strings.Cut(string(data), "\n")
	for i, f := range strings.Fields(first) { // cpu user nice system idle iowait irq softirq steal ...
		n, _ := strconv.ParseInt(f, 10, 64)
		if i >= 1 && i <= 8 {
			total += n
		}
		if i == 8 {
			stolen = n
		}
	}
	return total, stolen
}
