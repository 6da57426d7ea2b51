package pipeline_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/sluice-ml/sluice/pipeline"
)

func TestBudgetServesWaitersInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := pipeline.NewBudget(100)
		b.Add(100)
		order := make(chan int64, 2)
		for _, n := range []int64{80, 10} {
			go func() { // ends with its bytes
				if b.Reserve(t.Context(), n) == nil {
					order <- n
				}
			}()
			synctest.Wait()
		}

		b.Release(30)
		synctest.Wait()
		if len(order) != 0 || b.TryReserve(1) {
			t.Error("a small wish overtook the large one that came first")
		}
		b.Release(70)
		synctest.Wait()

		if len(order) != 2 || b.Used() != 90 {
			t.Errorf("served %d of 2, %d bytes used, want both", len(order), b.Used())
		}
	})
}

func TestBudgetAdmitsTooMuchAlone(t *testing.T) {
	t.Parallel()
	b := pipeline.NewBudget(10)
	if !b.TryReserve(50) || b.TryReserve(1) {
		t.Error("want more than the limit admitted when alone, and nothing beside it")
	}
	b.Release(50)
	if !b.TryReserve(1) || b.TryReserve(50) {
		t.Error("want no admission beside others")
	}
}

func TestBudgetWaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := pipeline.NewBudget(10)
		b.Add(10)
		cause := errors.New("revoked")
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error, 2)
		go func() { ended <- b.Reserve(ctx, 10) }() // ends with ctx
		synctest.Wait()
		go func() { ended <- b.Reserve(t.Context(), 5) }() // ends with the release
		synctest.Wait()

		cancel(cause)
		if err := <-ended; !errors.Is(err, cause) {
			t.Errorf("Reserve = %v, want the cause", err)
		}
		b.Release(5)
		if err := <-ended; err != nil || b.Used() != 10 {
			t.Errorf("Reserve = %v with %d used, want the next waiter served", err, b.Used())
		}
	})
}
