package proxy

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Mode is what happens to the bytes.
type Mode int

// The modes.
const (
	// Pass lets everything through.
	Pass Mode = iota
	// Cut resets each connection after Fault.Bytes more of its bytes: in the middle of
	// a request or an answer.
	Cut
	// Delay holds each piece back for Fault.Delay, in both directions.
	Delay
	// Throttle lets Fault.Rate bytes a second through, on each connection and way.
	Throttle
	// HalfOpen resets what is connected. New connections are accepted and never
	// answered, also when the fault is over: only the client's own limit ends them.
	HalfOpen
	// Silence lets nothing through, as a pulled cable: connections stay, new ones are
	// accepted, and what was sent arrives when the fault is over.
	Silence
)

// String is the mode's name.
func (m Mode) String() string {
	return [...]string{"pass", "cut", "delay", "throttle", "half-open", "silence"}[m]
}

// Fault is one disturbance.
type Fault struct {
	Mode  Mode
	Bytes int           // Cut
	Delay time.Duration // Delay
	Rate  int           // Throttle; bytes a second
	For   time.Duration // how long it lasts
}

// String tells it for a log.
func (f Fault) String() string {
	text := fmt.Sprintf("%v for %v", f.Mode, f.For)
	switch f.Mode {
	case Cut:
		text += fmt.Sprintf(" after %d bytes", f.Bytes)
	case Delay:
		text += fmt.Sprintf(" of %v", f.Delay)
	case Throttle:
		text += fmt.Sprintf(" to %d bytes/s", f.Rate)
	default:
	}
	return text
}

// Plan gives faults by a seed, without end. Each round has every mode once, in a new
// order.
type Plan struct {
	random *rand.Rand
	round  []Mode
}

// NewPlan is the plan of a seed.
func NewPlan(seed uint64) *Plan { return &Plan{random: rand.New(rand.NewPCG(seed, 2))} }

// Next is the next fault.
func (p *Plan) Next() Fault {
	if len(p.round) == 0 {
		p.round = []Mode{Cut, Delay, Throttle, HalfOpen, Silence}
		p.random.Shuffle(len(p.round), func(i, j int) { p.round[i], p.round[j] = p.round[j], p.round[i] })
	}
	f := Fault{Mode: p.round[0], For: p.between(500*time.Millisecond, 3*time.Second)}
	p.round = p.round[1:]
	switch f.Mode {
	case Cut: // an answer of a fetch has some ten thousand, a heartbeat some tens
		f.Bytes = 1 << p.random.IntN(16)
		f.Bytes += p.random.IntN(f.Bytes)
	case Delay:
		f.Delay = p.between(10*time.Millisecond, 300*time.Millisecond)
	case Throttle:
		f.Rate = 1 << (10 + p.random.IntN(7))
	case Silence:
		f.For = 10 * time.Second // longer than a session and a request's limit
	default:
	}
	return f
}

// between is a random duration, whole milliseconds.
func (p *Plan) between(low, high time.Duration) time.Duration {
	return low + time.Duration(p.random.Int64N(int64((high-low)/time.Millisecond)))*time.Millisecond
}
