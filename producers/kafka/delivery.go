package kafka

import (
	"errors"
	"sync"
	"time"

	"github.com/sluice-ml/sluice/pipeline"
)

// kind is what is being written for an item.
type kind uint8

const (
	prediction kind = iota
	deadLetter
	stub
)

// delivery waits for one record of an item.
type delivery struct {
	s    *Sink
	it   *pipeline.Item
	kind kind
}

// deliveries is their pool: one a record in flight.
var deliveries = sync.Pool{New: func() any { return new(delivery) }}

func newDelivery(s *Sink, it *pipeline.Item, k kind) *delivery {
	d := deliveries.Get().(*delivery)
	d.s, d.it, d.kind = s, it, k
	return d
}

// Produced implements Completion: it settles the item, or writes what comes
// instead of a record that was refused.
func (d *delivery) Produced(_ int32, _ int64, err error) {
	s, it, k := d.s, d.it, d.kind
	d.release()
	tooLarge := errors.Is(err, ErrTooLarge)
	switch {
	case err == nil:
		it.ProducedAt = time.Now().UnixNano()
		it.Settle(nil)
	case k == prediction && (tooLarge || errors.Is(err, ErrRefused)):
		s.instead(it, tooLarge)
	case k == deadLetter && tooLarge:
		w := writers.Get().(*writer)
		s.stub(w, it)
		w.clear()
		writers.Put(w)
	default:
		it.Settle(err) // I1: nothing durable, so its partition stops
	}
}

func (d *delivery) release() {
	*d = delivery{}
	deliveries.Put(d)
}

// settled takes the item of a record that is written out of its delivery.
func (d *delivery) settled(at int64) *pipeline.Item {
	it := d.it
	d.release()
	it.ProducedAt = at
	return it
}

// instead makes a prediction that cannot be written a dead letter.
func (s *Sink) instead(it *pipeline.Item, tooLarge bool) {
	it.Err = unwritten(tooLarge)
	w := writers.Get().(*writer)
	_ = s.deadLetter(w, it) // where it is refused, the item is settled with the reason
	w.clear()
	writers.Put(w)
}
