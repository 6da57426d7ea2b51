package main

import (
	"context"
	"time"
)

// guests are the members that come and go.
const guests = 2

// churn lets one of the guests join or leave each second: a guest that is there
// leaves, one that is not joins, so that two in a row may meet in one rebalance. None
// of them is waited for: the next change may come while the group still rebalances.
func (r *run) churn(ctx context.Context, loaded <-chan error) error {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case err := <-loaded:
			return err
		case <-ticker.C:
		}
		if err := r.change(ctx, regular+r.random.IntN(guests)); err != nil {
			return err
		}
		r.harmed++
	}
}

// change makes guest i leave or join.
func (r *run) change(ctx context.Context, i int) error {
	if r.members[i] == nil {
		return r.launch(ctx, i)
	}
	if r.random.IntN(4) == 0 {
		r.members[i].Kill()
		r.members[i] = nil
		return nil
	}
	return r.end(i)
}
