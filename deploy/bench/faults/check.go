package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-ml/sluice/deploy/bench/lab"
)

// keys come again and again, each in one partition, so that their order shows.
const keys = 64

// record is the id-th input; every poison-th cannot be decoded.
func (r *run) record(id int) *kgo.Record {
	value := r.model.value(id)
	if r.undecodable(id) {
		value = fmt.Append(nil, "poison ", id)
	}
	return &kgo.Record{Topic: r.setup.Input, Key: fmt.Append(nil, "k", id%keys), Value: value}
}

func (r *run) undecodable(id int) bool { return r.poison > 0 && id%r.poison == r.poison-1 }

// poisoned records must end as dead letters.
func (r *run) poisoned(id int) bool { return r.undecodable(id) || r.model.fails(id) }

// tally is what came out.
type tally struct {
	Outcomes int `json:"outcomes"`
	Lost     int `json:"lost"`
	Twice    int `json:"twice"`
	Bound    int `json:"twice_at_most"`
	Disorder int `json:"out_of_order"`
	Wrong    int `json:"unlike_the_oracle"`
	// Aborted are records that only read_uncommitted shows.
	Aborted int64 `json:"aborted_hidden"`
	// Transactions is how many were committed with outcomes in them, by their markers.
	Transactions int `json:"transactions,omitempty"`
}

// violation says what the delivery level does not allow: nothing twice, or, at
// least once, no more than Bound.
func (t *tally) violation(delivery string) error {
	bad := t.Lost + t.Wrong
	if delivery == exactlyOnce {
		bad += t.Twice + t.Disorder
	}
	if bad > 0 || t.Twice > t.Bound {
		return fmt.Errorf("lost %d, twice %d (at most %d), out of order %d, wrong %d", t.Lost, t.Twice, t.Bound, t.Disorder, t.Wrong)
	}
	return nil
}

// bound is how many outcomes may come twice: what the members had in flight, at
// each harm, times two (README, the promise).
func (r *run) bound() int {
	if r.delivery == exactlyOnce || r.harm.clean {
		return 0
	}
	return 2 * inFlight * r.harmed
}

// hiddenLimit is beyond the transactions' timeout (10 s) and the coordinator's look for
// those that are over it (each 10 s).
const hiddenLimit = time.Minute

// visible waits until no transaction is open any more: what a process left open when it
// ended hides what was committed behind it from read_committed until it times out. It
// gives the time that took since all was committed.
func (r *run) visible(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	for {
		hidden := int64(0)
		for _, topic := range []string{r.setup.Output, r.setup.DLQ} {
			ends, err := r.Admin.ListEndOffsets(ctx, topic)
			if err != nil {
				return 0, err
			}
			stable, err := r.Admin.ListCommittedOffsets(ctx, topic)
			if err != nil {
				return 0, err
			}
			ends.Each(func(end kadm.ListedOffset) {
				if s, ok := stable.Lookup(topic, end.Partition); ok {
					hidden += end.Offset - s.Offset
				}
			})
		}
		took := time.Since(began)
		switch {
		case hidden == 0:
			return took, nil
		case took > hiddenLimit:
			return 0, fmt.Errorf("%d records are behind an open transaction %v after the last commit", hidden, hiddenLimit)
		}
		if err := lab.Pause(ctx, 20*time.Millisecond); err != nil {
			return 0, err
		}
	}
}

// tally reads outputs and dead letters and compares them with the oracle: the
// model's numbers, a dead letter for a poisoned record, the outputs of a key in the order of its
// inputs.
func (r *run) tally(ctx context.Context) (*tally, error) {
	t := &tally{Bound: r.bound()}
	txns := markers{epochs: map[epoch]bool{}, partitions: map[string]int{}}
	seen := make([]int, r.records)
	last := map[string]int{}
	err := r.committed(ctx, t, &txns, r.setup.Output, func(rec *kgo.Record) {
		var result struct {
			ID      int
			Outputs map[string][]float64
		}
		if err := json.Unmarshal(rec.Value, &result); err != nil || result.ID < 0 || result.ID >= r.records || r.poisoned(result.ID) {
			t.Wrong++
			return
		}
		seen[result.ID]++
		if !r.model.right(result.ID, result.Outputs["y"]) {
			t.Wrong++
		}
		key := string(rec.Key)
		if before, ok := last[key]; ok && before >= result.ID {
			t.Disorder++
		}
		last[key] = result.ID
	})
	if err != nil {
		return nil, err
	}
	err = r.committed(ctx, t, &txns, r.setup.DLQ, func(rec *kgo.Record) {
		id := letterID(rec.Value)
		if id < 0 || id >= r.records || !r.poisoned(id) {
			t.Wrong++
			return
		}
		seen[id]++
	})
	t.Transactions = txns.count()
	for _, n := range seen {
		t.Outcomes += n
		switch {
		case n == 0:
			t.Lost++
		case n > 1:
			t.Twice += n - 1
		}
	}
	return t, err
}

// letterID is the id of a dead letter, whose value is its input's; -1 when it is none.
func letterID(value []byte) int {
	var record struct{ ID *int }
	if text, ok := bytes.CutPrefix(value, []byte("poison ")); ok {
		if id, err := strconv.Atoi(string(text)); err == nil {
			return id
		}
	} else if json.Unmarshal(value, &record) == nil && record.ID != nil {
		return *record.ID
	}
	return -1
}

// markers counts transactions by what they left in the topics.
type markers struct {
	epochs     map[epoch]bool
	partitions map[string]int
}

// epoch is a transaction's own where they have one each (KIP-890).
type epoch struct {
	producer int64
	epoch    int16
}

// add counts a commit marker: its key is a version and a type of two bytes each, 1 for
// a commit (ControlRecordType).
func (m *markers) add(rec *kgo.Record) {
	if m == nil || len(rec.Key) < 4 || binary.BigEndian.Uint16(rec.Key[2:]) != 1 {
		return
	}
	m.epochs[epoch{rec.ProducerID, rec.ProducerEpoch}] = true
	m.partitions[fmt.Sprint(rec.Topic, "/", rec.Partition)]++
}

// count is exact where each transaction has its epoch, and otherwise a lower bound: one
// need not write to every partition.
func (m *markers) count() int {
	most := len(m.epochs)
	for _, n := range m.partitions {
		most = max(most, n)
	}
	return most
}

// committed reads a topic to its end as franz-go's read_committed shows it, and
// counts the records that it hides.
func (r *run) committed(ctx context.Context, t *tally, txns *markers, topic string, f func(*kgo.Record)) error {
	visible, all := int64(0), int64(0)
	if err := r.read(ctx, topic, kgo.ReadCommitted(), txns, func(rec *kgo.Record) { visible++; f(rec) }); err != nil {
		return err
	}
	if err := r.read(ctx, topic, kgo.ReadUncommitted(), nil, func(*kgo.Record) { all++ }); err != nil {
		return err
	}
	t.Aborted += all - visible
	return nil
}

func (r *run) read(ctx context.Context, topic string, level kgo.IsolationLevel, txns *markers, f func(*kgo.Record)) error {
	ends, err := r.Admin.ListCommittedOffsets(ctx, topic)
	if err != nil {
		return err
	}
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	// Control records are asked for: an end behind a marker is reached only so.
	client, err := kgo.NewClient(kgo.SeedBrokers(r.Brokers...), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(level),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.KeepControlRecords())
	if err != nil {
		return err
	}
	defer client.Close()
	for len(left) > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		for rec := range fetches.RecordsAll() {
			end, wanted := left[rec.Partition]
			switch {
			case !wanted || rec.Offset >= end:
			case rec.Attrs.IsControl():
				txns.add(rec)
			default:
				f(rec)
			}
			if rec.Offset >= end-1 {
				delete(left, rec.Partition)
			}
		}
	}
	return nil
}
