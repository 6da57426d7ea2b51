package kafka

import (
	"strconv"
	"strings"

	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/schemas"
)

// composer makes the records of outcomes, the same for both delivery levels. The
// records alias the writer and the item. Safe for concurrent use.
type composer struct {
	cfg     SinkConfig
	headers headerPlan
}

func newComposer(cfg SinkConfig) composer { return composer{cfg: cfg, headers: newHeaderPlan(cfg)} }

// prediction is an item's output: the input's key, the output or null, and the
// lineage.
func (c *composer) prediction(w *writer, it *pipeline.Item) *Record {
	rec := &w.rec
	*rec = Record{Partition: ByKey, Timestamp: it.Timestamp, Key: it.Key, Value: it.Output}
	if c.cfg.Partition == PartitionSame {
		rec.Partition = sameBase - it.Partition
	}
	if c.cfg.Timestamp == TimestampNow {
		rec.Timestamp = 0
	}
	if it.Tombstone {
		rec.Value = nil
	}
	rec.Headers = c.headers.prediction(w, it)
	return rec
}

// letter is a failed item's original record with the reason.
func (c *composer) letter(w *writer, it *pipeline.Item) *Record {
	rec := &w.rec
	*rec = Record{Partition: ByKey, Key: it.Key, Value: it.Value}
	w.headers = schemas.DeadLetterHeaders(w.headers[:0], &it.Record, c.info(it))
	rec.Headers = w.headers
	return rec
}

// letterStub says where a record is instead of the record.
func (c *composer) letterStub(w *writer, it *pipeline.Item) *Record {
	rec := &w.rec
	*rec = Record{Partition: ByKey, Value: schemas.StubValue(nil, &it.Record)}
	if len(it.Key) <= maxStubKey {
		rec.Key = it.Key
	}
	bare := it.Record
	bare.Headers = nil
	w.headers = schemas.DeadLetterHeaders(w.headers[:0], &bare, c.info(it))
	rec.Headers = w.headers
	return rec
}

// maxStubKey keeps a stub small: a longer key is left out.
const maxStubKey = 1024

// info is what a dead letter tells beyond the record. Model runs before a
// replay count too.
func (c *composer) info(it *pipeline.Item) schemas.DeadLetterInfo {
	attempts := it.Attempts
	if before, ok := it.Header(schemas.HeaderAttempts); ok {
		if n, err := strconv.Atoi(string(before)); err == nil && n > 0 {
			attempts += n
		}
	}
	return schemas.DeadLetterInfo{
		Group: c.cfg.Group, Error: *it.Err, Attempts: attempts,
		ModelName: c.cfg.ModelName, ModelVersion: c.cfg.ModelVersion, TraceParent: it.TraceParent,
	}
}

// unwritten is the error of a prediction that the broker refuses, which makes it
// a dead letter.
func unwritten(tooLarge bool) *schemas.Error {
	if tooLarge {
		return &schemas.Error{
			Class: schemas.OutputTooLarge, Stage: schemas.StageProduce,
			Message: "the broker refuses the output for its size; raise max.message.bytes of the output topic or ask the model for less",
		}
	}
	return &schemas.Error{
		Class: schemas.EncodeFailed, Stage: schemas.StageProduce,
		Message: "the broker refuses the output record; a compacted output topic needs keys",
	}
}

// deadLetterTopic is the topic of an input's dead letters.
func (c *SinkConfig) deadLetterTopic(input string) string {
	return strings.ReplaceAll(c.DeadLetterTopic, "{input}", input)
}
