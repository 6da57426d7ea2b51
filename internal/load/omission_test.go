package load

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// server answers one record after the other, 100 us each, and stands still for
// a second after three. Its queue is short, so that a stall blocks the sender,
// which is what makes careless benches forget it.
func server(start time.Time, queue <-chan int64, answer func(n int64)) {
	stalled := false
	for n := range queue {
		if !stalled && time.Since(start) > 3*time.Second {
			stalled = true
			time.Sleep(time.Second)
		}
		time.Sleep(100 * time.Microsecond)
		answer(n)
	}
}

// run loads such a server with 1,000 a second for 20 s.
func run(t *testing.T, queueSize int) (r *Recorder, sustained bool) {
	t.Helper()
	const rate, duration = 1000, 20 * time.Second
	start := time.Now()
	queue := make(chan int64, queueSize)
	r = NewRecorder(RecorderConfig{Start: start, Duration: duration})
	backlog := NewBacklog(NewSchedule(Poisson, rate, 5), 0, duration)
	answered := make(chan struct{})
	go func() { // ends when the queue is closed
		defer close(answered)
		server(start, queue, func(n int64) {
			r.Arrived(n, time.Now(), false)
			if n%100 == 0 {
				backlog.Sample(time.Since(start), r.Counts().Settled())
			}
		})
	}()
	g := Generator{Schedule: NewSchedule(Poisson, rate, 5), Duration: duration, Send: func(_ context.Context, n int64, at time.Time) error {
		if err := r.Sent(n, at, time.Now()); err != nil {
			return err
		}
		queue <- n
		return nil
	}}
	if _, err := g.Run(t.Context(), start); err != nil {
		t.Fatal(err)
	}
	close(queue)
	<-answered
	r.Finish(time.Now())
	return r, backlog.Sustained()
}

// A stall of one second in twenty touches about 5.5 % of the records, evenly
// from 1 s down to 0 (the catching up takes a ninth of a second more), so 1 % of
// all took more than 0.8 s. Measured from when they were sent, the records that
// the stall kept from being sent would look fast.
func TestAStallOfTheSystemShowsInP99(t *testing.T) {
	t.Parallel()
	for _, queueSize := range []int{1, 100_000} { // the sender blocks; it does not
		synctest.Test(t, func(t *testing.T) {
			r, sustained := run(t, queueSize)
			latency := r.Latency()
			if c := r.Counts(); c.Sent < 19_500 || c.Sent > 20_500 || c.Received != c.Sent || c.Lost != 0 {
				t.Errorf("counts %+v", c)
			}
			if p99 := latency.Percentile(99); p99 < 750*time.Millisecond || p99 > 900*time.Millisecond {
				t.Errorf("queue of %d: p99 is %v, want about 0.82 s", queueSize, p99)
			}
			if p50, longest := latency.Percentile(50), latency.Max(); p50 > time.Millisecond || longest < 990*time.Millisecond || longest > 1010*time.Millisecond {
				t.Errorf("queue of %d: p50 %v, max %v", queueSize, p50, longest)
			}
			if blocked := r.SendDelay().Max() > 900*time.Millisecond; blocked != (queueSize == 1) {
				t.Errorf("queue of %d: the sender's delay is %v", queueSize, r.SendDelay().Max())
			}
			if !sustained {
				t.Error("a stall that was made up for is taken for a rate that is too high")
			}
		})
	}
}

func TestAGrowingBacklogIsNotSustained(t *testing.T) {
	t.Parallel()
	const warmup, rate = 2 * time.Second, 1000
	for _, c := range []struct {
		capacity float64
		measured time.Duration
		want     bool
	}{
		{1000, 20 * time.Second, true},
		{960, 20 * time.Second, true},
		{940, 20 * time.Second, false},
		{500, 20 * time.Second, false},
		{920, 4 * time.Second, true}, // a tenth of a short time
		{880, 4 * time.Second, false},
	} {
		duration := warmup + c.measured
		b := NewBacklog(NewSchedule(Constant, rate, 0), warmup, duration)
		var last int64
		for at := time.Duration(0); at < duration+5*time.Second; at += 100 * time.Millisecond {
			last = b.Sample(at, int64(min(at.Seconds()*c.capacity, duration.Seconds()*rate)))
		}
		growth := b.Growth().Seconds()
		if expected := c.measured.Seconds() * (1 - c.capacity/rate); growth < expected*0.97-0.01 || growth > expected*1.03+0.01 {
			t.Errorf("%+v: the backlog grew by %.2f s, want %.2f", c, growth, expected)
		}
		if b.Sustained() != c.want {
			t.Errorf("%+v: sustained is %v, grew by %.2f s", c, b.Sustained(), growth)
		}
		if c.capacity == 500 && last < 22_000-13_600 {
			t.Errorf("the backlog at the end is %d", last)
		}
	}
}
