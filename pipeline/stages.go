package pipeline

import (
	"sync"
	"time"

	"github.com/sluice-ml/sluice/internal/metrics"
)

// The stages of an item's time, in their order. Each ends where the next begins,
// so that their sum is the whole.
const (
	stageBroker  = iota // record timestamp to fetch
	stageDecode         // the codec's work
	stageQueue          // waiting for a decoder or a worker
	stageBatch          // waiting for the batch to fill, by choice (max_delay)
	stageInfer          // the run, retries included
	stageEncode         // the codec's work, with its neighbours'
	stageOrder          // waiting for an earlier one, or for the gate
	stageProduce        // until the broker has it
	stageWhole          // publish to prediction
	stageCount
)

var stageNames = [...]string{"broker", "decode", "queue", "batch", "infer", "encode", "order", "produce"}

// flushItems and flushEvery bound how old the registry's numbers are while items
// move; a collection flushes too. Guesses.
const (
	flushItems = 256
	flushEvery = int64(100 * time.Millisecond)
)

// stageTelemetry gathers times and outcomes of settled items under one mutex and
// hands them to the registry in bulk: eight histograms cost an item one lock
// instead of some thirty atomic adds. Safe for concurrent use.
type stageTelemetry struct {
	p          *Pipeline
	outcomes   [Abandoned + 1]*metrics.Series
	series     [stageCount]*metrics.Series
	rows       *metrics.Series
	batches    map[DispatchReason]*metrics.Series
	skew       *metrics.Series
	panics     *metrics.Series
	firstPanic sync.Once

	mu        sync.Mutex
	times     [stageCount]tally
	ended     [Abandoned + 1]uint64
	skewed    uint64
	pending   int
	flushedAt int64
}

// tally is a histogram of nanoseconds: per bucket how many and their sum, as
// floats because records dated 1970 would overflow an integer.
type tally struct {
	count [maxBuckets]uint64
	sum   [maxBuckets]float64
}

const maxBuckets = 24

// boundNanos are the bounds of metrics.Seconds, ascending.
var boundNanos = func() []int64 {
	var out []int64
	for _, s := range metrics.Seconds {
		out = append(out, int64(s*1e9))
	}
	if len(out) >= maxBuckets {
		panic("BUG: more histogram bounds than a tally has buckets")
	}
	return out
}()

func (t *tally) observe(took int64) {
	i := 0
	for i < len(boundNanos) && took > boundNanos[i] {
		i++
	}
	t.count[i]++
	t.sum[i] += float64(took)
}

// flush moves the tally into the series: the mean of a bucket's values lies in
// the bucket, and the sum stays.
func (t *tally) flush(s *metrics.Series) {
	for i, n := range t.count {
		if n > 0 {
			s.ObserveN(t.sum[i]/float64(n)/1e9, n)
		}
	}
	*t = tally{}
}

func newStageTelemetry(p *Pipeline) *stageTelemetry {
	r := p.tel.Metrics
	s := &stageTelemetry{p: p, batches: map[DispatchReason]*metrics.Series{}}
	items := r.Counter("sluice_items", "Items by outcome.", "outcome")
	for o := Predicted; o <= Abandoned; o++ {
		s.outcomes[o] = items.With(o.String())
	}
	stages := r.Histogram("sluice_stage_seconds", "Time of an item by stage; the stages sum up to the whole.", metrics.Seconds, "stage")
	for i, name := range stageNames {
		s.series[i] = stages.With(name)
	}
	s.series[stageWhole] = r.Histogram("sluice_publish_to_prediction_seconds", "Record timestamp to durable outcome.", metrics.Seconds).With()
	s.rows = r.Histogram("sluice_batch_rows", "Rows per batch.", metrics.Rows).With()
	reasons := r.Counter("sluice_batches", "Batches by why they left.", "reason")
	for _, reason := range []DispatchReason{ReasonFull, ReasonDelay, ReasonDeadline, ReasonIdle, ReasonDrain} {
		s.batches[reason] = reasons.With(string(reason))
	}
	s.skew = r.Counter("sluice_clock_skew", "Items whose record timestamp lay after their fetch; their broker time counts as 0.").With()
	s.panics = r.Counter("sluice_panics", "Recovered panics of codecs and models.").With()
	inFlight := r.Gauge("sluice_in_flight_items", "Items between fetch and durable outcome.").With()
	inFlightBytes := r.Gauge("sluice_in_flight_bytes", "Bytes reserved by fetched records and encoded outputs.").With()
	oldest := r.Gauge("sluice_oldest_in_flight_seconds", "Time since the fetch of the oldest item in flight.").With()
	r.OnCollect(func() {
		s.flush()
		inFlight.Set(float64(p.slots.used.Load()))
		if p.cfg.Budget != nil {
			inFlightBytes.Set(float64(p.cfg.Budget.Used()))
		}
		oldest.Set(p.oldestInFlight(now()))
	})
	return s
}

// oldestInFlight is the age in seconds since its fetch of the oldest item.
func (p *Pipeline) oldestInFlight(at int64) float64 {
	oldest := at
	p.lanes.each(func(lane *Partition) {
		if fetched, ok := lane.oldestFetch(); ok {
			oldest = min(oldest, fetched)
		}
	})
	return float64(at-oldest) / 1e9
}

// batch counts a batch that ran.
func (s *stageTelemetry) batch(reason DispatchReason, rows int) {
	s.rows.Observe(float64(rows))
	s.batches[reason].Add(1)
}

// settled counts an item's outcome and its times.
func (s *stageTelemetry) settled(it *Item, outcome Outcome) {
	at := s.ending(it, outcome)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count(it, outcome)
	s.flushIfDue(at)
}

// settledAll counts items that have their outcome in their state.
func (s *stageTelemetry) settledAll(items []*Item) {
	var at int64
	for _, it := range items {
		at = max(at, s.ending(it, it.state.outcome))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, it := range items {
		s.count(it, it.state.outcome)
	}
	s.flushIfDue(at)
}

// ending ends the item's spans and returns its time of production.
func (s *stageTelemetry) ending(it *Item, outcome Outcome) (at int64) {
	if outcome != Abandoned {
		if it.ProducedAt == 0 && !it.state.ackOnly {
			it.ProducedAt = now()
		}
		at = it.ProducedAt
		s.exemplars(it)
	}
	s.p.tracing.end(it, outcome)
	return at
}

// count adds an item's outcome and times; mu is held.
func (s *stageTelemetry) count(it *Item, outcome Outcome) {
	s.ended[outcome]++
	if outcome != Abandoned {
		s.observe(it)
	}
	s.pending++
}

// flushIfDue hands over what was gathered when it is much or old; mu is held.
func (s *stageTelemetry) flushIfDue(at int64) {
	if s.pending >= flushItems || at-s.flushedAt > flushEvery {
		s.flushedAt = at
		s.flushLocked()
	}
}

// observe splits the item's time into its stages; mu is held. A time before its
// predecessor (a clock stepped back) counts as equal to it, so the sum holds.
func (s *stageTelemetry) observe(it *Item) {
	st, at := &it.state, it.FetchedAt
	start := at
	step := func(end int64) int64 {
		d := max(0, end-at)
		at += d
		return d
	}
	if it.Timestamp >= 0 {
		start = nanos(it.Timestamp)
		if start > at { // another machine's clock is ahead
			s.skewed++
			start = at
		}
		s.times[stageBroker].observe(at - start)
	}
	queue := step(st.decodeAt)
	s.times[stageDecode].observe(step(st.decodedAt))
	if st.inferAt > 0 {
		s.times[stageBatch].observe(step(st.readyAt))
		queue += step(st.inferAt)
		s.times[stageInfer].observe(step(st.inferredAt))
		s.times[stageEncode].observe(step(st.encodedAt))
	} else {
		queue += step(st.readyAt) // expired behind others
	}
	s.times[stageQueue].observe(queue)
	s.times[stageOrder].observe(step(st.sentAt))
	if !st.ackOnly {
		s.times[stageProduce].observe(step(it.ProducedAt))
	}
	if it.Timestamp >= 0 {
		s.times[stageWhole].observe(at - start)
	}
}

// flush hands what was gathered to the registry.
func (s *stageTelemetry) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flushLocked()
}

func (s *stageTelemetry) flushLocked() {
	if s.pending == 0 {
		return
	}
	s.pending = 0
	for i := range s.times {
		s.times[i].flush(s.series[i])
	}
	for o := Predicted; o <= Abandoned; o++ {
		s.outcomes[o].Add(s.ended[o])
		s.ended[o] = 0
	}
	s.skew.Add(s.skewed)
	s.skewed = 0
}

// exemplars ties the histograms to a sampled item's trace.
func (s *stageTelemetry) exemplars(it *Item) {
	if it.state.trace == nil {
		return
	}
	sc := it.state.trace.process.SpanContext()
	trace, span := sc.TraceID(), sc.SpanID()
	e := func(took int64) *metrics.Exemplar {
		return &metrics.Exemplar{Value: float64(took) / 1e9, UnixNano: it.ProducedAt, TraceID: trace[:], SpanID: span[:]}
	}
	if it.Timestamp >= 0 && it.ProducedAt > 0 {
		s.series[stageWhole].SetExemplar(e(max(0, it.ProducedAt-nanos(it.Timestamp))))
	}
	if it.state.inferAt > 0 {
		s.series[stageInfer].SetExemplar(e(it.state.inferredAt - it.state.inferAt))
	}
}
