package pipelinetest_test

import (
	"encoding/binary"
	"errors"
	"math"
	"testing"

	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/pipeline/pipelinetest"
	"github.com/sluice-ml/sluice/schemas"
)

func TestSourceKeepsItsPromises(t *testing.T) {
	t.Parallel()
	pipelinetest.RunSourceSuite(t, func(*testing.T) pipelinetest.SourceSubject {
		return pipelinetest.SourceSubject{
			Source:  pipelinetest.NewSource(pipelinetest.SourceConfig{Partitions: 3, PerPartition: 100, Follow: true}),
			Ends:    map[int32]int64{0: 100, 1: 100, 2: 100},
			Records: 300,
		}
	})
}

func TestModelKeepsItsPromises(t *testing.T) {
	t.Parallel()
	pipelinetest.RunModelSuite(t, func(*testing.T) pipelinetest.ModelSubject {
		return pipelinetest.ModelSubject{
			Model: &pipelinetest.Model{}, Rows: 32,
			NewRequest: func(i int) schemas.Request {
				data := binary.LittleEndian.AppendUint32(nil, math.Float32bits(float32(i)))
				return schemas.Request{Rows: 1, Inputs: []schemas.Tensor{{Name: "x", Type: schemas.FP32, Shape: []int64{1, 1}, Data: data}}}
			},
		}
	})
}

func TestSinkKeepsItsPromises(t *testing.T) {
	t.Parallel()
	pipelinetest.RunSinkSuite(t, func(*testing.T) pipelinetest.SinkSubject {
		broken := false
		sink := &pipelinetest.Sink{}
		sink.Fail = func(it *pipeline.Item) error {
			if broken && it.Partition == 1 {
				return errors.New("told to")
			}
			return nil
		}
		return pipelinetest.SinkSubject{
			Sink:  sink,
			Break: func(*testing.T) { broken = true },
			Written: func(*testing.T) (out []pipelinetest.Written) {
				for _, o := range sink.Outcomes() {
					out = append(out, pipelinetest.Written{Partition: o.Partition, Offset: o.Offset, DeadLetter: o.Err != nil, Tombstone: o.Tombstone})
				}
				return out
			},
		}
	})
}
