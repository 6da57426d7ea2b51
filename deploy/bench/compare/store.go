package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"time"

	"github.com/sluice-ml/sluice/deploy/bench/lab"
	"github.com/sluice-ml/sluice/deploy/bench/stats"
)

// key names a leg. The zero Round of latency's searches is their only one.
type key struct {
	Point     string `json:"point"`
	Payload   string `json:"payload"`
	Contender string `json:"contender"`
	Variant   string `json:"variant,omitempty"`
	Round     int    `json:"round"`
}

// leg is one measured thing, as it stands in the work folder.
type leg struct {
	key
	At      time.Time      `json:"at"`
	Took    float64        `json:"took_s"`
	Noise   lab.Noise      `json:"noise"`
	Drain   *lab.Drained   `json:"drain,omitempty"`
	Latency *lab.Latencies `json:"latency,omitempty"`
	Limit   *limit         `json:"limit,omitempty"`
	Search  *found         `json:"search,omitempty"`
}

// store is the legs of a run, and of those that went on with it, one JSON line each.
type store struct {
	legs      []leg
	arguments []string // of the runs
	index     map[key]int
	file      *os.File
}

// begun is the line of a run that begins.
type begun struct {
	Arguments string `json:"arguments"`
}

// openStore reads what an earlier run left, or begins anew and keeps the old
// file under another name.
func openStore(path string, resume bool) (*store, error) {
	s := &store{index: map[key]int{}}
	if !resume {
		if err := os.Rename(path, path+".old"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	s.file = f
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		var g struct {
			leg
			begun
		}
		if err := json.Unmarshal(lines.Bytes(), &g); err != nil {
			// Only the last line can be half: the run was killed while it wrote.
			fmt.Fprintf(os.Stderr, "bench: %s:%d is left out: %v\n", path, n, err)
			continue
		}
		if g.Arguments != "" {
			s.arguments = append(s.arguments, g.Arguments)
			continue
		}
		s.put(g.leg)
	}
	return s, lines.Err()
}

func (s *store) put(g leg) {
	if i, ok := s.index[g.key]; ok {
		s.legs[i] = g
		return
	}
	s.index[g.key] = len(s.legs)
	s.legs = append(s.legs, g)
}

// begin notes a run that adds legs.
func (s *store) begin(arguments string) error {
	s.arguments = append(s.arguments, arguments)
	return s.write(begun{arguments})
}

// add keeps a leg, on disk first.
func (s *store) add(g leg) error {
	if err := s.write(g); err != nil {
		return err
	}
	s.put(g)
	return nil
}

func (s *store) write(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = s.file.Write(append(line, '\n'))
	return err
}

func (s *store) close() { _ = s.file.Close() }

// get finds a leg, nil where there is none.
func (s *store) get(k key) *leg {
	if i, ok := s.index[k]; ok {
		return &s.legs[i]
	}
	return nil
}

// rounds is how many rounds there are of the legs like k.
func (s *store) rounds(k key) int {
	n := 0
	for _, g := range s.legs {
		if k.Round = g.Round; g.key == k {
			n = max(n, g.Round+1)
		}
	}
	return n
}

// series is a figure of each round of the legs like k: NaN where a round lacks
// it or is void.
func (s *store) series(k key, figure func(*leg) float64) []float64 {
	out := make([]float64, s.rounds(k))
	for i := range out {
		k.Round = i
		if out[i] = math.NaN(); s.get(k) != nil {
			out[i] = figure(s.get(k))
		}
	}
	return out
}

// median is that of a series, the rounds without a figure left out.
func (s *store) median(k key, figure func(*leg) float64) float64 {
	return stats.Median(present(s.series(k, figure)))
}

func present(values []float64) []float64 {
	var out []float64
	for _, v := range values {
		if !math.IsNaN(v) {
			out = append(out, v)
		}
	}
	return out
}

// The figures of a drain.

func drained(figure func(*lab.Drained) float64) func(*leg) float64 {
	return func(g *leg) float64 {
		if g.Drain == nil || g.Drain.Void != "" {
			return math.NaN()
		}
		return figure(g.Drain)
	}
}

var (
	rate   = drained(func(d *lab.Drained) float64 { return d.Rate })
	cpu    = drained(func(d *lab.Drained) float64 { return known(d.CPU) })
	broker = drained(func(d *lab.Drained) float64 { return known(d.Broker) })
	peak   = drained(func(d *lab.Drained) float64 { return float64(d.Peak) / (1 << 20) })
)

// known is NaN for the 0 of a drain that was over between two looks at it.
func known(v float64) float64 {
	if v == 0 {
		return math.NaN()
	}
	return v
}
