package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/redpanda-data/benthos/v4/public/service"
	"github.com/twmb/franz-go/pkg/kgo"
)

// batchRows is the most records of one Benthos batch.
const batchRows = 512

// input makes a batch of each poll. A message's content is its *kgo.Record, as
// structured data: input, processor and output are one program, and a map of
// metadata per message for the key would cost more than the rest of the message.
type input struct {
	arguments
	failed chan<- error
	client *kgo.Client

	mu    sync.Mutex
	polls []*poll // oldest first, of which something is not acknowledged
}

// poll is one batch; last holds the last record of each of its partitions.
type poll struct {
	last []*kgo.Record
	done bool // guarded by the input's mutex
}

var _ service.BatchInput = (*input)(nil)

// Connect joins the group.
func (i *input) Connect(context.Context) (err error) {
	i.client, err = kgo.NewClient(
		kgo.SeedBrokers(i.brokers...),
		kgo.ConsumerGroup(i.group), kgo.ConsumeTopics(i.in), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMinBytes(1), kgo.FetchMaxWait(50*time.Millisecond), kgo.FetchMaxPartitionBytes(4<<20), kgo.FetchMaxBytes(16<<20),
		kgo.SessionTimeout(10*time.Second), kgo.AutoCommitMarks(), kgo.AutoCommitInterval(time.Second),
	)
	fmt.Fprintln(os.Stderr, "ready")
	return err
}

// ReadBatch blocks until there are records.
func (i *input) ReadBatch(ctx context.Context) (service.MessageBatch, service.AckFunc, error) {
	fetches := i.client.PollRecords(ctx, batchRows)
	if err := fetches.Err(); err != nil {
		return nil, nil, err
	}
	batch := make(service.MessageBatch, 0, fetches.NumRecords())
	p := &poll{}
	fetches.EachPartition(func(part kgo.FetchTopicPartition) {
		for _, r := range part.Records {
			m := service.NewMessage(nil)
			m.SetStructured(r)
			batch = append(batch, m)
		}
		if n := len(part.Records); n > 0 {
			p.last = append(p.last, part.Records[n-1])
		}
	})
	i.mu.Lock()
	i.polls = append(i.polls, p)
	i.mu.Unlock()
	return batch, func(_ context.Context, err error) error { return i.acknowledge(p, err) }, nil
}

// acknowledge commits as far as every earlier batch is acknowledged too; the client
// sends the marks once a second.
func (i *input) acknowledge(p *poll, err error) error {
	if err != nil {
		select {
		case i.failed <- err:
		default:
		}
		return nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	p.done = true
	for len(i.polls) > 0 && i.polls[0].done {
		i.client.MarkCommitRecords(i.polls[0].last...)
		i.polls = i.polls[1:]
	}
	return nil
}

// Close commits what is marked and leaves the group.
func (i *input) Close(ctx context.Context) error {
	err := i.client.CommitMarkedOffsets(ctx)
	i.client.Close()
	return err
}
