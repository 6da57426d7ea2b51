package kafka

import (
	"testing"
	"time"
)

func TestReadsEverythingAndCommitsTheEnd(t *testing.T) {
	t.Parallel()
	inBubble(t, func(w *world) {
		w.topic(4)
		w.produce(4, 250)

		r := w.reader(w.config())
		w.until(5*time.Second, "all records", func() bool { return r.count() >= 1000 })
		r.close(true)

		w.wantAll(4, 250, 1, r)
		for p := range int32(4) {
			if at := w.committed(p); at != 250 {
				w.Errorf("partition %d: committed %d, want 250", p, at)
			}
		}
	})
}
