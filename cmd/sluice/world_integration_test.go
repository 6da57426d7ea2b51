//go:build integration

package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-ml/sluice/internal/kafkatest"
	"github.com/sluice-ml/sluice/schemas"
)

// world is one test's topics and group on the real broker, and the flags that
// make the service use them.
type world struct {
	t            *testing.T
	brokers      []string
	in, out, dlq string
	group        string
	flags        []string
	partitions   int32
	client       *kgo.Client // not ours: the checker
	admin        *kadm.Client
	broker       string
}

// newWorld makes an input, an output and a dead-letter topic. settings are of
// the topics.
func newWorld(t *testing.T, partitions int32, settings ...string) *world {
	t.Helper()
	return newWorldAt(t, kafkatest.Brokers(t), partitions, settings...)
}

func newWorldAt(t *testing.T, brokers []string, partitions int32, settings ...string) *world {
	t.Helper()
	w := &world{t: t, brokers: brokers, broker: strings.Join(brokers, ","), partitions: partitions}
	w.in, w.out = kafkatest.Topic(t, brokers, partitions, settings...), kafkatest.Topic(t, brokers, partitions, settings...)
	w.dlq, w.group = kafkatest.Topic(t, brokers, 1, settings...), kafkatest.Group(t, brokers)
	w.client = kafkatest.Client(t, brokers, kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchMaxBytes(24<<20), kgo.MaxBufferedRecords(1<<20))
	w.admin = kadm.NewClient(w.client)
	w.flags = []string{
		"-c", configFile(t, w.broker), "--set", "input.topics=" + w.in, "--set", "output.topic=" + w.out,
		"--set", "dead_letter.topic=" + w.dlq, "--set", "dead_letter.max_share=1", "--set", "input.group=" + w.group,
	}
	return w
}

// with is the world's flags and more.
func (w *world) with(sets ...string) []string {
	args := append([]string{}, w.flags...)
	for _, s := range sets {
		args = append(args, "--set", s)
	}
	return args
}

// model is a --set of a model of the zoo.
func zoo(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs("../../pipeline/onnx/testdata/zoo/" + name + ".onnx")
	if err != nil {
		t.Fatal(err)
	}
	return "model.path=" + path
}

// put writes records to the input topic.
func (w *world) put(records ...*kgo.Record) {
	w.t.Helper()
	for _, r := range records {
		if r.Topic == "" {
			r.Topic = w.in
		}
	}
	if err := w.client.ProduceSync(w.t.Context(), records...).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
}

// rows are n good records of the affine model, spread over the partitions.
func (w *world) rows(from, n int) []*kgo.Record {
	records := make([]*kgo.Record, n)
	for i := range records {
		id := from + i
		records[i] = &kgo.Record{
			Partition: int32(id) % w.partitions, Key: fmt.Append(nil, id),
			Value: fmt.Appendf(nil, `{"id":%d,"x":[1,2,3,%d]}`, id, id%1000),
		}
	}
	return records
}

// settled waits until the group has committed the end of every partition.
func (w *world) settled() {
	w.t.Helper()
	kafkatest.Eventually(w.t, 40*time.Second, "offsets committed to the end", func(ctx context.Context) bool {
		return w.behind(ctx) == 0
	})
}

// behind is how many records the group has not committed; -1 when unknown.
func (w *world) behind(ctx context.Context) int64 {
	ends, err := w.admin.ListEndOffsets(ctx, w.in)
	if err != nil || ends.Error() != nil {
		return -1
	}
	committed, err := w.admin.FetchOffsets(ctx, w.group)
	if err != nil {
		return -1
	}
	left := int64(0)
	ends.Each(func(o kadm.ListedOffset) {
		at := int64(0)
		if c, ok := committed.Lookup(o.Topic, o.Partition); ok {
			at = max(c.At, 0)
		}
		left += o.Offset - at
	})
	return left
}

// outputs and letters are what franz-go reads.
func (w *world) outputs() []schemas.Record {
	w.t.Helper()
	return overheard(kafkatest.FranzRead(w.t, w.brokers, w.out, true))
}

func (w *world) letters() []schemas.Record {
	w.t.Helper()
	return overheard(kafkatest.FranzRead(w.t, w.brokers, w.dlq, true))
}

// copies counts the outputs per key.
func copies(records []schemas.Record) map[string]int {
	n := map[string]int{}
	for _, r := range records {
		n[string(r.Key)]++
	}
	return n
}

// wantEach checks that every id from 0 to n has an output; redone is how many
// came twice or more.
func wantEach(t *testing.T, records []schemas.Record, n int) (redone int) {
	t.Helper()
	seen, lost := copies(records), 0
	for id := range n {
		if seen[strconv.Itoa(id)] == 0 {
			lost++
		}
	}
	if lost > 0 {
		t.Errorf("%d of %d records have no output", lost, n)
	}
	return len(records) - len(seen)
}

// header is the last value of a header.
func header(r *schemas.Record, key string) (value string, ok bool) {
	for _, h := range r.Headers {
		if h.Key == key {
			value, ok = string(h.Value), true
		}
	}
	return value, ok
}

// base is the admin server's address.
func (r *running) base() string {
	r.t.Helper()
	return "http://" + r.await("admin listening")["addr"].(string)
}

// metric is the value of one series; 0 when it is not there.
func metric(t *testing.T, base, series string) float64 {
	t.Helper()
	_, body := fetch(t, base+"/metrics")
	for line := range strings.Lines(body) {
		if rest, ok := strings.CutPrefix(line, series+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil {
				t.Fatalf("metric %s: %v", line, err)
			}
			return v
		}
	}
	return 0
}
