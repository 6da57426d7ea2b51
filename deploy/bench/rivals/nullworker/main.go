// Command nullworker is the floor under every contender of the bench: it consumes
// and produces with franz-go what they consume and produce, without decoding a
// value and without a model. See README.md of the rivals.
//
//	nullworker BROKERS IN OUT GROUP MODEL.onnx json|raw [THREADS]
//
// MODEL.onnx and THREADS are read and not used. SIGTERM ends it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// unconfirmed bounds the outputs that the broker has not confirmed.
const unconfirmed = 50_000

func main() {
	if len(os.Args) < 7 {
		fmt.Fprintln(os.Stderr, "usage: nullworker BROKERS IN OUT GROUP MODEL.onnx json|raw [THREADS]")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	err := run(ctx, os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[6])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "nullworker:", err)
		os.Exit(1)
	}
}

// run works until ctx ends. Positions are committed as far as every output before
// them is confirmed.
func run(ctx context.Context, brokers, in, out, group, payload string) error {
	answer, err := answers(payload)
	if err != nil {
		return err
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(brokers, ",")...),
		kgo.ConsumerGroup(group), kgo.ConsumeTopics(in), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMinBytes(1), kgo.FetchMaxWait(50*time.Millisecond), kgo.FetchMaxPartitionBytes(4<<20), kgo.FetchMaxBytes(16<<20),
		kgo.SessionTimeout(10*time.Second), kgo.AutoCommitMarks(), kgo.AutoCommitInterval(time.Second),
		kgo.DefaultProduceTopic(out), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerLinger(time.Millisecond),
		kgo.ProducerBatchMaxBytes(256<<10), kgo.MaxBufferedRecords(unconfirmed), kgo.RequiredAcks(kgo.AllISRAcks()),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	fmt.Fprintln(os.Stderr, "ready")
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	w := worker{client: client, answer: answer, fail: fail}
	w.loop(ctx)
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return w.finish(context.WithoutCancel(ctx))
}

// worker's loop is one goroutine; confirmations come from the client's.
type worker struct {
	client *kgo.Client
	answer func(key []byte) []byte
	fail   context.CancelCauseFunc // ends the loop

	mu    sync.Mutex
	polls []*poll // oldest first, whose outputs are not all confirmed
}

// poll is what was taken at once.
type poll struct {
	open atomic.Int64  // outputs not confirmed
	last []*kgo.Record // the last record of each partition
}

func (w *worker) loop(ctx context.Context) {
	for ctx.Err() == nil {
		fetches := w.client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			w.fail(err) // the end of ctx too, which has its cause by then
			return
		}
		w.forward(context.WithoutCancel(ctx), fetches)
	}
}

// forward produces an output for each record.
func (w *worker) forward(ctx context.Context, fetches kgo.Fetches) {
	p := &poll{}
	fetches.EachPartition(func(part kgo.FetchTopicPartition) {
		if n := len(part.Records); n > 0 {
			p.last = append(p.last, part.Records[n-1])
		}
	})
	p.open.Store(int64(fetches.NumRecords()))
	w.mu.Lock()
	w.polls = append(w.polls, p)
	w.mu.Unlock()
	outputs := make([]kgo.Record, 0, fetches.NumRecords())
	confirmed := func(_ *kgo.Record, err error) {
		if err != nil {
			w.fail(err) // its poll stays open: nothing from here on is committed
		} else if p.open.Add(-1) == 0 {
			w.mark()
		}
	}
	fetches.EachRecord(func(r *kgo.Record) {
		outputs = append(outputs, kgo.Record{Key: r.Key, Value: w.answer(r.Key)})
		w.client.Produce(ctx, &outputs[len(outputs)-1], confirmed)
	})
}

// mark gives the positions to commit that all earlier polls have reached too; the
// client commits them once a second.
func (w *worker) mark() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.polls) > 0 && w.polls[0].open.Load() == 0 {
		w.client.MarkCommitRecords(w.polls[0].last...)
		w.polls = w.polls[1:]
	}
}

// finish waits for the outputs under way and commits them.
func (w *worker) finish(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return errors.Join(w.client.Flush(ctx), w.client.CommitMarkedOffsets(ctx))
}

// answers gives outputs of a prediction's size: the key as id and ten constants.
func answers(payload string) (func(key []byte) []byte, error) {
	switch payload {
	case "raw":
		value := make([]byte, 40)
		return func([]byte) []byte { return value }, nil
	case "json":
		const head, tail = `{"id":"`, `","outputs":{"y":[0.12345678,-0.1234567,0.12345678,-0.1234567,0.12345678,-0.1234567,0.12345678,-0.1234567,0.12345678,-0.1234567]}}`
		return func(key []byte) []byte {
			value := make([]byte, 0, len(head)+len(key)+len(tail))
			return append(append(append(value, head...), key...), tail...)
		}, nil
	default:
		return nil, fmt.Errorf("payload %q: json or raw", payload)
	}
}
