package kafka

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluice-ml/sluice/pipeline/pipelinetest"
)

// An instance dies between the commit of its offsets and the end of the transaction,
// and does not come back: its heir does not wait for the transaction's timeout.
func TestHeirEndsTheTransactionOfADeadOwner(t *testing.T) {
	t.Parallel()
	for name, opts := range protocols() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(w *world) {
				w.exactTopics(2)
				const never = 10 * time.Minute
				dead := w.exact("a", &pipelinetest.Model{}, never)
				w.feed(2, 0, 50, nil)
				w.caughtUp(2)
				ends := w.cluster.Fault(kfake.Fault{
					Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true, Err: kerr.ConcurrentTransactions, Count: -1,
				})
				w.feed(2, 50, 100, nil)
				w.until(5*time.Second, "a transaction is about to end", func() bool { return ends.Hits() > 0 })
				dead.kill()
				ends.Remove()
				died := time.Now()

				heir := w.exact("b", &pipelinetest.Model{}, never)
				w.until(w.config().SessionTimeout+1500*time.Millisecond, "the heir goes on", func() bool {
					return w.committed(0) == 100 && w.committed(1) == 100
				})
				w.Logf("%v after the death", time.Since(died))
				if err := heir.stop(); err != nil {
					w.Error(err)
				}
				w.wantOnce(2, 100, nil)
			}, opts...)
		})
	}
}

// One that dies inside a transaction each time it comes back is waited for no longer the
// third time than the first.
func TestHeirServesEachLifeOfAnOwner(t *testing.T) {
	t.Parallel()
	for name, opts := range protocols() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(w *world) {
				w.exactTopics(2)
				const never = 10 * time.Minute
				heir := w.exact("b", &pipelinetest.Model{}, never)
				for life := range 4 {
					from, to := 100*life, 100*life+100
					dead := w.exact("a", &pipelinetest.Model{}, never)
					w.until(30*time.Second, "it has a partition", func() bool { st := dead.src.Status(); return len(st.Partitions) == 1 })
					w.feed(2, from, from+50, nil)
					w.caughtUp(2)
					ends := w.cluster.Fault(kfake.Fault{
						Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true, Err: kerr.ConcurrentTransactions, Count: -1,
					})
					w.feed(2, from+50, to, nil)
					w.until(5*time.Second, "two transactions are about to end", func() bool { return ends.Hits() > 3 })
					dead.kill()
					ends.Remove()
					w.until(w.config().SessionTimeout+1500*time.Millisecond, "the heir goes on", func() bool {
						return w.committed(0) == int64(to) && w.committed(1) == int64(to)
					})
				}
				if err := heir.stop(); err != nil {
					w.Error(err)
				}
				w.wantOnce(2, 400, nil)
			}, opts...)
		})
	}
}
