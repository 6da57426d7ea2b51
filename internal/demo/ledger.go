package demo

import (
	"sync"
	"time"
)

// maxOutstanding is how many images may be published and not yet predicted: the
// generator waits there, as the embedded broker keeps only so much.
const maxOutstanding = 1 << 15

// recentKept is how many of the last predictions are kept for the view.
const recentKept = 24

// prediction is one answer with its truth.
type prediction struct {
	Image *image
	Label int
	Value []byte // the record, for its probabilities
}

// right is true when the model read the image as people did.
func (p *prediction) right() bool { return p.Label == p.Image.Label }

// ledger is the demo's own count of what became of each image. Safe for
// concurrent use.
type ledger struct {
	images []image

	mu           sync.Mutex
	publishedAt  [maxOutstanding]time.Time // by sequence number modulo its length; zero when settled
	published    int64
	predicted    int64
	deadLettered int64
	duplicated   int64
	unknown      int64
	correct      int64
	latency      latencies
	recent       []prediction // the newest last
	mistake      *prediction
	changed      chan struct{} // closed and replaced when something is settled
}

func newLedger(images []image) *ledger {
	return &ledger{images: images, changed: make(chan struct{})}
}

// reserve gives up to n sequence numbers to publish now, in order and from first
// on. With no room it gives none, and a channel that closes when to ask again.
func (l *ledger) reserve(n int64, now time.Time) (first, given int64, wait <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	first = l.published
	for ; given < n && l.publishedAt[l.published%maxOutstanding].IsZero(); given++ {
		l.publishedAt[l.published%maxOutstanding] = now
		l.published++
	}
	return first, given, l.changed
}

// outstanding is how many images have no outcome yet, and a channel that closes
// when that changes.
func (l *ledger) outstanding() (int64, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.published - l.predicted - l.deadLettered, l.changed
}

// arrived enters the outcomes of one fetch.
func (l *ledger) arrived(answers []answer, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range answers {
		l.settle(&answers[i], now)
	}
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *ledger) settle(a *answer, now time.Time) {
	if !a.known || a.sequence < 0 || a.sequence >= l.published {
		l.unknown++
		return
	}
	slot := &l.publishedAt[a.sequence%maxOutstanding]
	if slot.IsZero() || a.sequence < l.published-maxOutstanding {
		l.duplicated++
		return
	}
	began := *slot
	*slot = time.Time{}
	if a.dead {
		l.deadLettered++
		return
	}
	l.predicted++
	l.latency.add(now.Sub(began))
	p := prediction{Image: &l.images[a.sequence%int64(len(l.images))], Label: a.label, Value: a.value}
	if p.right() {
		l.correct++
	} else {
		l.mistake = &p
	}
	if len(l.recent) == recentKept {
		copy(l.recent, l.recent[1:])
		l.recent = l.recent[:recentKept-1]
	}
	l.recent = append(l.recent, p)
}

// tally is the ledger at one moment.
type tally struct {
	published, predicted, deadLettered, duplicated, unknown, correct int64
	latency                                                          latencies
	recent                                                           []prediction
	mistake                                                          *prediction
}

func (l *ledger) tally() tally {
	l.mu.Lock()
	defer l.mu.Unlock()
	return tally{
		published: l.published, predicted: l.predicted, deadLettered: l.deadLettered, duplicated: l.duplicated,
		unknown: l.unknown, correct: l.correct, latency: l.latency,
		recent: append([]prediction(nil), l.recent...), mistake: l.mistake,
	}
}

// lost is what was published and has no outcome.
func (t *tally) lost() int64 { return t.published - t.predicted - t.deadLettered }

// accuracy is the share of right answers, 0 before the first.
func (t *tally) accuracy() float64 { return ratio(t.correct, t.predicted) }

func ratio(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}
