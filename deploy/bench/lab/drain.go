package lab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Tolerance of the correctness gate: an output may differ from the reference by
// this and by this share of it.
const Tolerance = 1e-4

// Drained is one drain of a preloaded topic by one contender.
type Drained struct {
	Records int     `json:"records"`
	Rate    float64 `json:"rate"` // ids a second over the last 75 %, by append time
	// CPU and Broker are CPU seconds per million messages, over about the same
	// part of the run: the contender's process tree, and the broker.
	CPU    float64 `json:"cpu_s_per_million"`
	Broker float64 `json:"broker_cpu_s_per_million"`
	Peak   int64   `json:"peak_bytes"` // resident, summed over the tree
	Extra  int     `json:"duplicates"`
	// Void says why it does not count: a contender that is wrong has no speed.
	Void string `json:"void,omitempty"`
}

// Task is a drain to be done.
type Task struct {
	Contender  *Contender
	Payload    *Payload
	Records    int
	Partitions int32 // 0 is Partitions
	Members    int   // processes of the contender in one group; 0 is one
	Sets       []string
	Label      string  // of topics and logs
	Tolerance  float64 // of outputs; 0 is Tolerance
}

// Drain lets a contender work off a preloaded topic and holds what came out
// against the reference.
func (l *Lab) Drain(ctx context.Context, t Task) (*Drained, error) {
	if t.Partitions == 0 {
		t.Partitions = Partitions
	}
	in, err := l.Loaded(ctx, t.Payload, t.Records, t.Partitions)
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("%s.%x", topicName(t.Label), time.Now().UnixMilli()%0xfffffff)
	out, err := l.Topic(ctx, name+".out", t.Partitions, "message.timestamp.type=LogAppendTime")
	if err != nil {
		return nil, err
	}
	dlq, err := l.Topic(ctx, name+".dlq", 1)
	if err != nil {
		return nil, err
	}
	defer l.Drop(ctx, out, dlq)
	model, err := l.ModelPath(ctx, t.Payload)
	if err != nil {
		return nil, err
	}
	job := Job{Name: name, Payload: t.Payload, Model: model, In: in, Out: out, DLQ: dlq, Group: l.ID + "." + name, Sets: t.Sets}
	d := &Drained{Records: t.Records}
	err = l.with(ctx, t.Contender, job, max(1, t.Members), func(all []*Process) error {
		if err := l.watch(ctx, d, all, out); err != nil {
			return err
		}
		return l.settled(ctx, job)
	})
	if err != nil {
		if ctx.Err() == nil { // the contender's fault, not ours: told in its row
			d.Void, err = err.Error(), nil
		}
		return d, err
	}
	return d, l.judge(ctx, d, t, out)
}

// topicName makes label a legal name of topics, groups and files.
func topicName(label string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '.', r == '_', r == '-':
			return r
		default:
			return '-'
		}
	}, label)
}

// with runs a contender's processes around f and stops them, whatever happens.
func (l *Lab) with(ctx context.Context, c *Contender, job Job, members int, f func([]*Process) error) (err error) {
	var all []*Process
	defer func() { err = errors.Join(err, StopAll(all)) }()
	for m := range members {
		one := job
		one.Name = fmt.Sprintf("%s.%d", job.Name, m)
		some, err := c.Start(ctx, l, one)
		all = append(all, some...)
		if err != nil {
			return err
		}
	}
	limit, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for _, v := range all {
		if err := v.Ready(limit); err != nil {
			return err
		}
	}
	return f(all)
}

// standstill is how long no new output may appear.
const standstill = 30 * time.Second

// sample is what has been used when so many outputs were there.
type sample struct {
	end         int64
	own, broker time.Duration
}

// watch waits until all outputs are there, and takes the CPU time between the
// first quarter and the end.
func (l *Lab) watch(ctx context.Context, d *Drained, all []*Process, out string) error {
	var quarter sample
	last, moved := int64(0), time.Now()
	for {
		end, err := l.End(ctx, out)
		if err != nil {
			return err
		}
		if end > last {
			last, moved = end, time.Now()
		}
		for _, v := range all {
			if v.ended() {
				return fmt.Errorf("%s ended at %d of %d outputs", v.Name, end, d.Records)
			}
		}
		if time.Since(moved) > standstill {
			return fmt.Errorf("stands still at %d of %d outputs", end, d.Records)
		}
		if quarter.end == 0 && end >= int64(d.Records)/4 || end >= int64(d.Records) {
			now := UsageOf(all)
			s := sample{end, now.CPU, BrokerCPU()}
			if quarter.end == 0 {
				quarter = s
			}
			if end >= int64(d.Records) {
				d.usage(quarter, s)
				d.Peak = now.Peak
				return nil
			}
		}
		if err := Pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}

// settled waits until everything is committed or no more outputs come: with
// duplicates among them the first n are not all.
func (l *Lab) settled(ctx context.Context, job Job) error {
	last, moved := int64(0), time.Now()
	for time.Since(moved) < 5*time.Second {
		if lag, err := l.Lag(ctx, job.Group, job.In); err == nil && lag <= 0 {
			return nil
		}
		end, err := l.End(ctx, job.Out)
		if err != nil {
			return err
		}
		if end > last {
			last, moved = end, time.Now()
		}
		if err := Pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

func (d *Drained) usage(from, to sample) {
	if millions := float64(to.end-from.end) / 1e6; millions > 0 {
		d.CPU, d.Broker = (to.own-from.own).Seconds()/millions, (to.broker-from.broker).Seconds()/millions
	}
}

// judge counts and compares what a drain put out.
func (l *Lab) judge(ctx context.Context, d *Drained, t Task, out string) error {
	tolerance := cmp.Or(t.Tolerance, Tolerance)
	if t.Contender.Null {
		tolerance = 0
	}
	tally, err := l.TallyOutputs(ctx, out, t.Payload, t.Records, tolerance)
	if err != nil {
		if ctx.Err() == nil {
			d.Void, err = err.Error(), nil
		}
		return err
	}
	d.Rate, d.Extra, d.Void = tally.Rate(), tally.Extra, tally.Void()
	return nil
}
