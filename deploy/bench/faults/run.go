package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-ml/sluice/deploy/bench/lab"
)

// session is short, so that a frozen process is given up within a run.
const session = 6 * time.Second

// run is one campaign of one kind and seed.
type run struct {
	*campaign
	harm    harm
	seed    uint64
	random  *rand.Rand
	setup   lab.Setup
	members [2]*lab.Process
	codes   map[int]int // exit codes of processes that were asked to end
	harmed  int
	// deaths counts, per place, the processes that died where they were told to.
	deaths  map[string]int
	place   [2]string // where each member dies next
	started int
	quiet   bool // nobody dies any more
}

// harm is something that is done to the processes or the broker.
type harm struct {
	name, title string
	most        int // per run, where it takes long; 0 for as often as asked
	do          func(ctx context.Context, r *run) error
}

var harms = []harm{
	{"none", "no harm", 1, func(context.Context, *run) error { return nil }},
	{"kill", "kill -9 of one of the two at random, started again at once under its name", 0, func(ctx context.Context, r *run) error { return r.kill(ctx) }},
	{"term", "SIGTERM of one of the two, started again when it has ended", 0, func(ctx context.Context, r *run) error { return r.term(ctx) }},
	{"freeze", "SIGSTOP of one of the two past its session, then SIGCONT", 4, func(ctx context.Context, r *run) error { return r.freeze(ctx) }},
	{"steps", "each process kills itself in a window of its commit, and is started again", 0, nil},
	{"broker", "kill -9 of the only broker, started again", 2, func(ctx context.Context, r *run) error { return r.killBroker(ctx) }},
}

func kindNames() (names []string) {
	for _, h := range harms {
		names = append(names, h.name)
	}
	return names
}

// one loads, harms and checks.
func (c *campaign) one(ctx context.Context, h harm, seed uint64) error {
	r := &run{campaign: c, harm: h, seed: seed, random: rand.New(rand.NewPCG(seed, 1)), codes: map[int]int{}, deaths: map[string]int{}}
	name := fmt.Sprintf("%s%d", h.name, seed)
	in, out, dlq, err := c.Topics(ctx, name, "")
	if err != nil {
		return err
	}
	defer c.Drop(context.WithoutCancel(ctx), in, out, dlq)
	r.setup = lab.Setup{
		Name: name, Input: in, Output: out, DLQ: dlq, Group: c.ID + "." + name, Model: c.Model("affine.onnx"), ModelName: "affine",
		Sets: append([]string{"output.delivery=" + c.delivery, fmt.Sprintf("input.session_timeout=%v", session)}, c.sets...),
	}
	defer func() {
		for _, p := range r.members {
			if p != nil {
				p.Kill()
			}
		}
	}()
	for i := range r.members {
		if err := r.start(ctx, i); err != nil {
			return err
		}
	}
	began := time.Now()
	loaded := make(chan error, 1)
	go func() { loaded <- r.load(ctx) }() // ends with the last record or ctx
	if h.name == "steps" {
		err = r.dieInSteps(ctx, loaded)
	} else {
		err = r.harmUntil(ctx, loaded)
	}
	if err == nil {
		err = c.CaughtUp(ctx, r.setup.Group, in)
	}
	caughtUp := time.Since(began)
	for i := range r.members {
		err = errors.Join(err, r.end(i))
	}
	if err != nil {
		return errors.Join(err, c.write(fmt.Sprintf("\n## %s, seed %d: stopped by %v\n", h.title, seed, err)))
	}
	t, err := r.tally(ctx)
	if err != nil {
		return err
	}
	return errors.Join(r.report(t, caughtUp), t.violation(c.delivery))
}

// start runs member i and waits until it consumes.
func (r *run) start(ctx context.Context, i int) error {
	if err := r.launch(ctx, i); err != nil {
		return err
	}
	return r.members[i].Ready(ctx)
}

// launch runs member i.
func (r *run) launch(ctx context.Context, i int) error {
	one := r.setup
	one.Instance = string(rune('a' + i))
	one.Name += "-" + one.Instance
	if r.harm.name == "steps" && !r.quiet {
		one.Bin = r.failing
		one.Env = []string{"SLUICE_FAILPOINT=" + r.failpoint(i)}
	}
	p, err := r.Start(ctx, one, "")
	if err != nil {
		return err
	}
	r.members[i] = p
	return nil
}

// load publishes the records at the rate; the last ones only when the harm is done.
func (r *run) load(ctx context.Context) error {
	const chunk = 100
	ticker := time.NewTicker(time.Second * chunk / time.Duration(r.rate))
	defer ticker.Stop()
	for from := 0; from < r.records; from += chunk {
		records := make([]*kgo.Record, 0, chunk)
		for id := from; id < min(from+chunk, r.records); id++ {
			records = append(records, r.record(id))
		}
		if err := r.Client.ProduceSync(ctx, records...).FirstErr(); err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// harmUntil does the harm while records come in, at moments spread over the load.
func (r *run) harmUntil(ctx context.Context, loaded chan error) error {
	times := r.harms
	if r.harm.most > 0 {
		times = min(times, r.harm.most)
	}
	whole := time.Duration(r.records) * time.Second / time.Duration(r.rate)
	for {
		mean := whole / time.Duration(times+1)
		timer := time.NewTimer(mean/4 + time.Duration(r.random.Int64N(int64(mean))))
		select {
		case err := <-loaded:
			timer.Stop()
			return err
		case <-timer.C:
		}
		if r.harm.most > 0 && r.harmed >= r.harm.most {
			continue
		}
		if err := r.harm.do(ctx, r); err != nil {
			return err
		}
		r.harmed++
	}
}

func (r *run) kill(ctx context.Context) error {
	i := r.random.IntN(2)
	r.members[i].Kill()
	return r.start(ctx, i)
}

func (r *run) term(ctx context.Context) error {
	i := r.random.IntN(2)
	if err := r.end(i); err != nil {
		return err
	}
	return r.start(ctx, i)
}

// end asks member i to end.
func (r *run) end(i int) error {
	code, _, err := r.members[i].Stop()
	r.codes[code]++
	return err
}

func (r *run) freeze(ctx context.Context) error {
	p := r.members[r.random.IntN(2)]
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	err := lab.Pause(ctx, session+time.Duration(r.random.IntN(3000))*time.Millisecond)
	return errors.Join(err, p.Signal(syscall.SIGCONT))
}

func (r *run) killBroker(ctx context.Context) error {
	if r.restart == "" {
		return errors.New("needs -restart-broker")
	}
	out, err := exec.CommandContext(ctx, "bash", "-c", r.restart).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", r.restart, err, out)
	}
	return nil
}
