package main

import (
	"context"
	"sync"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/twmb/franz-go/pkg/kgo"
)

// inFlight is how many batches wait for the broker's word at a time: enough that
// the round trip of one is filled by others.
const inFlight = 32

// output produces batches of *kgo.Record idempotently.
type output struct {
	arguments
	client *kgo.Client
}

var _ service.BatchOutput = (*output)(nil)

// Connect makes the client; it connects when it has something to send.
func (o *output) Connect(context.Context) (err error) {
	o.client, err = kgo.NewClient(
		kgo.SeedBrokers(o.brokers...), kgo.DefaultProduceTopic(o.out), kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerLinger(time.Millisecond), kgo.ProducerBatchMaxBytes(256<<10),
		kgo.MaxBufferedRecords(inFlight*batchRows),
	)
	return err
}

// WriteBatch returns when the broker has confirmed every record of the batch, or
// with the first error.
func (o *output) WriteBatch(ctx context.Context, batch service.MessageBatch) error {
	var wg sync.WaitGroup
	var once sync.Once
	var failed error
	promise := func(_ *kgo.Record, err error) {
		if err != nil {
			once.Do(func() { failed = err })
		}
		wg.Done()
	}
	wg.Add(len(batch))
	for i, m := range batch {
		err := m.GetError() // the processor's
		var content any
		if err == nil {
			content, err = m.AsStructured()
		}
		if err != nil {
			once.Do(func() { failed = err })
			wg.Add(i - len(batch))
			break
		}
		o.client.Produce(ctx, content.(*kgo.Record), promise)
	}
	wg.Wait()
	return failed
}

// Close ends the client; nothing is under way then.
func (o *output) Close(context.Context) error {
	o.client.Close()
	return nil
}
