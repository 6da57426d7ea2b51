package kafka

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// maxRetryInterval is the longest pause between two tries at run time.
const maxRetryInterval = 30 * time.Second

// newBackoff doubles from first up to limit, with jitter, and never gives up:
// at run time an outage is waited for, however long.
func newBackoff(first, limit time.Duration) *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(first),
		backoff.WithMaxInterval(limit),
		backoff.WithMultiplier(2),
		backoff.WithRandomizationFactor(0.2),
		backoff.WithMaxElapsedTime(0),
	)
}

// pause waits for d or until ctx is done; false when ctx ended it.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// nudge wakes the receiver of a channel of size 1; a nudge that is already
// there covers this one.
func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
