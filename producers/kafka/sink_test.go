package kafka

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-ml/sluice/internal/kafkawire"
	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/schemas"
)

var update = flag.Bool("update", false, "write the golden files")

// tracked is an item and what became of it.
type tracked struct {
	*pipeline.Item
	mu      sync.Mutex
	settled int
	err     error
}

// Release implements pipeline.Releaser: the item has its outcome.
func (tr *tracked) Release() {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.settled++
}

// fate is the item's error; ok is false until it is settled.
func (tr *tracked) fate() (err error, ok bool) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if tr.settled > 1 {
		return errors.New("settled twice"), true
	}
	return tr.err, tr.settled == 1
}

// newItem is an item with an output, alone in its assignment.
func newItem(topic string, partition int32, offset int64) *tracked {
	it := pipeline.NewItem()
	it.Record = schemas.Record{
		Topic: topic, Partition: partition, Offset: offset, Timestamp: 1700000000000,
		Key: []byte("key"), Value: []byte(`{"input":[1,2]}`), Headers: it.Headers[:0],
	}
	it.TopicID = [16]byte{1, 2, 3}
	it.Output, it.ContentType = []byte(fmt.Sprintf(`{"offset":%d}`, offset)), "application/json"
	it.BatchRows, it.Device, it.Attempts = 32, "cpu", 1
	tr := &tracked{Item: it}
	it.Buffer = tr
	lane := pipeline.NewPartition(pipeline.PartitionConfig{
		Topic: topic, ID: partition, Start: offset, Ring: 4,
		OnStop: func(err error) {
			tr.mu.Lock()
			defer tr.mu.Unlock()
			tr.err = err
		},
	})
	lane.Track(it, offset+1)
	return tr
}

// failed makes the item a dead letter.
func (tr *tracked) failed(class schemas.Class, stage schemas.Stage) *tracked {
	tr.Err = &schemas.Error{Class: class, Stage: stage, Message: "tensor input: got 2 elements, want 3"}
	return tr
}

func testConfig() SinkConfig {
	return SinkConfig{
		Topic: "out", Group: "scorers", ClusterID: "4L6g3nShT-eMCtK--X86sw",
		ModelName: "fraud", ModelVersion: "7", ModelSHA256: "0123456789abcdef0123456789abcdef",
		Runtime: "onnxruntime-1.27.0", CopyHeaders: []string{"tenant", "x-model"}, HeaderValueMax: 8,
	}
}

func startSink(t *testing.T, b broker, cfg SinkConfig) *Sink {
	t.Helper()
	s, err := newSink(b, cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.p.shut.Store(true)
		s.p.cancel()
		<-s.p.ended
		s.p.tasks.Wait()
	})
	return s
}

func send(t *testing.T, s *Sink, items ...*tracked) {
	t.Helper()
	var all []*pipeline.Item
	for _, tr := range items {
		all = append(all, tr.Item)
	}
	s.Send(t.Context(), all)
}

// text renders a log for a golden file, headers in order.
func text(entries []entry) string {
	var w strings.Builder
	for _, e := range entries {
		value := e.value
		if e.null {
			value = "null"
		}
		key := e.key
		if e.nullKey {
			key = "null"
		}
		fmt.Fprintf(&w, "key %s\nvalue %s\ntimestamp %d\n", key, value, e.ts)
		for _, h := range e.headers {
			fmt.Fprintf(&w, "%s: %s\n", h.Key, h.Value)
		}
		w.WriteString("\n")
	}
	return w.String()
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (want -, got +):\n%s", path, diff)
	}
}

func TestPredictionRecords(t *testing.T) {
	for _, lineage := range []string{LineageShort, LineageFull, LineageNone} {
		t.Run(lineage, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newScripted(map[string]int{"out": 1})
				cfg := testConfig()
				cfg.Lineage = lineage
				s := startSink(t, b, cfg)
				plain := newItem("in", 3, 42)
				traced := newItem("in", 3, 43)
				traced.TraceParent, traced.TraceState = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "a=b"
				traced.Headers = []schemas.Header{
					{Key: "tenant", Value: []byte("acme-corporation")},
					{Key: "secret", Value: []byte("s")},
					{Key: "x-model", Value: []byte("forged")},
					{Key: "x-request-id", Value: []byte("r-1")},
				}
				tombstone := newItem("in", 3, 44)
				tombstone.Value, tombstone.Output, tombstone.ContentType, tombstone.Tombstone = nil, nil, "", true
				send(t, s, plain, traced, tombstone)
				if err := s.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
				golden(t, "prediction-"+lineage, text(b.logs["out"][0].entries))
				for _, tr := range []*tracked{plain, traced, tombstone} {
					if err, ok := tr.fate(); err != nil || !ok {
						t.Errorf("settled %v with %v", ok, err)
					}
				}
			})
		})
	}
}

func TestDeadLetterRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newScripted(map[string]int{"in.dlq": 1})
		s := startSink(t, b, testConfig())
		undecodable := newItem("in", 0, 5).failed(schemas.Undecodable, schemas.StageDecode)
		undecodable.Value = []byte("not json \xff")
		undecodable.Headers = []schemas.Header{{Key: "tenant", Value: []byte("acme")}, {Key: "tenant", Value: nil}}
		undecodable.TraceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
		replayed := newItem("in", 2, 6).failed(schemas.RunFailed, schemas.StageInfer)
		replayed.Headers = []schemas.Header{{Key: "x-attempts", Value: []byte("3")}}
		expired := newItem("in", 1, 7).failed(schemas.Expired, schemas.StageInfer)
		expired.Key, expired.Value = nil, nil
		send(t, s, undecodable, replayed, expired)
		if err := s.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		golden(t, "dead-letters", text(b.logs["in.dlq"][0].entries))
	})
}

func TestOutputTooLargeBecomesADeadLetterOfTheInput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newScripted(map[string]int{"out": 1, "in.dlq": 1})
		b.maxBytes = 2000
		s := startSink(t, b, testConfig())
		large, mate := newItem("in", 0, 1), newItem("in", 0, 2)
		large.Output = make([]byte, 3000)
		send(t, s, large, mate)
		if err := s.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		// When the refusal comes depends on whether both records met in one batch.
		letter := regexp.MustCompile(`timestamp \d+`).ReplaceAllString(text(b.logs["in.dlq"][0].entries), "timestamp of the refusal")
		golden(t, "output-too-large", letter)
		if got := b.values(0); !slices.Equal(got, []string{`{"offset":2}`}) {
			t.Errorf("output has %v, want the other item's", got)
		}
		if err, ok := large.fate(); err != nil || !ok {
			t.Errorf("settled %v with %v", ok, err)
		}
	})
}

func TestDeadLetterTooLargeBecomesAStub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newScripted(map[string]int{"in.dlq": 1})
		b.maxBytes = 2000
		s := startSink(t, b, testConfig())
		tr := newItem("in", 0, 1).failed(schemas.TooLarge, schemas.StageValidate)
		tr.Value = make([]byte, 3000)
		tr.Headers = []schemas.Header{{Key: "h", Value: make([]byte, 100)}}
		send(t, s, tr)
		if err := s.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		golden(t, "stub", text(b.logs["in.dlq"][0].entries))
		if err, ok := tr.fate(); err != nil || !ok {
			t.Errorf("settled %v with %v", ok, err)
		}
	})
}

func TestDeadLetterThatCannotBeWrittenStopsItsPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newScripted(map[string]int{"out": 1})
		s := startSink(t, b, testConfig())
		tr, mate := newItem("in", 0, 1).failed(schemas.Undecodable, schemas.StageDecode), newItem("in", 1, 1)
		send(t, s, tr, mate)
		if err := s.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		var why interface{ StopReason() string }
		if err, _ := tr.fate(); !errors.Is(err, ErrUnwritable) || !errors.As(err, &why) || why.StopReason() != "output_unwritable" {
			t.Errorf("settled with %v", err)
		}
		if err, ok := mate.fate(); err != nil || !ok {
			t.Errorf("the healthy partition: settled %v with %v", ok, err)
		}
	})
}

func TestFloodOfDeadLettersStopsTheTopicBeforeWriting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newScripted(map[string]int{"out": 1, "in.dlq": 1, "calm.dlq": 1})
		cfg := testConfig()
		cfg.DeadLetter = DeadLetterConfig{MaxShare: 0.5, Window: time.Minute, MinItems: 100}
		s := startSink(t, b, cfg)
		var offset int64
		run := func(topic string, n int, bad func(i int) bool) (stopped int) {
			var all []*tracked
			for i := range n {
				offset++
				tr := newItem(topic, 0, offset)
				if bad(i) {
					tr.failed(schemas.WrongShape, schemas.StageValidate)
				}
				all = append(all, tr)
				send(t, s, tr)
			}
			if err := s.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, tr := range all {
				if err, _ := tr.fate(); errors.Is(err, ErrDeadLetterFlood) {
					stopped++
				}
			}
			return stopped
		}
		all, none := func(int) bool { return true }, func(int) bool { return false }

		if n := run("in", 99, all); n != 0 {
			t.Errorf("%d stopped below min_items", n)
		}
		if n := run("in", 1, all); n != 1 {
			t.Errorf("the item that makes it a flood was written")
		}
		if got := len(b.logs["in.dlq"][0].entries); got != 99 {
			t.Errorf("%d dead letters written, want 99", got)
		}
		time.Sleep(time.Hour)
		if n := run("in", 10, all); n != 10 {
			t.Errorf("the flood ended by itself: %d of 10 stopped", n)
		}
		if n := run("in", 10, none); n != 0 {
			t.Errorf("%d predictions stopped", n)
		}
		if n := run("calm", 400, func(i int) bool { return i%2 == 1 }); n != 0 {
			t.Errorf("half dead letters is not above max_share, %d stopped", n)
		}
		time.Sleep(2 * time.Minute)
		if n := run("calm", 99, all); n != 0 {
			t.Errorf("items outside the window counted: %d stopped", n)
		}
		if s.failures.flooded.With("in").Value() != 1 || s.failures.flooded.With("calm").Value() != 0 {
			t.Error("sluice_dead_letter_flood is not 1 for the flooded topic alone")
		}
	})
}

func TestOnErrorStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newScripted(map[string]int{"out": 1, "in.dlq": 1})
		cfg := testConfig()
		cfg.DeadLetter.OnError = OnErrorStop
		s := startSink(t, b, cfg)
		tr := newItem("in", 0, 1).failed(schemas.NonFinite, schemas.StageEncode)
		cause := tr.Err
		send(t, s, tr)
		synctest.Wait()
		var of *schemas.Error
		if err, _ := tr.fate(); !errors.Is(err, ErrItemStop) || !errors.As(err, &of) || of != cause {
			t.Errorf("settled with %v", err)
		}
	})
}

func TestExpiredDropIsSettledWithoutARecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newScripted(map[string]int{"out": 1, "in.dlq": 1})
		cfg := testConfig()
		cfg.DeadLetter.Expired = ExpiredDrop
		s := startSink(t, b, cfg)
		tr := newItem("in", 0, 1).failed(schemas.Expired, schemas.StageInfer)
		send(t, s, tr)
		if err, ok := tr.fate(); err != nil || !ok || b.sent() != 0 {
			t.Errorf("settled %v with %v after %d requests", ok, err, b.sent())
		}
	})
}

func TestOutcomesOfAnInputPartitionKeepTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newScripted(map[string]int{"out": 4})
		mishaps := []fault{{code: kafkawire.ErrMessageTooLarge}, {lost: true, appended: true}, {code: kafkawire.ErrNotLeader}, {lost: true}}
		b.plan = func(_ string, _ int32, records int) (f fault) {
			if records > 1 && len(mishaps) > 0 {
				f, mishaps = mishaps[0], mishaps[1:]
			}
			return f
		}
		cfg := testConfig()
		cfg.Partition = PartitionSame
		s := startSink(t, b, cfg)
		for offset := range int64(200) {
			send(t, s, newItem("in", 6, offset))
		}
		if err := s.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := b.values(2) // 6 modulo 4
		for i := range 200 {
			if want := fmt.Sprintf(`{"offset":%d}`, i); len(got) != 200 || got[i] != want {
				t.Fatalf("%d records, number %d is not %s", len(got), i, want)
			}
		}
	})
}

func TestSinkConfigNamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	err := SinkConfig{Partition: "hash", Timestamp: "later", DeadLetter: DeadLetterConfig{MaxShare: 2, OnError: "ignore"}}.Validate()
	for _, want := range []string{"output.topic", "output.partition", "output.timestamp", "dead_letter.on_error", "max_share"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
}
