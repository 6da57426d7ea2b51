package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-ml/sluice/deploy/bench/lab"
)

// pressure is something that would fill memory, were it not bounded.
type pressure struct {
	name, model string
	load        func(ctx context.Context, l *campaign, topic string) (records int, err error)
	// during, when set, runs beside the service, which is then stopped though records
	// still wait; without it the service goes on until none does.
	during func(ctx context.Context, l *campaign) error
	sets   []string
}

// slowSink is how many bytes a second the broker takes of a client.
const slowSink = 64 << 10

var pressures = []pressure{
	{name: "sink", model: "affine.onnx", load: small(400_000), during: throttled},
	{name: "sink exactly once", model: "affine.onnx", load: small(400_000), during: throttled, sets: []string{"output.delivery=exactly-once"}},
	{name: "bombs", model: "affine.onnx", load: bombs},
	{name: "giants of the wrong shape", model: "affine.onnx", load: giants(1000, func(row string) string { return `{"x":[` + row + `]}` }, 450_000)},
	{name: "giants that run", model: "tokens_dyn.onnx", load: giants(300, func(row string) string {
		return `{"input_ids":[` + row + `],"attention_mask":[` + row + `]}`
	}, 200_000)},
}

// ceiling is point 9: resident memory under each pressure, against the stated limit.
func ceiling(ctx context.Context, l *campaign) (facts []fact, err error) {
	for i, p := range pressures {
		some, err := l.press(ctx, fmt.Sprint("p9-", i), p)
		facts = append(facts, some...)
		if err != nil {
			return facts, fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return facts, nil
}

func (l *campaign) press(ctx context.Context, name string, p pressure) ([]fact, error) {
	in, out, dlq, err := l.Topics(ctx, name, "")
	if err != nil {
		return nil, err
	}
	defer l.Drop(ctx, in, out, dlq)
	n, err := p.load(ctx, l, in)
	if err != nil {
		return nil, err
	}
	s := lab.Setup{
		Name: name, Input: in, Output: out, DLQ: dlq, Group: l.ID + "." + name,
		Model: l.Model(p.model), ModelName: "pressed", Sets: append([]string{"dead_letter.max_share=1"}, p.sets...),
	}
	began := time.Now()
	v, err := l.Start(ctx, s, "")
	if err != nil {
		return nil, err
	}
	defer v.Kill()
	if err := v.Ready(ctx); err != nil {
		return nil, err
	}
	if p.during != nil {
		err = p.during(ctx, l)
	} else {
		err = l.CaughtUp(ctx, s.Group, in)
	}
	if err != nil {
		return nil, err
	}
	took := time.Since(began)
	peak := v.Peak() // before the stop, which waits for a throttled broker
	lag, err := l.Lag(ctx, s.Group, in)
	if err != nil {
		return nil, err
	}
	return []fact{{
		p.name, fmt.Sprintf("peak %d MiB of %d MiB stated; %d records, %d of them done after %s", peak>>20, statedLimit>>20, n, int64(n)-lag, took.Round(time.Second)),
		peak > 0 && peak <= statedLimit,
	}}, nil
}

// small loads many records of four numbers.
func small(n int) func(ctx context.Context, l *campaign, topic string) (int, error) {
	return func(ctx context.Context, l *campaign, topic string) (int, error) {
		return n, l.Load(ctx, topic, n, func(i int) []byte { return fmt.Appendf(nil, `{"id":"r%d","x":[1,2,3,%d]}`, i, i%1000) })
	}
}

// giants loads records of many numbers, about 900 KB each.
func giants(n int, document func(row string) string, numbers int) func(ctx context.Context, l *campaign, topic string) (int, error) {
	return func(ctx context.Context, l *campaign, topic string) (int, error) {
		value := []byte(document(strings.TrimSuffix(strings.Repeat("1,", numbers), ",")))
		client, err := kgo.NewClient(kgo.SeedBrokers(l.Brokers...), kgo.ProducerBatchCompression(kgo.NoCompression()))
		if err != nil {
			return 0, err
		}
		defer client.Close()
		records := make([]*kgo.Record, n)
		for i := range records {
			records[i] = &kgo.Record{Topic: topic, Key: lab.Key(i), Value: value}
		}
		return n, client.ProduceSync(ctx, records...).FirstErr()
	}
}

// bombs loads records of 256 MiB of blanks that take some hundred KiB in the log, in
// each of two codecs, between good ones.
func bombs(ctx context.Context, l *campaign, topic string) (int, error) {
	const each, good = 8, 10_000
	blanks := bytes.Repeat([]byte{' '}, 256<<20)
	for _, codec := range []kgo.CompressionCodec{kgo.ZstdCompression(), kgo.GzipCompression()} {
		client, err := kgo.NewClient(kgo.SeedBrokers(l.Brokers...), kgo.ProducerBatchCompression(codec),
			kgo.ProducerBatchMaxBytes(1<<30), kgo.MaxBufferedBytes(1<<30), kgo.BrokerMaxWriteBytes(1<<30))
		if err != nil {
			return 0, err
		}
		for i := range each {
			if err = client.ProduceSync(ctx, &kgo.Record{Topic: topic, Key: lab.Key(i), Value: blanks}).FirstErr(); err != nil {
				break
			}
		}
		client.Close()
		if err != nil {
			return 0, err
		}
	}
	n, err := small(good)(ctx, l, topic)
	return n + 2*each, err
}

// throttled lets the broker take little of every client for half a minute.
func throttled(ctx context.Context, l *campaign) (err error) {
	const quota = "producer_byte_rate"
	anyone := kadm.ClientQuotaEntity{{Type: "client-id"}}
	alter := func(ctx context.Context, op kadm.AlterClientQuotaOp) error {
		res, err := l.Admin.AlterClientQuotas(ctx, []kadm.AlterClientQuotaEntry{{Entity: anyone, Ops: []kadm.AlterClientQuotaOp{op}}})
		if err == nil && len(res) > 0 {
			err = res[0].Err
		}
		return err
	}
	if err := alter(ctx, kadm.AlterClientQuotaOp{Key: quota, Value: slowSink}); err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, alter(context.WithoutCancel(ctx), kadm.AlterClientQuotaOp{Key: quota, Remove: true}))
	}()
	return lab.Pause(ctx, 30*time.Second)
}
