package kafka

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluice-ml/sluice/internal/kafkawire"
	"github.com/sluice-ml/sluice/pipeline/pipelinetest"
	"github.com/sluice-ml/sluice/schemas"
)

func TestSinkKeepsThePromisesOfThePipeline(t *testing.T) {
	pipelinetest.RunSinkSuite(t, func(t *testing.T) pipelinetest.SinkSubject {
		t.Helper()
		b := newScripted(map[string]int{"out": 3, "in.dlq": 3})
		cfg := testConfig()
		cfg.Partition, cfg.Producer.Grace = PartitionSame, 50*time.Millisecond
		return pipelinetest.SinkSubject{
			Sink:    startSink(t, b, cfg),
			Written: func(t *testing.T) []pipelinetest.Written { t.Helper(); return written(t, b) },
			Break: func(*testing.T) {
				b.set(func() {
					b.plan = func(topic string, partition int32, _ int) (f fault) {
						if topic == "out" && partition == 1 {
							f.code = kafkawire.ErrTopicAuthorization
						}
						return f
					}
				})
			},
		}
	})
}

// written reads the outcomes back by their headers.
func written(t *testing.T, b *scripted) (out []pipelinetest.Written) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for topic, logs := range b.logs {
		for _, l := range logs {
			for _, e := range l.entries {
				w := pipelinetest.Written{DeadLetter: topic == "in.dlq", Tombstone: e.null}
				rec := schemas.Record{Headers: e.headers}
				source, _ := rec.Header(headerSource)
				if w.DeadLetter {
					partition, _ := rec.Header(schemas.HeaderErrorPartition)
					offset, _ := rec.Header(schemas.HeaderErrorOffset)
					source = fmt.Appendf(nil, "in/%s/%s", partition, offset)
				}
				if _, err := fmt.Sscanf(strings.ReplaceAll(string(source), "/", " "), "in %d %d", &w.Partition, &w.Offset); err != nil {
					t.Fatalf("source %q: %v", source, err)
				}
				out = append(out, w)
			}
		}
	}
	return out
}
