package load

import (
	"errors"
	"sync"
	"time"
)

// ErrBacklog says that more records are outstanding than a recorder may
// remember.
var ErrBacklog = errors.New("too many records are outstanding: the system is too far behind")

// RecorderConfig says what a recorder measures. The zero value of a field but
// Start and Duration is its default.
type RecorderConfig struct {
	// Start is instant 0 of the schedule.
	Start time.Time
	// Warmup is left out of the latencies: records due before it are counted,
	// not timed. Default 0.
	Warmup time.Duration
	// Duration is the end of the schedule, warm-up included.
	Duration time.Duration
	// MaxOutstanding bounds the memory, 8 bytes each; rounded down to a power of
	// two. Default 4 Mi: 32 MiB.
	MaxOutstanding int
}

// Counts is what became of the records. Sent = Received + DeadLettered +
// Refused + Outstanding; Finish turns Outstanding into Lost.
type Counts struct {
	Sent int64 `json:"sent"`
	// Received came back once at least.
	Received int64 `json:"received"`
	// DeadLettered came back on the dead-letter topic; they have no latency.
	DeadLettered int64 `json:"dead_lettered"`
	// Refused were not taken by the broker.
	Refused int64 `json:"refused"`
	// Duplicates came back again, on either topic.
	Duplicates int64 `json:"duplicates"`
	// Lost had not come back at the end.
	Lost        int64 `json:"lost"`
	Outstanding int64 `json:"outstanding"`
}

// Settled is how many need no more waiting for.
func (c Counts) Settled() int64 { return c.Received + c.DeadLettered + c.Refused }

// Recorder matches what was sent with what came back. Safe for concurrent use.
type Recorder struct {
	cfg RecorderConfig

	mu       sync.Mutex // guards what follows
	window   *window
	counts   Counts
	latency  *Histogram
	interval *Histogram
	delay    *Histogram
}

// NewRecorder is an empty one; it holds about 950 KiB.
func NewRecorder(cfg RecorderConfig) *Recorder {
	if cfg.MaxOutstanding <= 0 {
		cfg.MaxOutstanding = 4 << 20
	}
	return &Recorder{
		cfg: cfg, window: newWindow(cfg.MaxOutstanding),
		latency: NewHistogram(), interval: NewHistogram(), delay: NewHistogram(),
	}
}

// Sent notes that record n, which was due at the instant due, is sent now. It is
// called before the record leaves, with n counting up from 0 without gaps.
// ErrBacklog means that it was not noted: do not send it.
func (r *Recorder) Sent(n int64, due, now time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n != r.window.next {
		panic("BUG: records must be sent in order, without gaps")
	}
	since := due.Sub(r.cfg.Start)
	if !r.window.push(int64(max(since, 0))) {
		return ErrBacklog
	}
	r.counts.Sent++
	r.counts.Outstanding++
	if since >= r.cfg.Warmup {
		r.delay.Record(now.Sub(due))
	}
	return nil
}

// Arrived notes that record n was received at the instant now, from the output
// topic or, with dead, from the dead-letter topic. It is false for a number that
// was not sent.
func (r *Recorder) Arrived(n int64, now time.Time, dead bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	due, known, first := r.window.settle(n)
	switch {
	case !known:
		return false
	case !first:
		r.counts.Duplicates++
		return true
	}
	r.counts.Outstanding--
	if dead {
		r.counts.DeadLettered++
		return true
	}
	r.counts.Received++
	r.time(due, now)
	return true
}

// Refused notes that record n was not taken and will not come back.
func (r *Recorder) Refused(n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, _, first := r.window.settle(n); first {
		r.counts.Outstanding--
		r.counts.Refused++
	}
}

// time adds the latency of a record that was due so many nanoseconds after the
// start.
func (r *Recorder) time(due int64, now time.Time) {
	took := now.Sub(r.cfg.Start) - time.Duration(due)
	r.interval.Record(took)
	if time.Duration(due) >= r.cfg.Warmup {
		r.latency.Record(took)
	}
}

// Finish counts what is outstanding as lost, with its age as the latency it has
// at least. Nothing is to be noted afterwards.
func (r *Recorder) Finish(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.window.outstanding(func(due int64) { r.time(due, now) })
	r.counts.Lost, r.counts.Outstanding = r.counts.Outstanding, 0
	r.window = newWindow(1)
}

// Counts is how many there are of each fate now.
func (r *Recorder) Counts() Counts {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts
}

// Latency is a copy of the latencies, scheduled instant to receipt, of the
// records due after the warm-up.
func (r *Recorder) Latency() *Histogram {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.latency.Clone()
}

// SendDelay is a copy of how late the records were sent: what of the latency is
// the generator's own. Where it is not small beside the latency, the generator's
// machine or its client is the bottleneck.
func (r *Recorder) SendDelay() *Histogram {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.delay.Clone()
}

// TakeInterval is the latencies of what was received since the last call, the
// warm-up included: for a live view.
func (r *Recorder) TakeInterval() *Histogram {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.interval.Clone()
	r.interval.Reset()
	return taken
}
