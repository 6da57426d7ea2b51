package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fates collects what became of records.
type fates struct {
	mu   sync.Mutex
	errs map[string]error
	at   map[string][2]int64 // partition, offset
	n    int
}

func newFates() *fates { return &fates{errs: map[string]error{}, at: map[string][2]int64{}} }

// done is the completion of the record with this value.
func (f *fates) done(value string) func(int32, int64, error) {
	return func(partition int32, offset int64, err error) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if _, twice := f.errs[value]; twice {
			err = errors.Join(err, fmt.Errorf("%s was completed twice", value))
		}
		f.errs[value], f.at[value] = err, [2]int64{int64(partition), offset}
		f.n++
	}
}

// count is how many records have their fate.
func (f *fates) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n
}

// get is a record's fate; ok is false while it has none.
func (f *fates) get(value string) (err error, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	err, ok = f.errs[value]
	return err, ok
}

// start makes a producer that ends with the test.
func start(t *testing.T, b broker, cfg ProducerConfig) *Producer {
	t.Helper()
	p, err := newProducer(b, cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = p.Close(ctx)
	})
	return p
}

// produce sends records with the values prefix0.. to one partition.
func produce(p *Producer, f *fates, topic string, partition int32, prefix string, n int) {
	for i := range n {
		value := prefix + strconv.Itoa(i)
		p.Produce(&Record{Topic: topic, Partition: partition, Timestamp: 1000, Value: []byte(value)}, f.done(value))
	}
}

// pass lets time go by, in a synctest bubble, and waits for what it set off.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
