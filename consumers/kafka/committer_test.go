package kafka

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// A commit is under way, slow at the broker, when the member stops: it must not
// arrive behind the last one and take the group back.
func TestASlowCommitDoesNotFollowTheLastOne(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(1)
		w.produce(1, 10)
		var commits atomic.Int32
		var handling, overlap atomic.Bool
		w.cluster.ControlKey(int16(kmsg.OffsetCommit), func(kmsg.Request) (kmsg.Response, error, bool) {
			w.cluster.KeepControl()
			overlap.Store(overlap.Load() || handling.Load())
			if commits.Add(1) == 1 {
				handling.Store(true)
				w.cluster.SleepControl(func() { time.Sleep(500 * time.Millisecond) })
				handling.Store(false)
			}
			return nil, nil, false
		})
		r := w.reader(w.config())
		w.until(time.Second, "a commit under way", func() bool { return commits.Load() == 1 })
		w.produce(1, 10)
		w.until(time.Second, "all records", func() bool { return r.count() == 20 })
		r.close(true)
		time.Sleep(time.Second)
		if overlap.Load() {
			t.Error("the last commit was sent while the broker still had another one")
		}
		if at := w.committed(0); at != 20 {
			t.Errorf("committed %d after a clean stop, want 20", at)
		}
	})
}
