package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-ml/sluice/pipeline"
)

// input is what must become of a record; its offset is its place.
type input uint8

const (
	predicted input = iota
	letter
	either // its deadline comes soon
)

// failsRun is the model's fault: a run with such a row fails.
func failsRun(it *pipeline.Item) bool { return len(it.Value) > 0 && it.Value[0] == '-' }

// connectFeeder makes the client that writes the input. No fault is aimed at it.
func (s *simulation) connectFeeder() {
	client, err := kgo.NewClient(kgo.SeedBrokers(s.cluster.ListenAddrs()...), kgo.Dialer(s.network.DialContext),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerLinger(0),
		kgo.DisableClientMetrics(), kgo.MetadataMinAge(10*time.Millisecond))
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(client.Close)
	s.feeder = client
}

// feed writes n records to a partition, some percent of them bad.
func (s *simulation) feed(partition, n, bad int) {
	if n == 0 {
		return
	}
	recs := make([]*kgo.Record, 0, n)
	for range n {
		i := len(s.inputs[partition])
		rec := &kgo.Record{
			Topic: "in", Partition: int32(partition), Timestamp: time.Now().Add(s.clock),
			Key: fmt.Append(nil, i%3), Value: strconv.AppendInt(nil, int64(i), 10),
		}
		becomes := predicted
		if s.r.IntN(100) < bad {
			becomes = s.spoil(rec)
		}
		s.inputs[partition] = append(s.inputs[partition], becomes)
		recs = append(recs, rec)
	}
	s.res.Records += n
	if err := s.feeder.ProduceSync(s.Context(), recs...).FirstErr(); err != nil {
		s.Fatal(err)
	}
}

// spoil makes a record one that is not predicted.
func (s *simulation) spoil(rec *kgo.Record) input {
	deadline := func(in time.Duration) {
		rec.Headers = []kgo.RecordHeader{{Key: "x-deadline", Value: strconv.AppendInt(nil, time.Now().Add(in).UnixMilli(), 10)}}
	}
	switch s.r.IntN(5) {
	case 0:
		rec.Value = append([]byte("poison "), rec.Value...)
	case 1:
		rec.Value = append([]byte("unencodable "), rec.Value...)
	case 2:
		rec.Value = append([]byte("-"), rec.Value...)
	case 3:
		deadline(-time.Second)
	default:
		deadline(time.Duration(s.r.IntN(500)) * time.Millisecond)
		return either
	}
	return letter
}

// audit is a look at the positions, and at how far the logs went right after it.
type audit struct {
	committed, outputs [simPartitions]int64
	letters            int64
}

// audit looks, and checks that no position went back.
func (s *simulation) audit() audit {
	var a audit
	offsets, err := s.admin.FetchOffsets(s.Context(), "g")
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		s.Fatal(err)
	}
	for p := range simPartitions {
		if o, ok := offsets.Lookup("in", int32(p)); ok && o.Err == nil {
			a.committed[p] = max(o.At, 0)
		}
		a.outputs[p] = s.cluster.PartitionInfo("out", int32(p)).HighWatermark
	}
	a.letters = s.cluster.PartitionInfo("in.dlq", 0).HighWatermark
	if n := len(s.audits); n > 0 {
		for p, at := range s.audits[n-1].committed {
			if a.committed[p] < at {
				s.violation("the position of partition %d went back from %d to %d", p, at, a.committed[p])
			}
		}
	}
	s.audits = append(s.audits, a)
	return a
}

// outcome is one record that a read_committed reader sees.
type outcome struct {
	letter   bool
	runFails bool  // a dead letter of the class run_failed
	at       int64 // in its log
	producer int64
}

// readOutcomes are by partition and input, in the order in which they were read; at least once
// there may be several of one input.
type readOutcomes [simPartitions]map[int][]outcome

// readBack is everything that a read_committed reader sees; what has no input, comes
// twice or out of order, or has the wrong value, is a violation. At least once the first
// outcomes are in order.
func (s *simulation) readBack() (seen readOutcomes) {
	for p := range seen {
		seen[p] = map[int][]outcome{}
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(s.cluster.ListenAddrs()...), kgo.Dialer(s.network.DialContext), kgo.ConsumeTopics("out", "in.dlq"),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(100*time.Millisecond),
		kgo.DisableClientMetrics())
	if err != nil {
		s.Fatal(err)
	}
	defer client.Close()
	var order [simPartitions][]int // of outputs
	for quiet := 0; quiet < 3; quiet++ {
		ctx, cancel := context.WithTimeout(s.Context(), time.Second)
		fetches := client.PollFetches(ctx)
		cancel()
		fetches.EachRecord(func(r *kgo.Record) {
			quiet = -1
			p, i, ok := s.sourceOf(r)
			if !ok {
				return
			}
			o := outcome{letter: r.Topic != "out", at: r.Offset, producer: r.ProducerID}
			for _, h := range r.Headers {
				o.runFails = o.runFails || h.Key == "x-error-class" && string(h.Value) == "run_failed"
			}
			before := seen[p][i]
			seen[p][i] = append(before, o)
			switch {
			case len(before) > 0 && s.atLeastOnce:
				s.res.Twice++
				return
			case len(before) > 0:
				s.violation("record %d of partition %d has two outcomes: %+v and %+v", i, p, before[0], o)
			}
			if !o.letter {
				order[p] = append(order[p], i)
			}
		})
	}
	s.checkOrder(order, seen)
	return seen
}

// checkOrder: outputs come in the order of their inputs. A record that was a dead letter in
// one life and an output in a later one, at least once, had its place with the letter.
func (s *simulation) checkOrder(order [simPartitions][]int, seen readOutcomes) {
	for p, inputs := range order {
		last := -1
		for _, i := range inputs {
			if s.atLeastOnce && slices.ContainsFunc(seen[p][i], func(o outcome) bool { return o.letter }) {
				continue
			}
			if i < last {
				s.violation("partition %d: the output of record %d comes after that of %d", p, i, last)
			}
			last = i
		}
	}
}

// sourceOf finds the input of an outcome.
func (s *simulation) sourceOf(r *kgo.Record) (partition, i int, ok bool) {
	if r.Topic == "out" {
		v, err := strconv.Atoi(string(r.Value))
		if err != nil || v%2 != 1 || v/2 >= len(s.inputs[r.Partition]) {
			s.violation("partition %d has the output %q, which no input has", r.Partition, r.Value)
			return 0, 0, false
		}
		return int(r.Partition), v / 2, true
	}
	at := map[string]int{}
	for _, h := range r.Headers {
		at[h.Key], _ = strconv.Atoi(string(h.Value))
	}
	partition, i = at["__connect.errors.partition"], at["__connect.errors.offset"]
	if partition >= simPartitions || i >= len(s.inputs[partition]) || !strings.HasSuffix(string(r.Value), strconv.Itoa(i)) {
		s.violation("dead letter %q of partition %d, offset %d is of no input", r.Value, partition, i)
		return 0, 0, false
	}
	return partition, i, true
}

// check compares all that came out with all that went in.
func (s *simulation) check() {
	// What a dead process left open hides what was committed after it, until its
	// timeout.
	s.until(time.Minute, "no transaction is open", func() bool {
		for topic, n := range map[string]int32{"out": simPartitions, "in.dlq": 1} {
			for p := range n {
				if info := s.cluster.PartitionInfo(topic, p); info.LastStableOffset < info.HighWatermark {
					return false
				}
			}
		}
		return true
	})
	seen := s.readBack()
	for p, inputs := range s.inputs {
		var lost, wrong []int
		for i, becomes := range inputs {
			if len(seen[p][i]) == 0 {
				lost = append(lost, i)
			}
			for _, o := range seen[p][i] {
				switch {
				case becomes == predicted && o.runFails && s.res.Kinds["model fails"] > 0:
					// A model that is well again when it is asked whether it was to blame.
					s.res.Letters++
				case becomes != either && o.letter != (becomes == letter):
					wrong = append(wrong, i)
				case o.letter:
					s.res.Letters++
				default:
					s.res.Outputs++
				}
			}
		}
		if len(lost) > 0 {
			s.violation("partition %d: %d of %d records have no outcome: %v", p, len(lost), len(inputs), few(lost))
		}
		if len(wrong) > 0 {
			s.violation("partition %d: %d records are not what they should be, output or dead letter: %v", p, len(wrong), few(wrong))
		}
	}
	s.checkPositions(seen)
	s.checkSums(seen)
}

// checkPositions: when a position was to be seen, every outcome below it was in the
// logs (I2).
func (s *simulation) checkPositions(seen readOutcomes) {
	for _, a := range s.audits {
		for p := range simPartitions {
			for i := range a.committed[p] {
				there := slices.ContainsFunc(seen[p][int(i)], func(o outcome) bool {
					return o.letter && o.at < a.letters || !o.letter && o.at < a.outputs[p]
				})
				if !there {
					s.violation("partition %d: position %d was committed before record %d had an outcome", p, a.committed[p], i)
					break
				}
			}
		}
	}
	s.res.Violations = slices.Compact(s.res.Violations)
}

// checkSums: a process counts as done only what is in the logs, and of transactions what
// its own have committed; it may not have heard of one that was (I1, I5).
func (s *simulation) checkSums(seen readOutcomes) {
	written, letters := map[int64]int64{}, map[int64]int64{}
	for _, of := range seen {
		for _, all := range of {
			for _, o := range all {
				id := o.producer
				if s.atLeastOnce {
					id = -1 // a process has another one each time
				}
				if o.letter {
					letters[id]++
				} else {
					written[id]++
				}
			}
		}
	}
	var whole pipeline.Counts
	for name, ps := range s.all {
		var sum pipeline.Counts
		for _, p := range ps {
			c := p.line.Counts()
			sum.Predicted += c.Predicted
			sum.DeadLettered += c.DeadLettered + c.Expired
			if p.err != nil && strings.Contains(p.err.Error(), "BUG:") {
				s.violation("process %s: %v", name, p.err)
			}
			s.res.Aborted += int64(p.reg.Counter("sluice_transactions", "Transactions by how they ended.", "outcome").With("aborted").Count())
		}
		whole.Predicted, whole.DeadLettered = whole.Predicted+sum.Predicted, whole.DeadLettered+sum.DeadLettered
		if s.atLeastOnce {
			continue
		}
		described, err := s.admin.DescribeTransactions(s.Context(), transactionalID(name))
		if err != nil {
			s.Fatal(err)
		}
		s.checkSum("process "+name, sum, written, letters, described[transactionalID(name)].ProducerID)
	}
	if s.atLeastOnce {
		s.checkSum("all processes together", whole, written, letters, -1)
	}
}

func (s *simulation) checkSum(who string, sum pipeline.Counts, written, letters map[int64]int64, id int64) {
	if sum.Predicted > written[id] || sum.DeadLettered > letters[id] {
		s.violation("%s: counted are %d predicted and %d dead-lettered or expired, but in the logs %d and %d",
			who, sum.Predicted, sum.DeadLettered, written[id], letters[id])
	}
}

// few is the first of many.
func few(of []int) []int { return of[:min(len(of), 20)] }
