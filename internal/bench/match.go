package bench

import (
	"bytes"
	"strconv"
	"sync"
	"time"

	"github.com/sluice-ml/sluice/internal/load"
	"github.com/sluice-ml/sluice/schemas"
)

// sourceHeader is where sluice names an outcome's input: topic/partition/offset.
const sourceHeader = "x-source"

// place is a record of the input topic.
type place struct {
	partition int32
	offset    int64
}

// sourceOf reads the place from an outcome's headers: a prediction's x-source,
// or what a dead letter says of its origin.
func sourceOf(rec *schemas.Record, topic string, dead bool) (place, bool) {
	if dead {
		_, info, ok := schemas.CutDeadLetter(rec.Headers)
		return place{info.Partition, info.Offset}, ok && info.Topic == topic
	}
	text, ok := rec.Header(sourceHeader)
	if !ok {
		return place{}, false
	}
	rest, ok := bytes.CutPrefix(text, []byte(topic+"/"))
	if !ok {
		return place{}, false
	}
	first, second, ok := bytes.Cut(rest, []byte("/"))
	partition, errPartition := strconv.ParseInt(string(first), 10, 32)
	offset, errOffset := strconv.ParseInt(string(second), 10, 64)
	return place{int32(partition), offset}, ok && errPartition == nil && errOffset == nil
}

// remembered is how many outcomes sources keeps that it cannot place: settled
// ones, to know a duplicate, and early ones, whose publishing was not confirmed
// yet.
const remembered = 1 << 16

// mostEarly bounds the copies of one outcome that are counted before it can be
// placed.
const mostEarly = 16

// early are the outcomes of one record that were there before the broker's
// confirmation.
type early []arrival

// arrival is one outcome.
type arrival struct {
	at   time.Time
	dead bool
}

// sources matches by place: the broker's confirmation says where a record went,
// the outcome where its input was, and either may come first. Safe for
// concurrent use.
type sources struct {
	recorder *load.Recorder

	mu       sync.Mutex // guards what follows
	numbers  map[place]int64
	early    map[place]early
	done     fifo // settled places, oldest first
	unplaced fifo // early ones
}

func newSources(r *load.Recorder) *sources {
	return &sources{recorder: r, numbers: map[place]int64{}, early: map[place]early{}}
}

// published says where record n is.
func (s *sources) published(n int64, at place) {
	if at.offset < 0 {
		return // the broker did not say: it will count as lost
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.numbers[at] = n
	for _, a := range s.early[at] {
		s.settle(n, at, a)
	}
	delete(s.early, at)
}

// outcome says that the record at a place has come back.
func (s *sources) outcome(at place, now time.Time, dead bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n, ok := s.numbers[at]; ok {
		s.settle(n, at, arrival{now, dead})
		return
	}
	known := s.early[at]
	switch len(known) {
	case 0:
		if old, full := s.unplaced.push(at); full {
			delete(s.early, old)
		}
	case mostEarly:
		return
	}
	s.early[at] = append(known, arrival{now, dead})
}

func (s *sources) settle(n int64, at place, a arrival) {
	s.recorder.Arrived(n, a.at, a.dead)
	if old, full := s.done.push(at); full && old != at {
		delete(s.numbers, old)
	}
}

// fifo holds the last places, remembered of them.
type fifo struct {
	places []place
	next   int
}

// push adds a place and returns the one it pushes out.
func (f *fifo) push(at place) (old place, full bool) {
	if len(f.places) < remembered {
		f.places = append(f.places, at)
		return place{}, false
	}
	old = f.places[f.next]
	f.places[f.next] = at
	f.next = (f.next + 1) % remembered
	return old, true
}
