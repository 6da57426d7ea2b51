package modelbench

import (
	"fmt"

	"github.com/sluice-ml/sluice/internal/plot"
)

// Recommendation is for the configuration: model.workers and
// model.batch.max_rows.
type Recommendation struct {
	Workers int    `json:"workers"`
	MaxRows int    `json:"max_rows"`
	Why     string `json:"why"`
}

// enough is the share of the best throughput that a batch must reach: what is
// left is bought with twice the latency.
const enough = 0.95

// Recommend chooses the workers with the most rows per second, and for them the
// smallest batch with nearly as many. The service runs each batch on one thread,
// so only such choices are considered; nil when none was measured.
func Recommend(cells []*Cell) *Recommendation {
	best := fastest(cells, func(c *Cell) bool { return c.IntraOp == 1 })
	if best == nil {
		return nil
	}
	chosen := best
	for _, c := range cells {
		if c.Threads == best.Threads && c.RowsPerSecond >= enough*best.RowsPerSecond && c.Rows < chosen.Rows {
			chosen = c
		}
	}
	r := &Recommendation{Workers: chosen.Workers, MaxRows: chosen.Rows}
	r.Why = fmt.Sprintf("%d %s with batches of %d do %s rows/s at a median of %s a run", chosen.Workers, workersWord(chosen.Workers), chosen.Rows,
		plot.Digits(chosen.RowsPerSecond), plot.Seconds(chosen.P50))
	if chosen != best {
		r.Why += fmt.Sprintf(", which is %.0f %% of the most seen; that takes batches of %d and %s a run", 100*chosen.RowsPerSecond/best.RowsPerSecond, best.Rows, plot.Seconds(best.P50))
	} else {
		r.Why += ", the most seen"
	}
	if last := largest(cells, best.Threads); best == last && chosen == best && chosen.Rows > 1 {
		r.Why += "; it still grows, so try larger batches"
	}
	if other := fastest(cells, func(c *Cell) bool { return c.IntraOp > 1 }); other != nil && other.RowsPerSecond > 1.1*best.RowsPerSecond {
		r.Why += fmt.Sprintf("; %d threads in a run would do %s rows/s, but run uses one", other.IntraOp, plot.Digits(other.RowsPerSecond))
	}
	return r
}

func workersWord(n int) string {
	if n == 1 {
		return "worker"
	}
	return "workers"
}

// fastest is the cell with the most rows per second of those that ok takes.
func fastest(cells []*Cell, ok func(*Cell) bool) *Cell {
	var best *Cell
	for _, c := range cells {
		if ok(c) && (best == nil || c.RowsPerSecond > best.RowsPerSecond) {
			best = c
		}
	}
	return best
}

func largest(cells []*Cell, t Threads) *Cell {
	var last *Cell
	for _, c := range cells {
		if c.Threads == t && (last == nil || c.Rows > last.Rows) {
			last = c
		}
	}
	return last
}
