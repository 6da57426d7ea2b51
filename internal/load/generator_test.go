package load

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestABlockedSenderSkipsAndMovesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now().Add(50 * time.Millisecond)
		var due, sent []time.Duration
		g := Generator{Schedule: NewSchedule(Constant, 100, 0), Duration: 5 * time.Second, Send: func(_ context.Context, n int64, at time.Time) error {
			if n != int64(len(due)) {
				t.Fatalf("number %d, want %d", n, len(due))
			}
			due, sent = append(due, at.Sub(start)), append(sent, time.Since(start))
			if n == 100 {
				time.Sleep(2 * time.Second)
			}
			return nil
		}}
		n, err := g.Run(t.Context(), start)
		if err != nil || n != 500 || len(due) != 500 {
			t.Fatalf("%d sent, %v", n, err)
		}
		for i := range due {
			want := time.Duration(i) * 10 * time.Millisecond
			if d := due[i] - want; d < -time.Microsecond || d > time.Microsecond {
				t.Fatalf("record %d was due at %v, want %v", i, due[i], want)
			}
			late := sent[i] - due[i]
			switch {
			case i <= 100 || i >= 300: // on time; virtual timers are exact
				if late != 0 {
					t.Errorf("record %d was sent %v late", i, late)
				}
			case late <= 0 || sent[i] > due[300]+10*time.Millisecond:
				t.Errorf("record %d, due while the sender was blocked, was sent at %v", i, sent[i])
			}
		}
	})
}

func TestATickSavesWakeUpsAndMovesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start, wakeUps, last := time.Now(), 0, time.Time{}
		g := Generator{Schedule: NewSchedule(Constant, 1000, 0), Duration: time.Second, Tick: 10 * time.Millisecond, Send: func(_ context.Context, n int64, at time.Time) error {
			if due := start.Add(time.Duration(n) * time.Millisecond); at.Sub(due).Abs() > time.Microsecond || time.Since(at) > 10*time.Millisecond {
				t.Errorf("record %d due at %v was sent %v late", n, at.Sub(start), time.Since(at))
			}
			if now := time.Now(); now != last {
				wakeUps, last = wakeUps+1, now
			}
			return nil
		}}
		if n, err := g.Run(t.Context(), start); n != 1000 || err != nil {
			t.Fatalf("%d sent, %v", n, err)
		}
		if wakeUps > 110 {
			t.Errorf("%d wake-ups for 100 ticks", wakeUps)
		}
	})
}

func TestARunEndsWithItsContextOrItsSender(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("enough")
		time.AfterFunc(time.Second, func() { cancel(why) })
		nothing := func(context.Context, int64, time.Time) error { return nil }
		g := Generator{Schedule: NewSchedule(Constant, 0.5, 0), Duration: time.Hour, Send: nothing}
		if n, err := g.Run(ctx, time.Now()); n != 1 || !errors.Is(err, why) {
			t.Errorf("%d sent, %v", n, err)
		}
		g = Generator{Schedule: NewSchedule(Constant, 10, 0), Duration: time.Hour, Send: func(_ context.Context, n int64, _ time.Time) error {
			if n == 3 {
				return ErrBacklog
			}
			return nil
		}}
		if n, err := g.Run(t.Context(), time.Now()); n != 3 || !errors.Is(err, ErrBacklog) {
			t.Errorf("%d sent, %v", n, err)
		}
	})
}

func TestKeysReadBack(t *testing.T) {
	t.Parallel()
	k := Keys{Prefix: "b1-"}
	for _, n := range []int64{0, 7, 10, 123_456_789_012} {
		if got, ok := k.Parse(k.Append(nil, n)); !ok || got != n {
			t.Errorf("%d: %d, %v", n, got, ok)
		}
	}
	for _, foreign := range []string{"", "b1-", "b2-1", "b1-x", "b1--1", "b1-01", "b1-1 ", "b1-9999999999999999999"} {
		if n, ok := k.Parse([]byte(foreign)); ok {
			t.Errorf("%q is taken for %d", foreign, n)
		}
	}
}
