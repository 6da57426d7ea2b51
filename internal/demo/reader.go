package demo

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// answer is one record of the output or the dead-letter topic.
type answer struct {
	sequence int64
	label    int
	value    []byte
	dead     bool
	known    bool // the id and, for a prediction, the label were found
}

// reader reads what the service wrote, with a client that is not sluice's.
type reader struct {
	client *kgo.Client
	ledger *ledger
}

func newReader(brokers []string, l *ledger) (*reader, error) {
	client, err := kgo.NewClient(
		kgo.SeedBrokers(brokers...),
		kgo.ConsumeTopics(outputTopic, deadLetterTopic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxWait(100*time.Millisecond),
	)
	if err != nil {
		return nil, fmt.Errorf("start the reader: %w", err)
	}
	return &reader{client: client, ledger: l}, nil
}

// run reads until ctx ends.
func (r *reader) run(ctx context.Context) error {
	var answers []answer
	for {
		fetches := r.client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		for _, e := range fetches.Errors() {
			return fmt.Errorf("read %s/%d: %w", e.Topic, e.Partition, e.Err)
		}
		answers = answers[:0]
		fetches.EachRecord(func(record *kgo.Record) { answers = append(answers, parse(record)) })
		r.ledger.arrived(answers, time.Now())
	}
}

func (r *reader) close() { r.client.Close() }

// parse takes the two numbers that matter out of a record; a whole JSON decoder
// would cost more than the prediction.
func parse(record *kgo.Record) answer {
	a := answer{value: record.Value, dead: record.Topic == deadLetterTopic}
	sequence, known := number(record.Value, `"id":`)
	a.sequence, a.known = sequence, known
	if !a.dead {
		label, ok := number(record.Value, `"label":`)
		a.label, a.known = int(label), known && ok
	}
	return a
}

// number is the integer after a JSON name.
func number(value []byte, name string) (int64, bool) {
	_, rest, found := bytes.Cut(value, []byte(name))
	if !found {
		return 0, false
	}
	end := bytes.IndexFunc(rest, func(r rune) bool { return r != '-' && (r < '0' || r > '9') })
	if end < 0 {
		return 0, false
	}
	n, err := strconv.ParseInt(string(rest[:end]), 10, 64)
	return n, err == nil
}
