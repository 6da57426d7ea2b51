package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"github.com/sluice-ml/sluice/deploy/bench/lab"
)

// harm is something that is done to the processes or the broker.
type harm struct {
	name, title string
	proxied     bool   // the processes reach the broker through a proxy
	model       *model // nil is affine
	// failing is what the processes, built with failpoints, get in their environment.
	failing  func(r *run, i int) []string
	measures bool // records come in until it has done, as many as that takes
	clean    bool // nothing may come twice, in either delivery level
	members  int  // that run from the start, regular ones if 0
	most     int  // per run, where it takes long; 0 for as often as asked
	do       func(r *run, ctx context.Context) error
	// during replaces do where the harm has its own times: it goes on until loaded
	// gives the load's end.
	during func(r *run, ctx context.Context, loaded <-chan error) error
}

var harms = []harm{
	{name: "none", title: "no harm", most: 1, do: func(*run, context.Context) error { return nil }},
	{name: "kill", title: "kill -9 of one of the two at random, started again at once under its name", do: (*run).kill},
	{name: "term", title: "SIGTERM of one of the two, started again when it has ended", do: (*run).term},
	{name: "freeze", title: "SIGSTOP of one of the two past its session, then SIGCONT", most: 4, do: (*run).freeze},
	{name: "churn", title: "two more members that join and leave, one of these each second; each fourth leaves by kill -9", during: (*run).churn},
	{name: "cut", title: "a proxy that cuts after some bytes, delays, throttles, half-opens, and for 10 s lets nothing through", proxied: true, do: (*run).cut},
	{name: "steps", title: "each process kills itself in a window of its commit, a join or a split batch, and is started again", model: &gather, failing: (*run).step, during: (*run).dieInSteps},
	{name: "crash", title: "records that kill the process that runs them, each time, as a model that aborts would; it is started again", model: &deadly, failing: (*run).deadly, during: (*run).dieOfRecords},
	{name: "broker", title: "kill -9 of the only broker, started again", most: 2, do: (*run).killBroker},
	{name: "leaders", title: "kill -9 of one of three brokers at random, started again: leaders and coordinators move", do: (*run).killLeader},
	{name: "recovery", title: "times to recover: kill -9, join and leave, 10 s without a network, broker killed", proxied: true, measures: true, during: measured((*run).recovery)},
	{name: "heir", title: "times to recover: a member dies inside a commit and stays away", measures: true, during: measured((*run).heirs)},
	{name: "sigterm", title: "SIGTERM of one of the two under load, nothing redone", clean: true, measures: true, during: measured((*run).sigterm)},
	{name: "rolling", title: "rolling restart of three members, nothing redone", clean: true, measures: true, members: regular + 1, during: measured((*run).rolling)},
}

func kindNames() (names []string) {
	for _, h := range harms {
		names = append(names, h.name)
	}
	return names
}

// harmUntil does the harm while records come in, at moments spread over the load.
func (r *run) harmUntil(ctx context.Context, loaded <-chan error) error {
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
		if err := r.harm.do(r, ctx); err != nil {
			return err
		}
		r.harmed++
	}
}

func (r *run) kill(ctx context.Context) error {
	i := r.random.IntN(regular)
	r.members[i].Kill()
	return r.start(ctx, i)
}

func (r *run) term(ctx context.Context) error {
	i := r.random.IntN(regular)
	if err := r.end(i); err != nil {
		return err
	}
	return r.start(ctx, i)
}

func (r *run) freeze(ctx context.Context) error {
	p := r.members[r.random.IntN(regular)]
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	err := lab.Pause(ctx, session+time.Duration(r.random.IntN(3000))*time.Millisecond)
	return errors.Join(err, p.Signal(syscall.SIGCONT))
}

func (r *run) killBroker(ctx context.Context) error { return r.restartBroker(ctx, "") }

func (r *run) killLeader(ctx context.Context) error {
	brokers, err := r.Admin.ListBrokers(ctx)
	if err != nil {
		return err
	}
	nodes := brokers.NodeIDs()
	if len(nodes) < 3 {
		return fmt.Errorf("needs three brokers, there are %d: make faults NODES=3", len(nodes))
	}
	return r.restartBroker(ctx, strconv.Itoa(int(nodes[r.random.IntN(len(nodes))])))
}

// restartBroker runs the command with the node in NODE; "" is all that there are.
func (r *run) restartBroker(ctx context.Context, node string) error {
	if r.restart == "" {
		return errors.New("needs -restart-broker")
	}
	cmd := exec.CommandContext(ctx, "bash", "-c", r.restart)
	cmd.Env = append(os.Environ(), "NODE="+node)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", r.restart, err, out)
	}
	return nil
}
