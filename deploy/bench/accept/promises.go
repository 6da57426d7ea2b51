package main

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// maxInFlight is the configuration's default; the duplicate bound of a kill is
// twice that.
const maxInFlight = 16384

// mlp is the usual set-up of points 1 to 4.
func (l *lab) mlp(name, in, out, dlq string) setup {
	return setup{
		name: name, input: in, output: out, dlq: dlq, group: l.id + "." + name,
		model: l.model("mlp_784_32x4_10.onnx"), modelName: "mlp",
	}
}

// onInputs is the usual set-up on the JSON records, with new outputs.
func (l *lab) onInputs(ctx context.Context, name string) (setup, error) {
	in, err := l.inputs(ctx)
	if err != nil {
		return setup{}, err
	}
	_, out, dlq, err := l.topics(ctx, name, in)
	return l.mlp(name, in, out, dlq), err
}

// pair starts two processes of one group.
func (l *lab) pair(ctx context.Context, s setup, static bool) ([]*service, error) {
	var both []*service
	for _, n := range []string{"a", "b"} {
		one := s
		one.name = s.name + "-" + n
		if static {
			one.instance = n
		}
		v, err := l.start(ctx, one, "")
		if err != nil {
			return both, err
		}
		both = append(both, v)
	}
	for _, v := range both {
		if err := v.ready(ctx); err != nil {
			return both, err
		}
	}
	return both, nil
}

func stopAll(services []*service) (facts []fact) {
	for _, v := range services {
		code, took, err := v.stop()
		facts = append(facts, fact{"SIGTERM of " + v.name, fmt.Sprintf("exit %d after %s, predicted %v", code, took.Round(time.Millisecond), v.messages["stopped"]["predicted"]), err == nil && code == 0})
	}
	return facts
}

// allPredicted is point 1.
func allPredicted(ctx context.Context, l *lab) ([]fact, error) {
	s, both, err := l.waitingPair(ctx, "p1", false)
	defer func() { killAll(both) }()
	if err != nil {
		return nil, err
	}
	if err := l.loadJSON(ctx, s.input); err != nil {
		return nil, err
	}
	if err := l.caughtUp(ctx, s.group, s.input); err != nil {
		return nil, err
	}
	lag, err := l.lag(ctx, s.group, s.input)
	if err != nil {
		return nil, err
	}
	facts := append(stopAll(both), fact{"lag after the run", fmt.Sprint(lag), lag == 0})
	defer l.drop(ctx, s.input)
	return l.outputs(ctx, facts, s.output, s.dlq, 0, 0)
}

// waitingPair is two processes of one group that share an empty input topic.
func (l *lab) waitingPair(ctx context.Context, name string, static bool) (setup, []*service, error) {
	if err := l.reference(ctx); err != nil {
		return setup{}, nil, err
	}
	in, out, dlq, err := l.topics(ctx, name, "")
	if err != nil {
		return setup{}, nil, err
	}
	s := l.mlp(name, in, out, dlq)
	both, err := l.pair(ctx, s, static)
	return s, both, err
}

func killAll(services []*service) {
	for _, v := range services {
		v.kill()
	}
}

// outputs checks an output topic and the count of its dead letters.
func (l *lab) outputs(ctx context.Context, facts []fact, out, dlq string, duplicates, dead int) ([]fact, error) {
	t, err := l.tallyOutputs(ctx, out, l.records, false)
	if err != nil {
		return facts, err
	}
	facts = append(facts, t.facts(duplicates)...)
	n, err := l.end(ctx, dlq)
	if err != nil {
		return facts, err
	}
	facts = append(facts, fact{"dead letters", fmt.Sprint(n), n == int64(dead)})
	k, err := l.kcatCount(ctx, out)
	facts = append(facts, fact{"outputs counted by kcat", fmt.Sprint(k), err == nil && (k == t.records || k < 0)})
	l.drop(ctx, out, dlq)
	return facts, err
}

// killed is point 2.
func killed(ctx context.Context, l *lab) ([]fact, error) {
	s, both, err := l.waitingPair(ctx, "p2", true)
	defer func() { killAll(both) }()
	if err != nil {
		return nil, err
	}
	loaded := make(chan error, 1)
	go func() { loaded <- l.loadJSON(ctx, s.input) }() // ends with the last record or ctx
	if err := l.moving(ctx, s.output, both[0]); err != nil {
		return nil, err
	}
	const kills = 5
	underLoad := 0
	for range kills {
		if err := pause(ctx, time.Duration(50+l.random.IntN(400))*time.Millisecond); err != nil {
			return nil, err
		}
		both[0].kill()
		if len(loaded) == 0 {
			underLoad++
		}
		one := s
		one.name, one.instance = s.name+"-a", "a"
		v, err := l.start(ctx, one, "")
		if err != nil {
			return nil, err
		}
		both[0] = v
		if err := v.ready(ctx); err != nil {
			return nil, err
		}
	}
	if err := <-loaded; err != nil {
		return nil, err
	}
	if err := l.caughtUp(ctx, s.group, s.input); err != nil {
		return nil, err
	}
	facts := append(stopAll(both), fact{"kill -9 of one process", fmt.Sprintf("%d times, %d of them while records came in", kills, underLoad), underLoad == kills})
	defer l.drop(ctx, s.input)
	return l.outputs(ctx, facts, s.output, s.dlq, kills*2*maxInFlight, 0)
}

// terminated is point 4.
func terminated(ctx context.Context, l *lab) ([]fact, error) {
	s, err := l.onInputs(ctx, "p4")
	if err != nil {
		return nil, err
	}
	const stops = 10
	var facts []fact
	var slowest time.Duration
	clean, loaded := 0, 0
	for i := range stops + 1 {
		v, err := l.start(ctx, s, "")
		if err != nil {
			return facts, err
		}
		defer v.kill()
		if i == stops {
			if err := v.ready(ctx); err != nil {
				return facts, err
			}
			err := l.caughtUp(ctx, s.group, s.input)
			facts = append(facts, stopAll([]*service{v})...)
			if err != nil {
				return facts, err
			}
			break
		}
		if err := l.moving(ctx, s.output, v); err != nil {
			return facts, err
		}
		code, took, err := v.stop()
		if err != nil {
			return facts, err
		}
		if code == 0 {
			clean++
		}
		slowest = max(slowest, took)
		lag, err := l.lag(ctx, s.group, s.input)
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
	return l.outputs(ctx, facts, s.output, s.dlq, 0, 0)
}

// moving waits until new outputs appear.
func (l *lab) moving(ctx context.Context, out string, v *service) error {
	before, err := l.end(ctx, out)
	if err != nil {
		return err
	}
	if err := v.ready(ctx); err != nil {
		return err
	}
	limit, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		now, err := l.end(limit, out)
		if err != nil {
			return err
		}
		if now > before {
			return pause(ctx, time.Duration(l.random.IntN(150))*time.Millisecond)
		}
		if err := pause(limit, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

// guiltyRows is point 5: ids of a Gather over a small table, one in 256 out of
// range, which fails the whole run.
func guiltyRows(ctx context.Context, l *lab) ([]fact, error) {
	in, out, dlq, err := l.topics(ctx, "p5", "")
	if err != nil {
		return nil, err
	}
	const n = 50_000
	bad := map[string][]byte{}
	if err := l.load(ctx, in, n, func(i int) []byte {
		id := i % 4
		if i%256 == 99 {
			id = 1_000_000
		}
		v := fmt.Appendf(nil, `{"id":"r%d","id_in":%d}`, i, id)
		if id > 3 {
			bad[string(key(i))] = v
		}
		return v
	}); err != nil {
		return nil, err
	}
	s := setup{
		name: "p5", input: in, output: out, dlq: dlq, group: l.id + ".p5", model: l.model("gather_fails.onnx"), modelName: "gather",
		extra: []string{"model.inputs.id=/id_in"},
	}
	v, err := l.start(ctx, s, "")
	if err != nil {
		return nil, err
	}
	defer v.kill()
	if err := l.caughtUp(ctx, s.group, in); err != nil {
		return nil, err
	}
	facts := append(stopAll([]*service{v}), l.deadLetters(ctx, dlq, bad)...)
	seen := map[string]int{}
	if err := l.readAll(ctx, out, func(r *kgo.Record) error { seen[string(r.Key)]++; return nil }); err != nil {
		return facts, err
	}
	wrong := 0
	for i := range n {
		_, guilty := bad[string(key(i))]
		if want := map[bool]int{false: 1, true: 0}[guilty]; seen[string(key(i))] != want {
			wrong++
		}
	}
	l.drop(ctx, in, out, dlq)
	return append(facts, fact{"innocent rows predicted once, guilty rows not at all", fmt.Sprintf("%d of %d otherwise", wrong, n), wrong == 0}), nil
}
