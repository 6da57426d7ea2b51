package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// width is the row length of the usual tiny-model benchmark, 28 x 28 pixels.
const width = 784

// row fills values with the i-th row: uniform in [0,1), fresh for each row.
func row(i int, values []float32) {
	r := rand.New(rand.NewPCG(uint64(i), 784))
	for j := range values {
		values[j] = r.Float32()
	}
}

// jsonRow is {"id":"r<i>","<field>":[...]} with floats in the shortest form that
// reads back exactly: about 8.4 KB.
func jsonRow(dst []byte, i int, field string, values []float32) []byte {
	dst = append(dst, `{"id":"r`...)
	dst = strconv.AppendInt(dst, int64(i), 10)
	dst = append(dst, `","`...)
	dst = append(dst, field...)
	dst = append(dst, `":[`...)
	for j, v := range values {
		if j > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendFloat(dst, float64(v), 'g', -1, 32)
	}
	return append(dst, "]}"...)
}

func rawRow(dst []byte, values []float32) []byte {
	for _, v := range values {
		dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(v))
	}
	return dst
}

func key(i int) []byte { return strconv.AppendInt([]byte("r"), int64(i), 10) }

// load publishes n records made by value, keyed by id, and waits for all.
func (l *lab) load(ctx context.Context, topic string, n int, value func(i int) []byte) error {
	var once sync.Once
	var failed error
	for i := range n {
		l.client.Produce(ctx, &kgo.Record{Topic: topic, Key: key(i), Value: value(i)}, func(_ *kgo.Record, err error) {
			if err != nil {
				once.Do(func() { failed = fmt.Errorf("load %s: %w", topic, err) })
			}
		})
	}
	if err := l.client.Flush(ctx); err != nil {
		return err
	}
	return failed
}

// inputs loads the JSON records once and computes their reference.
func (l *lab) inputs(ctx context.Context) (string, error) {
	if l.loadedJSON != "" {
		return l.loadedJSON, nil
	}
	topic, err := l.topic(ctx, "json", nil)
	if err != nil {
		return "", err
	}
	if err := l.loadJSON(ctx, topic); err != nil {
		return "", err
	}
	if err := l.reference(ctx); err != nil {
		return "", err
	}
	l.loadedJSON = topic
	return topic, nil
}

// loadJSON publishes every row as JSON.
func (l *lab) loadJSON(ctx context.Context, topic string) error {
	values := make([]float32, width)
	return l.load(ctx, topic, l.records, func(i int) []byte {
		row(i, values)
		return jsonRow(make([]byte, 0, 9000), i, "h0", values)
	})
}

// rawInputs loads the same rows as little-endian float32.
func (l *lab) rawInputs(ctx context.Context) (string, error) {
	if l.loadedRaw != "" {
		return l.loadedRaw, nil
	}
	topic, err := l.topic(ctx, "raw", nil)
	if err != nil {
		return "", err
	}
	values := make([]float32, width)
	if err := l.load(ctx, topic, l.records, func(i int) []byte {
		row(i, values)
		return rawRow(make([]byte, 0, 4*width), values)
	}); err != nil {
		return "", err
	}
	l.loadedRaw = topic
	return topic, nil
}

// reference lets Python's onnxruntime compute every row's output.
func (l *lab) reference(ctx context.Context) error {
	if l.referenceComputed {
		return nil
	}
	f, err := os.Create(l.rowsFile())
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	values, buf := make([]float32, width), []byte(nil)
	for i := range l.records {
		row(i, values)
		buf = rawRow(buf[:0], values)
		if _, err := w.Write(buf); err != nil {
			return err
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	script := filepath.Join("deploy", "bench", "accept", "reference.py")
	if _, err := command(ctx, l.python, script, l.model("mlp_784_32x4_10.onnx"), l.rowsFile(), l.referenceFile()); err != nil {
		return err
	}
	l.referenceComputed = true
	return os.Remove(l.rowsFile())
}

// expected reads the reference: n rows of 10.
func (l *lab) expected() ([][]float32, error) {
	data, err := os.ReadFile(l.referenceFile())
	if err != nil {
		return nil, err
	}
	rows := make([][]float32, len(data)/40)
	for i := range rows {
		rows[i] = make([]float32, 10)
		for j := range rows[i] {
			rows[i][j] = math.Float32frombits(binary.LittleEndian.Uint32(data[i*40+j*4:]))
		}
	}
	return rows, nil
}
