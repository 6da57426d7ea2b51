package main

import (
	"context"

	"github.com/sluice-ml/sluice/deploy/bench/lab"
)

// floats is the payload of points 1 to 4: 784 numbers as JSON.
func floats() *lab.Payload { return lab.Payloads[0] }

// row fills values with what record i holds.
func row(i int, values []float32) { lab.Floats(i%floats().Distinct, values) }

// width of a row.
const width = 784

// jsonRow is {"id":"r<i>","<field>":[...]}.
func jsonRow(dst []byte, i int, field string, values []float32) []byte {
	dst = append(append(append(dst, `{"id":"`...), lab.Key(i)...), `",`...)
	return lab.AppendFloats(dst, field, values)
}

// inputs is the topic with the JSON records, shared by the points.
func (l *campaign) inputs(ctx context.Context) (string, error) {
	return l.Loaded(ctx, floats(), l.records, lab.Partitions)
}

// loadJSON publishes every row as JSON.
func (l *campaign) loadJSON(ctx context.Context, topic string) error {
	return l.Load(ctx, topic, l.records, l.Rows(floats()))
}

// tally counts an output topic's ids and compares with the reference, 1e-5
// absolute and relative.
func (l *campaign) tally(ctx context.Context, topic string) (*lab.Tally, error) {
	return l.TallyOutputs(ctx, topic, floats(), l.records, 1e-5)
}
