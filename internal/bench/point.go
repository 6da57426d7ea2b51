package bench

import (
	"time"

	"github.com/sluice-ml/sluice/internal/load"
)

// Latency is a distribution in seconds.
type Latency struct {
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99.9"`
	Max  float64 `json:"max"`
}

func newLatency(h *load.Histogram) Latency {
	return Latency{
		Mean: h.Mean().Seconds(), P50: h.Percentile(50).Seconds(), P90: h.Percentile(90).Seconds(),
		P99: h.Percentile(99).Seconds(), P999: h.Percentile(99.9).Seconds(), Max: h.Max().Seconds(),
	}
}

// Point is what one rate gave. Counts include the warm-up.
type Point struct {
	// Rate is what was asked for, Received what came back in the measured time,
	// both per second.
	Rate         float64   `json:"rate"`
	ReceivedRate float64   `json:"received_rate"`
	Started      time.Time `json:"started"`
	load.Counts
	// Measured is how many latencies there are: the records due after the
	// warm-up that came back or were lost.
	Measured int64   `json:"measured"`
	Latency  Latency `json:"latency_seconds"`
	// SendDelay is how late the records were sent, which the latency contains.
	SendDelay Latency `json:"send_delay_seconds"`
	// BacklogGrowth is how much more was outstanding at the end than at the
	// beginning, as seconds of load. Sustained: 1 s at most, and the generator was
	// not cut short by the backlog.
	BacklogGrowth float64 `json:"backlog_growth_seconds"`
	Sustained     bool    `json:"sustained"`
	// Knee marks the sustained rate with the most throughput per latency.
	Knee        bool `json:"knee,omitempty"`
	Interrupted bool `json:"interrupted,omitempty"`

	// Histogram has every latency; End is when it was complete.
	Histogram *load.Histogram `json:"-"`
	End       time.Time       `json:"-"`
}

// Complete says that each record came back once, as a prediction.
func (p *Point) Complete() bool {
	return p.Lost+p.DeadLettered+p.Refused+p.Duplicates == 0
}

// SenderLate says that so much of the latency is the generator's own that the
// system under test cannot be judged by it.
func (p *Point) SenderLate() bool {
	return p.SendDelay.P99 > 0.001 && p.SendDelay.P99 > p.Latency.P99/4
}

func (t *trial) point(backlog *load.Backlog, behind, interrupted bool) *Point {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.recorder.Latency()
	p := &Point{
		Rate: t.rate, Started: t.start, Counts: t.recorder.Counts(), Measured: h.Count(), Latency: newLatency(h),
		SendDelay: newLatency(t.recorder.SendDelay()), BacklogGrowth: backlog.Growth().Seconds(),
		Sustained: backlog.Sustained() && !behind, Interrupted: interrupted, Histogram: h, End: time.Now(),
	}
	if span := (t.edges[1].since - t.edges[0].since).Seconds(); span > 0 {
		p.ReceivedRate = float64(t.edges[1].received-t.edges[0].received) / span
	}
	return p
}
