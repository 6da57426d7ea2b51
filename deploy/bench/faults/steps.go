package main

import (
	"context"
	"fmt"

	"github.com/sluice-ml/sluice/internal/failpoint"
)

// windows are the places to die in, by delivery level.
var windows = map[string][]string{
	exactlyOnce: {failpoint.TxnBegin, failpoint.TxnProduced, failpoint.TxnOffsets, failpoint.TxnEnding, failpoint.TxnEnded, failpoint.Joining, failpoint.Bisecting},
	atLeastOnce: {failpoint.Committing, failpoint.Committed, failpoint.Joining, failpoint.Bisecting},
}

// step chooses where member i dies next, each place in turn, after 1 to 8 passages, and
// every second time after 25 to 40: who dies each time within its first commits is in a
// crash loop, for which a record is sought that is to blame (README.md of
// consumers/kafka). A member joins once at its start, and then perhaps never again.
func (r *run) step(i int) []string {
	if r.quiet {
		return nil
	}
	all := windows[r.delivery]
	r.place[i] = all[r.started%len(all)]
	r.started++
	passage := 1 + r.random.IntN(8)
	if r.long[i] = !r.long[i]; r.long[i] {
		passage = 25 + r.random.IntN(16)
	}
	if r.place[i] == failpoint.Joining {
		passage, r.long[i] = 1, false
	}
	return []string{fmt.Sprintf("SLUICE_FAILPOINT=%s/%d", r.place[i], passage)}
}

// dieInSteps starts again what died, while records come in. At the end the two are
// started once more without a place to die in.
func (r *run) dieInSteps(ctx context.Context, loaded <-chan error) error {
	for {
		died := -1
		select {
		case err := <-loaded:
			if err != nil {
				return err
			}
			r.quiet = true
			for i := range regular {
				r.members[i].Kill()
				if err := r.start(ctx, i); err != nil {
					return err
				}
			}
			return nil
		case <-r.members[0].Waited:
			died = 0
		case <-r.members[1].Waited:
			died = 1
		}
		r.harmed++
		r.deaths[r.place[died]]++
		if err := r.launch(ctx, died); err != nil {
			return err
		}
	}
}
