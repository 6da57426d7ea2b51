package lab

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-ml/sluice/internal/load"
)

// Offer is an open-loop load for one contender.
type Offer struct {
	Contender        *Contender
	Payload          *Payload
	Rate             float64 // a second, Poisson
	Warmup, Duration time.Duration
	Seed             uint64
	Label            string
}

// Latencies are milliseconds from the scheduled instant to receipt.
type Latencies struct {
	Rate float64 `json:"rate"`
	P50  float64 `json:"p50_ms"`
	P90  float64 `json:"p90_ms"`
	P99  float64 `json:"p99_ms"`
	P999 float64 `json:"p99_9_ms"`
	Max  float64 `json:"max_ms"`
	// SendP99 is how late the generator itself was.
	SendP99 float64 `json:"send_p99_ms"`
	Count   int64   `json:"count"`
	Lost    int64   `json:"lost"`
	// Growth is by how many seconds of load the backlog grew; more than one is not
	// sustained.
	Growth    float64 `json:"backlog_growth_s"`
	Sustained bool    `json:"sustained"`
	Void      string  `json:"void,omitempty"`
}

// generatorTick is the generator's shortest sleep: not a wake-up per record, which
// would take a good part of a core from the contenders; what is due meanwhile
// leaves late by at most that, which its latency contains.
const generatorTick = 300 * time.Microsecond

// Latency offers records on an absolute schedule that a slow contender cannot
// slow down, and times each from its scheduled instant to receipt by a consumer
// of the bench's own.
func (l *Lab) Latency(ctx context.Context, o Offer) (*Latencies, error) {
	name := fmt.Sprintf("%s.%x", topicName(o.Label), time.Now().UnixMilli()%0xfffffff)
	in, out, dlq, err := l.Topics(ctx, name, "")
	if err != nil {
		return nil, err
	}
	defer l.Drop(ctx, in, out, dlq)
	model, err := l.ModelPath(ctx, o.Payload)
	if err != nil {
		return nil, err
	}
	job := Job{Name: name, Payload: o.Payload, Model: model, In: in, Out: out, DLQ: dlq, Group: l.ID + "." + name}
	r := &Latencies{Rate: o.Rate}
	err = l.with(ctx, o.Contender, job, 1, func([]*Process) error { return l.offer(ctx, o, r, in, out) })
	if err != nil && ctx.Err() == nil {
		r.Void, err = err.Error(), nil
	}
	return r, err
}

// late is how long outputs are waited for after the schedule's end.
const late = 10 * time.Second

func (l *Lab) offer(ctx context.Context, o Offer, r *Latencies, in, out string) error {
	total := o.Warmup + o.Duration
	start := time.Now().Add(300 * time.Millisecond)
	recorder := load.NewRecorder(load.RecorderConfig{Start: start, Warmup: o.Warmup, Duration: total})
	backlog := load.NewBacklog(load.NewSchedule(load.Poisson, o.Rate, o.Seed), o.Warmup, total)
	running, cancel := context.WithCancel(ctx)
	var both sync.WaitGroup
	defer both.Wait()
	defer cancel()
	// One value each, sent once; both end with running.
	received, sent := make(chan error, 1), make(chan error, 1)
	both.Go(func() { received <- l.receive(running, out, recorder) })
	both.Go(func() { sent <- l.send(running, o, in, start, total, recorder) })
	var sending <-chan error = sent
	for end := start.Add(total + late); ; {
		if err := Pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
		now, counts := time.Now(), recorder.Counts()
		if now.After(start) {
			backlog.Sample(now.Sub(start), counts.Settled())
		}
		select {
		case err := <-sending:
			if err != nil && !errors.Is(err, load.ErrBacklog) {
				return err
			}
			sending = nil
		case err := <-received:
			return fmt.Errorf("receive: %w", err)
		default:
		}
		if sending == nil && counts.Outstanding == 0 || now.After(end) {
			break
		}
	}
	recorder.Finish(time.Now())
	r.fill(recorder, backlog)
	return nil
}

func (r *Latencies) fill(recorder *load.Recorder, backlog *load.Backlog) {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	h, counts := recorder.Latency(), recorder.Counts()
	r.P50, r.P90, r.P99, r.P999, r.Max = ms(h.Percentile(50)), ms(h.Percentile(90)), ms(h.Percentile(99)), ms(h.Percentile(99.9)), ms(h.Max())
	r.SendP99 = ms(recorder.SendDelay().Percentile(99))
	r.Count, r.Lost = h.Count(), counts.Lost
	r.Growth, r.Sustained = backlog.Growth().Seconds(), backlog.Sustained() && counts.Lost == 0
}

// send publishes at the scheduled instants. Contents are made beforehand; their
// ids are not the records': outputs are matched by key.
func (l *Lab) send(ctx context.Context, o Offer, topic string, start time.Time, total time.Duration, recorder *load.Recorder) error {
	row := l.Rows(o.Payload)
	values := make([][]byte, 1000)
	for i := range values {
		values[i] = row(i)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(l.Brokers...), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), kgo.DefaultProduceTopic(topic),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerBatchMaxBytes(900_000), kgo.MaxBufferedRecords(50_000), kgo.ProducerLinger(time.Millisecond))
	if err != nil {
		return err
	}
	defer client.Close()
	keys := load.Keys{Prefix: "r"}
	generator := load.Generator{
		Schedule: load.NewSchedule(load.Poisson, o.Rate, o.Seed), Duration: total, Tick: generatorTick,
		Send: func(ctx context.Context, n int64, at time.Time) error {
			if err := recorder.Sent(n, at, time.Now()); err != nil {
				return err
			}
			client.Produce(ctx, &kgo.Record{Key: keys.Append(nil, n), Value: values[n%int64(len(values))]}, func(_ *kgo.Record, err error) {
				if err != nil {
					recorder.Refused(n)
				}
			})
			return nil
		},
	}
	if _, err := generator.Run(ctx, start); err != nil {
		return err
	}
	limit, cancel := context.WithTimeout(ctx, late)
	defer cancel()
	return client.Flush(limit)
}

// receive consumes out and notes when each key first came, until ctx is done.
func (l *Lab) receive(ctx context.Context, out string, recorder *load.Recorder) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(l.Brokers...), kgo.ConsumeTopics(out), kgo.FetchMaxWait(100*time.Millisecond), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	defer client.Close()
	keys := load.Keys{Prefix: "r"}
	for ctx.Err() == nil {
		fetches := client.PollFetches(ctx)
		now := time.Now()
		for r := range fetches.RecordsAll() {
			if n, ok := keys.Parse(r.Key); ok {
				recorder.Arrived(n, now, false)
			}
		}
	}
	return context.Cause(ctx)
}
