package main

import "context"

// deadly has the processes die of a record with the mark.
func (r *run) deadly(int) []string { return []string{"SLUICE_FAILPOINT_POISON=" + deadlyMark} }

// dieOfRecords starts again what died, as a supervisor does, until everything is
// committed: the records that kill are dead letters by then, and nobody dies any more.
func (r *run) dieOfRecords(ctx context.Context, loaded <-chan error) error {
	caughtUp := make(chan error, 1) // one value; ends with ctx, or when a minute made no progress
	for {
		died := -1
		select {
		case err := <-loaded:
			if err != nil {
				return err
			}
			loaded = nil
			go func() { caughtUp <- r.CaughtUp(ctx, r.setup.Group, r.setup.Input) }()
			continue
		case err := <-caughtUp:
			return err
		case <-r.members[0].Waited:
			died = 0
		case <-r.members[1].Waited:
			died = 1
		}
		r.harmed++
		r.deaths["a record"]++
		if err := r.launch(ctx, died); err != nil {
			return err
		}
	}
}
