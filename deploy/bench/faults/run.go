package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-ml/sluice/deploy/bench/lab"
	"github.com/sluice-ml/sluice/deploy/bench/proxy"
)

// session is short, so that a frozen process is given up within a run.
const session = 6 * time.Second

// inFlight is below the default, so that the bound on what comes twice says something.
const inFlight = 1024

// regular members are there for the whole run; a kind may have more for a while.
const regular = 2

// run is one campaign of one kind and seed.
type run struct {
	*campaign
	harm    harm
	seed    uint64
	random  *rand.Rand
	setup   lab.Setup
	model   model
	members []*lab.Process // nil where none runs; the first two come again after each harm
	codes   map[int]int    // exit codes of processes that were asked to end
	harmed  int
	// deaths counts, per place, the processes that died where they were told to.
	deaths  map[string]int
	place   [regular]string            // where each member dies next
	long    [regular]bool              // its present life is a long one
	env     [regular + guests][]string // of each member's next start; then it runs the build with failpoints
	started int
	quiet   bool // nobody dies any more
	// proxy, plan and faults are of the kinds with a proxy before the broker.
	proxy  *proxy.Proxy
	plan   *proxy.Plan
	faults []string
	// records of this run: as asked, or as many as came in until a measuring kind had
	// done, which closes enough. Of these the first before came in beforehand, to find the
	// rate.
	records, before int
	rate            int // records a second
	enough          chan struct{}
	watch           watch
	times           map[string][]float64 // seconds, by what was measured
}

// one loads, harms and checks. The result is there also when an error stopped it or a
// promise was broken.
func (c *campaign) one(ctx context.Context, h harm, res *result) error {
	r := &run{
		campaign: c, harm: h, seed: res.Seed, random: rand.New(rand.NewPCG(res.Seed, 1)), codes: map[int]int{}, deaths: map[string]int{},
		plan:    proxy.NewPlan(res.Seed),
		members: make([]*lab.Process, regular+guests),
		model:   affine,
		records: c.records, rate: c.rate, enough: make(chan struct{}), times: map[string][]float64{},
	}
	if h.model != nil {
		r.model = *h.model
	}
	drop, err := r.prepare(ctx)
	if err != nil {
		return err
	}
	defer drop()
	var caughtUp time.Duration
	err = r.behindProxy(ctx, func() (err error) { caughtUp, err = r.endure(ctx); return err })
	if err != nil {
		return err
	}
	hidden, err := r.visible(ctx)
	if err != nil {
		return err
	}
	res.Hidden = hidden.Seconds()
	t, err := r.tally(ctx)
	if err != nil {
		return err
	}
	r.fill(res, t, caughtUp)
	return t.violation(c.delivery)
}

// prepare makes the run's topics and settings; drop deletes the topics.
func (r *run) prepare(ctx context.Context) (drop func(), err error) {
	name := fmt.Sprintf("%s%d-%s", r.harm.name, r.seed, r.delivery)
	in, out, dlq, err := r.Topics(ctx, name, "")
	if err != nil {
		return nil, err
	}
	r.setup = lab.Setup{
		Name: name, Input: in, Output: out, DLQ: dlq, Group: r.ID + "." + name, Model: r.Model(r.model.file), ModelName: "campaign",
		Sets: slices.Concat([]string{
			"output.delivery=" + r.delivery, fmt.Sprintf("input.session_timeout=%v", session), fmt.Sprintf("input.max_in_flight=%d", inFlight),
		}, r.model.sets, r.sets),
	}
	return func() { r.Drop(context.WithoutCancel(ctx), in, out, dlq) }, nil
}

// fill enters what the run gave.
func (r *run) fill(res *result, t *tally, caughtUp time.Duration) {
	if r.harm.measures {
		res.Times, res.Latency = r.times, r.latencyFigures()
	}
	res.Records = r.records
	res.Rate = r.rate
	due := time.Duration(r.records-r.before) * time.Second / time.Duration(r.rate)
	res.tally, res.Harmed, res.Behind = *t, r.harmed, max(caughtUp-due, 0).Seconds()
	res.Codes, res.Deaths, res.Faults, res.Verdict = r.codes, r.deaths, r.faults, held
	if r.proxy != nil {
		res.Resets = r.proxy.Resets()
	}
	if err := t.violation(r.delivery); err != nil {
		res.Verdict, res.Error = violated, err.Error()
	}
}

// endure runs the members through the harm until everything is committed, and gives
// the time from the first record to that.
func (r *run) endure(ctx context.Context) (caughtUp time.Duration, err error) {
	defer r.killAll()
	if r.harm.measures { // the outputs are followed meanwhile
		following, stop := context.WithCancel(ctx)
		followed := make(chan error, 1)
		go func() { followed <- r.watch.follow(following, r.Brokers, r.setup.Output) }() // ends with following
		defer func() { stop(); err = errors.Join(err, <-followed) }()
	}
	for i := range max(regular, r.harm.members) {
		if err := r.start(ctx, i); err != nil {
			return 0, err
		}
	}
	if r.rate == 0 {
		if err := r.calibrate(ctx); err != nil {
			return 0, err
		}
	}
	began := time.Now()
	if err = r.underHarm(ctx); err == nil {
		err = r.CaughtUp(ctx, r.setup.Group, r.setup.Input)
	}
	caughtUp = time.Since(began)
	return caughtUp, errors.Join(err, r.endAll())
}

// underHarm publishes the records and does the harm meanwhile.
func (r *run) underHarm(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	loaded, ended := make(chan error, 1), make(chan struct{})
	go func() { // ends with the last record or ctx
		defer close(ended)
		loaded <- r.load(ctx)
	}()
	defer func() { cancel(); <-ended }()
	if r.harm.during != nil {
		return r.harm.during(r, ctx, loaded)
	}
	return r.harmUntil(ctx, loaded)
}

// start runs member i and waits until it consumes.
func (r *run) start(ctx context.Context, i int) error {
	if err := r.launch(ctx, i); err != nil {
		return err
	}
	return r.members[i].Ready(ctx)
}

// instance is the name of member i.
func instance(i int) string { return string(rune('a' + i)) }

// launch runs member i.
func (r *run) launch(ctx context.Context, i int) error {
	one := r.setup
	one.Instance = instance(i)
	one.Name += "-" + one.Instance
	if r.harm.failing != nil {
		r.env[i] = r.harm.failing(r, i)
	}
	if len(r.env[i]) > 0 {
		one.Bin, one.Env = r.failing, r.env[i]
	}
	p, err := r.Start(ctx, one, "")
	if err != nil {
		return err
	}
	r.members[i] = p
	return nil
}

// end asks member i to end, and waits until it has.
func (r *run) end(i int) error {
	code, _, err := r.members[i].Stop()
	r.codes[code]++
	r.members[i] = nil
	return err
}

// endAll asks all that run to end.
func (r *run) endAll() error {
	var errs []error
	for i, p := range r.members {
		if p != nil {
			errs = append(errs, r.end(i))
		}
	}
	return errors.Join(errs...)
}

// killAll kills what still runs.
func (r *run) killAll() {
	for _, p := range r.members {
		if p != nil {
			p.Kill()
		}
	}
}

// load publishes the records at the rate; for a measuring kind until it has enough.
func (r *run) load(ctx context.Context) error {
	chunk := max(1, r.rate/25) // 40 ms
	ticker := time.NewTicker(time.Second * time.Duration(chunk) / time.Duration(r.rate))
	defer ticker.Stop()
	for from := r.before; r.harm.measures || from < r.records; from += chunk {
		to := from + chunk
		if !r.harm.measures {
			to = min(to, r.records)
		}
		if err := r.publish(ctx, from, to); err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-r.enough:
			r.records = to // read when the load has ended
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// publish sends the records of these ids.
func (r *run) publish(ctx context.Context, from, to int) error {
	records := make([]*kgo.Record, 0, to-from)
	for id := from; id < to; id++ {
		records = append(records, r.record(id))
	}
	r.watch.publish(len(records))
	return r.Client.ProduceSync(ctx, records...).FirstErr()
}
