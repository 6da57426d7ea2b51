package main

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-ml/sluice/deploy/bench/lab"
)

// maxInFlight is the configuration's default; the duplicate bound of a kill is
// twice that.
const maxInFlight = 16384

// mlp is the usual set-up of points 1 to 4.
func (l *campaign) mlp(name, in, out, dlq string) lab.Setup {
	return lab.Setup{
		Name: name, Input: in, Output: out, DLQ: dlq, Group: l.ID + "." + name,
		Model: l.Model("mlp_784_32x4_10.onnx"), ModelName: "mlp",
	}
}

// onInputs is the usual set-up on the JSON records, with new outputs.
func (l *campaign) onInputs(ctx context.Context, name string) (lab.Setup, error) {
	in, err := l.inputs(ctx)
	if err != nil {
		return lab.Setup{}, err
	}
	_, out, dlq, err := l.Topics(ctx, name, in)
	return l.mlp(name, in, out, dlq), err
}

// pair starts two processes of one group.
func (l *campaign) pair(ctx context.Context, s lab.Setup, static bool) ([]*lab.Process, error) {
	var both []*lab.Process
	for _, n := range []string{"a", "b"} {
		one := s
		one.Name = s.Name + "-" + n
		if static {
			one.Instance = n
		}
		v, err := l.Start(ctx, one, "")
		if err != nil {
			return both, err
		}
		both = append(both, v)
	}
	for _, v := range both {
		if err := v.Ready(ctx); err != nil {
			return both, err
		}
	}
	return both, nil
}

func stopAll(services []*lab.Process) (facts []fact) {
	for _, v := range services {
		code, took, err := v.Stop()
		facts = append(facts, fact{"SIGTERM of " + v.Name, fmt.Sprintf("exit %d after %s, predicted %v", code, took.Round(time.Millisecond), v.Logged("stopped", "predicted")), err == nil && code == 0})
	}
	return facts
}

// allPredicted is point 1.
func allPredicted(ctx context.Context, l *campaign) ([]fact, error) {
	s, both, err := l.waitingPair(ctx, "p1", false)
	defer func() { lab.KillAll(both) }()
	if err != nil {
		return nil, err
	}
	if err := l.loadJSON(ctx, s.Input); err != nil {
		return nil, err
	}
	if err := l.CaughtUp(ctx, s.Group, s.Input); err != nil {
		return nil, err
	}
	lag, err := l.Lag(ctx, s.Group, s.Input)
	if err != nil {
		return nil, err
	}
	facts := append(stopAll(both), fact{"lag after the run", fmt.Sprint(lag), lag == 0})
	defer l.Drop(ctx, s.Input)
	return l.outputs(ctx, facts, s.Output, s.DLQ, 0, 0)
}

// waitingPair is two processes of one group that share an empty input topic.
func (l *campaign) waitingPair(ctx context.Context, name string, static bool) (lab.Setup, []*lab.Process, error) {
	in, out, dlq, err := l.Topics(ctx, name, "")
	if err != nil {
		return lab.Setup{}, nil, err
	}
	s := l.mlp(name, in, out, dlq)
	both, err := l.pair(ctx, s, static)
	return s, both, err
}

// outputs checks an output topic and the count of its dead letters.
func (l *campaign) outputs(ctx context.Context, facts []fact, out, dlq string, duplicates, dead int) ([]fact, error) {
	t, err := l.tally(ctx, out)
	if err != nil {
		return facts, err
	}
	facts = append(facts, tallyFacts(t, l.records, duplicates)...)
	n, err := l.End(ctx, dlq)
	if err != nil {
		return facts, err
	}
	facts = append(facts, fact{"dead letters", fmt.Sprint(n), n == int64(dead)})
	k, err := l.kcatCount(ctx, out)
	facts = append(facts, fact{"outputs counted by kcat", fmt.Sprint(k), err == nil && (k == t.Records || k < 0)})
	l.Drop(ctx, out, dlq)
	return facts, err
}

// killed is point 2.
func killed(ctx context.Context, l *campaign) ([]fact, error) {
	s, both, err := l.waitingPair(ctx, "p2", true)
	defer func() { lab.KillAll(both) }()
	if err != nil {
		return nil, err
	}
	loaded := make(chan error, 1)
	go func() { loaded <- l.loadJSON(ctx, s.Input) }() // ends with the last record or ctx
	if err := l.moving(ctx, s.Output, both[0]); err != nil {
		return nil, err
	}
	const kills = 5
	underLoad := 0
	for range kills {
		if err := lab.Pause(ctx, time.Duration(50+l.random.IntN(400))*time.Millisecond); err != nil {
			return nil, err
		}
		both[0].Kill()
		if len(loaded) == 0 {
			underLoad++
		}
		one := s
		one.Name, one.Instance = s.Name+"-a", "a"
		v, err := l.Start(ctx, one, "")
		if err != nil {
			return nil, err
		}
		both[0] = v
		if err := v.Ready(ctx); err != nil {
			return nil, err
		}
	}
	if err := <-loaded; err != nil {
		return nil, err
	}
	if err := l.CaughtUp(ctx, s.Group, s.Input); err != nil {
		return nil, err
	}
	facts := append(stopAll(both), fact{"kill -9 of one process", fmt.Sprintf("%d times, %d of them while records came in", kills, underLoad), underLoad == kills})
	defer l.Drop(ctx, s.Input)
	return l.outputs(ctx, facts, s.Output, s.DLQ, kills*2*maxInFlight, 0)
}

// terminated is point 4.
func terminated(ctx context.Context, l *campaign) ([]fact, error) {
	s, err := l.onInputs(ctx, "p4")
	if err != nil {
		return nil, err
	}
	const stops = 10
	var facts []fact
	var slowest time.Duration
	clean, loaded := 0, 0
	for i := range stops + 1 {
		v, err := l.Start(ctx, s, "")
		if err != nil {
			return facts, err
		}
		defer v.Kill()
		if i == stops {
			if err := v.Ready(ctx); err != nil {
				return facts, err
			}
			err := l.CaughtUp(ctx, s.Group, s.Input)
			facts = append(facts, stopAll([]*lab.Process{v})...)
			if err != nil {
				return facts, err
			}
			break
		}
		if err := l.moving(ctx, s.Output, v); err != nil {
			return facts, err
		}
		code, took, err := v.Stop()
		if err != nil {
			return facts, err
		}
		if code == 0 {
			clean++
		}
		slowest = max(slowest, took)
		lag, err := l.Lag(ctx, s.Group, s.Input)
		if err != nil {
			return facts, err
		}
		if lag > 0 {
			loaded++
		}
	}
	facts = append(facts, fact{
		"SIGTERM under load", fmt.Sprintf("%d times, exit 0 %d times, %d with records waiting, slowest %s", stops, clean, loaded, slowest.Round(time.Millisecond)),
		clean == stops && loaded == stops,
	})
	return l.outputs(ctx, facts, s.Output, s.DLQ, 0, 0)
}

// moving waits until new outputs appear.
func (l *campaign) moving(ctx context.Context, out string, v *lab.Process) error {
	before, err := l.End(ctx, out)
	if err != nil {
		return err
	}
	if err := v.Ready(ctx); err != nil {
		return err
	}
	limit, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		now, err := l.End(limit, out)
		if err != nil {
			return err
		}
		if now > before {
			return lab.Pause(ctx, time.Duration(l.random.IntN(150))*time.Millisecond)
		}
		if err := lab.Pause(limit, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

// guiltyRows is point 5: ids of a Gather over a small table, one in 256 out of
// range, which fails the whole run.
func guiltyRows(ctx context.Context, l *campaign) ([]fact, error) {
	in, out, dlq, err := l.Topics(ctx, "p5", "")
	if err != nil {
		return nil, err
	}
	const n = 50_000
	bad := map[string][]byte{}
	if err := l.Load(ctx, in, n, func(i int) []byte {
		id := i % 4
		if i%256 == 99 {
			id = 1_000_000
		}
		v := fmt.Appendf(nil, `{"id":"r%d","id_in":%d}`, i, id)
		if id > 3 {
			bad[string(lab.Key(i))] = v
		}
		return v
	}); err != nil {
		return nil, err
	}
	s := lab.Setup{
		Name: "p5", Input: in, Output: out, DLQ: dlq, Group: l.ID + ".p5", Model: l.Model("gather_fails.onnx"), ModelName: "gather",
		Sets: []string{"model.inputs.id=/id_in"},
	}
	v, err := l.Start(ctx, s, "")
	if err != nil {
		return nil, err
	}
	defer v.Kill()
	if err := l.CaughtUp(ctx, s.Group, in); err != nil {
		return nil, err
	}
	facts := append(stopAll([]*lab.Process{v}), l.deadLetters(ctx, dlq, bad)...)
	seen := map[string]int{}
	if err := l.ReadAll(ctx, out, func(r *kgo.Record) error { seen[string(r.Key)]++; return nil }); err != nil {
		return facts, err
	}
	wrong := 0
	for i := range n {
		_, guilty := bad[string(lab.Key(i))]
		if want := map[bool]int{false: 1, true: 0}[guilty]; seen[string(lab.Key(i))] != want {
			wrong++
		}
	}
	l.Drop(ctx, in, out, dlq)
	return append(facts, fact{"innocent rows predicted once, guilty rows not at all", fmt.Sprintf("%d of %d otherwise", wrong, n), wrong == 0}), nil
}
