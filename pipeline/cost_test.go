package pipeline

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// learn feeds runs of a machine on which every third run is disturbed.
func learn(c *costModel, fixed, perRow float64, sizes ...int) {
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 200 {
		n := sizes[i%len(sizes)]
		t := (fixed + perRow*float64(n)) * (1 + rng.Float64()/50)
		if rng.IntN(3) == 0 {
			t *= 1 + 5*rng.Float64()
		}
		c.observe(n, int64(t))
	}
}

func TestCostModelFindsTheLineAmongOutliers(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]line{
		"tiny model":        {fixed: 6_000, perRow: 750},
		"device":            {fixed: 2e6, perRow: 10_000},
		"compute bound":     {fixed: 100_000, perRow: 1.7e6},
		"rows cost nothing": {fixed: 5e6, perRow: 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var c costModel
			learn(&c, want.fixed, want.perRow, 1, 3, 8, 40, 100, 256)

			got := c.estimate()

			for _, n := range []int{1, 16, 256} {
				if r := got.at(n) / want.at(n); r < 0.9 || r > 1.1 {
					t.Errorf("t(%d) = %.0f ns, want %.0f within a tenth (%+v)", n, got.at(n), want.at(n), got)
				}
			}
		})
	}
}

func TestCostModelFollowsAChange(t *testing.T) {
	t.Parallel()
	var c costModel
	learn(&c, 6_000, 750, 1, 16, 256)
	learn(&c, 60_000, 7_500, 1, 16, 256)

	if got := c.estimate(); math.Abs(got.perRow-7_500) > 750 {
		t.Errorf("estimate() = %+v after the machine became ten times slower, want 7500 a row", got)
	}
}

func TestUpperLineCoversDisturbedRuns(t *testing.T) {
	t.Parallel()
	var c costModel
	learn(&c, 6_000, 750, 1, 16, 256)

	if got, least := c.upper().at(16), 1.5*c.estimate().at(16); got < least {
		t.Errorf("upper().at(16) = %.0f, want at least %.0f where every third run takes up to six times as long", got, least)
	}
}

// The time of a batch that met an outage holds the outage.
func TestUpperLineForgetsAnOutage(t *testing.T) {
	t.Parallel()
	var c costModel
	learn(&c, 6_000, 750, 1, 16, 256)
	normal := c.upper().at(8)
	c.observe(8, int64(10*time.Minute))
	for range 30 {
		c.observe(8, 12_000)
	}
	if got := c.upper().at(8); got > 2*normal {
		t.Errorf("upper().at(8) = %v, 30 runs after an outage of 10 minutes; before it was %v", time.Duration(got), time.Duration(normal))
	}
}

func TestRowsWithinADeadline(t *testing.T) {
	t.Parallel()
	l := line{fixed: 1e6, perRow: 1e5} // 1 ms + 0.1 ms a row
	for _, tt := range []struct {
		slack time.Duration
		want  int
	}{{time.Hour, 256}, {2 * time.Millisecond, 10}, {1100 * time.Microsecond, 1}, {time.Millisecond, 0}, {-time.Second, 0}} {
		if got := l.within(tt.slack, 256); got != tt.want {
			t.Errorf("within(%s, 256) = %d, want %d", tt.slack, got, tt.want)
		}
	}
}

// What a worker takes depends on what a batch costs, in both directions.
func TestPieceBalancesFixedTimeAgainstIdleCores(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name            string
		fixed, perRow   float64
		waiting, takers int
		least, most     int
	}{
		{"unknown cost: an equal part", 0, 0, 100, 2, 50, 50},
		{"nobody else: all, up to the limit", 2e6, 10_000, 1000, 1, 256, 256},
		{"fixed time dominates: not split", 2e6, 10_000, 256, 2, 256, 256},
		{"rows dominate: split", 6_000, 10_000, 256, 2, 2, 128},
		{"compute bound: a few rows at once", 100_000, 1.7e6, 256, 2, 2, 8},
		{"one waits", 6_000, 10_000, 1, 2, 1, 256},
	} {
		s := newSizing(256)
		s.procs = 8
		if tt.perRow > 0 {
			learn(&s.work, tt.fixed, tt.perRow, 1, 8, 64, 256)
		}
		if got := s.piece(tt.waiting, tt.takers); got < tt.least || got > tt.most {
			t.Errorf("%s: piece(%d, %d) = %d, want %d..%d", tt.name, tt.waiting, tt.takers, got, tt.least, tt.most)
		}
	}
}

// The fixed time's share stays small where much waits: the reason for 0.97 of the
// best static size.
func TestPieceOfABacklogIsCloseToTheBestSize(t *testing.T) {
	t.Parallel()
	for _, l := range []line{{6_000, 750}, {6_000, 10_000}, {100_000, 1.7e6}, {2e6, 10_000}} {
		s := newSizing(256)
		learn(&s.work, l.fixed, l.perRow, 1, 8, 64, 256)
		n := s.piece(100_000, 2)
		if got, best := l.at(n)/float64(n), l.at(256)/256; got > best/0.97 {
			t.Errorf("%+v: %d rows at once cost %.0f ns a row, the best size %.0f", l, n, got, best)
		}
	}
}
