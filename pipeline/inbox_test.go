package pipeline

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func all(waiting, _ int) int { return waiting }

func items(n int) []*Item {
	out := make([]*Item, n)
	for i := range out {
		out[i] = &Item{BatchRows: i}
	}
	return out
}

func TestInboxKeepsTheOrderOverPieces(t *testing.T) {
	t.Parallel()
	b := newInbox(100, make(chan struct{}, 1))
	want := items(90)
	var got []*Item
	for i := 0; i < len(want); i += 30 {
		b.put(want[i : i+30])
		got, _ = b.take(got, func(waiting, _ int) int { return waiting - 7 })
	}
	got, _ = b.take(got, all)
	b.close()

	if more, ended := b.take(nil, all); len(more) > 0 || !ended {
		t.Errorf("take() after the end = %d items, %t", len(more), ended)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("item %d came at place %d", got[i].BatchRows, i)
		}
	}
}

func TestInboxWithoutRoomHoldsTheReceiver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newInbox(10, make(chan struct{}, 1))
		b.put(items(10))
		began := time.Now()
		go func() {
			time.Sleep(time.Second)
			b.take(nil, func(int, int) int { return 4 }) // six are left: not worth a call of the source
			time.Sleep(time.Second)
			b.take(nil, func(int, int) int { return 1 })
		}()

		n, err := b.space(t.Context())

		if n != 5 || err != nil || time.Since(began) != 2*time.Second {
			t.Errorf("space() = %d, %v after %s, want 5 after 2s", n, err, time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		b.put(items(5))
		if _, err := b.space(ctx); err == nil {
			t.Error("space() = nil with no room, want the end of its context")
		}
	})
}

// Nobody is left asleep while items wait, and each is taken once.
func TestInboxWakesAsManyAsItTakes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newInbox(1000, make(chan struct{}, 1))
		var wg sync.WaitGroup
		var mu sync.Mutex
		taken, busy, most := 0, 0, 0
		for range 4 {
			wg.Go(func() {
				for {
					got, ok := b.next(nil, func(int, int) int { return 1 })
					if !ok {
						return
					}
					mu.Lock()
					taken += len(got)
					busy++
					most = max(most, busy)
					mu.Unlock()
					time.Sleep(time.Second)
					mu.Lock()
					busy--
					mu.Unlock()
				}
			})
		}
		synctest.Wait()
		b.put(items(4))
		synctest.Wait()
		b.put(items(8))
		b.close()
		wg.Wait()

		if taken != 12 || most != 4 {
			t.Errorf("%d of 12 items taken, at most %d at once, want 4", taken, most)
		}
	})
}

// The end comes when one is about to wait; the signals go to another, who has turned
// to the batcher for good.
func TestEndReachesOneAboutToWait(t *testing.T) {
	t.Parallel()
	b := newInbox(1, make(chan struct{}, 1))
	if !b.rest() {
		t.Fatal("rest() = false, want true: nothing is there")
	}

	b.close()
	select {
	case <-b.wake: // the other's
	default:
	}

	b.wait(nil) // a deadlock, if the end needed that signal
}
