package lab

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Payload is one kind of message with its model. Record i has the key r<i>; its
// content is that of row i mod Distinct.
type Payload struct {
	Name  string
	Model string // file name, of the zoo or (Made) of models.py
	Made  bool
	// Share of the records that a drain has, relative to json: by speed.
	Share float64
	// Distinct rows: as many as memory and the reference can bear, a prime, so that
	// no pattern of partitions or batches repeats with them.
	Distinct int
	// Outputs of the model in the order of the reference, and numbers in each.
	Outputs []string
	Width   int
	// Sets are sluice's settings beside the codec, as path=value.
	Codec string
	Sets  []string

	row     func(i int) (before, after []byte) // the value is before + id + after
	raw     bool                               // the value is before alone
	numbers func(p *Payload, r *kgo.Record, dst []float64) (id string, values []float64, err error)
}

const mlpFile = "mlp_784_32x4_10.onnx"

// Payloads of the bench, by the protocol.
var Payloads = []*Payload{
	{
		Name: "json", Model: mlpFile, Share: 1, Distinct: 16381, Outputs: []string{"y"}, Width: 10, Codec: "json",
		row: floatsRow, numbers: jsonNumbers,
	},
	{
		Name: "raw", Model: mlpFile, Share: 3, Distinct: 16381, Outputs: []string{"y"}, Width: 10, Codec: "raw",
		row: rawRow, raw: true, numbers: rawNumbers,
	},
	{
		Name: "event", Model: "gbdt.onnx", Made: true, Share: 2, Distinct: 16381, Outputs: []string{"label", "probabilities"}, Width: 3, Codec: "json",
		Sets: []string{"model.inputs.features=" + featurePointers()}, row: eventRow, numbers: jsonNumbers,
	},
	{
		Name: "tokens", Model: "tokens.onnx", Made: true, Share: 0.1, Distinct: 4093, Outputs: []string{"embedding"}, Width: 16, Codec: "json",
		row: tokensRow, numbers: jsonNumbers,
	},
	{
		Name: "crayfish", Model: mlpFile, Share: 0.2, Distinct: 16381, Outputs: []string{"prediction"}, Width: 10,
		row: crayfishRow, raw: true, numbers: crayfishNumbers,
	},
}

// PayloadNamed finds a payload.
func PayloadNamed(name string) (*Payload, error) {
	i := slices.IndexFunc(Payloads, func(p *Payload) bool { return p.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("unknown payload %q; there are json, raw, event, tokens, crayfish", name)
	}
	return Payloads[i], nil
}

// Records of a drain whose json payload has n.
func (p *Payload) Records(n int) int { return max(1, int(float64(n)*p.Share)) }

// ModelPath makes the models where they are missing.
func (l *Lab) ModelPath(ctx context.Context, p *Payload) (string, error) {
	if !p.Made {
		return l.Model(p.Model), nil
	}
	folder := filepath.Join(l.Work, "models")
	_, err := Command(ctx, l.Python, filepath.Join("deploy", "bench", "models.py"), folder)
	return filepath.Join(folder, p.Model), err
}

// rows are a payload's distinct messages, made once.
type rows struct{ before, after [][]byte }

// Rows makes a payload's distinct messages.
func (l *Lab) Rows(p *Payload) func(i int) []byte {
	r := l.rows[p.Name]
	if r == nil {
		r = &rows{make([][]byte, p.Distinct), make([][]byte, p.Distinct)}
		for i := range p.Distinct {
			r.before[i], r.after[i] = p.row(i)
		}
		l.rows[p.Name] = r
	}
	return func(i int) []byte {
		before, after := r.before[i%p.Distinct], r.after[i%p.Distinct]
		if p.raw {
			return before
		}
		value := make([]byte, 0, len(before)+len(after)+9)
		value = append(value, before...)
		value = append(value, Key(i)...)
		return append(value, after...)
	}
}

// Numbers reads the value of a contender's output: the model's numbers, in the
// order of the reference, appended to dst. A record keeps its id as its key.
func (p *Payload) Numbers(key, value []byte, dst []float64) ([]float64, error) {
	_, dst, err := p.numbers(p, &kgo.Record{Key: key, Value: value}, dst)
	return dst, err
}

// Forget frees what Rows holds.
func (l *Lab) Forget(p *Payload) { delete(l.rows, p.Name) }

// Key is a record's key and id.
func Key(i int) []byte { return strconv.AppendInt([]byte("r"), int64(i), 10) }

// Index reads it back, -1 when it is none.
func Index(id string) int {
	if len(id) < 2 || id[0] != 'r' {
		return -1
	}
	i, err := strconv.Atoi(id[1:])
	if err != nil {
		return -1
	}
	return i
}

// Load publishes n records made by value, keyed by id, and waits for all.
func (l *Lab) Load(ctx context.Context, topic string, n int, value func(i int) []byte) error {
	var once sync.Once
	var failed error
	for i := range n {
		l.Client.Produce(ctx, &kgo.Record{Topic: topic, Key: Key(i), Value: value(i)}, func(_ *kgo.Record, err error) {
			if err != nil {
				once.Do(func() { failed = fmt.Errorf("load %s: %w", topic, err) })
			}
		})
	}
	if err := l.Client.Flush(ctx); err != nil {
		return err
	}
	return failed
}

// Loaded is an input topic of n records of a payload, made the first time.
func (l *Lab) Loaded(ctx context.Context, p *Payload, n int, partitions int32) (string, error) {
	name := fmt.Sprintf("in.%s.%d.%d", p.Name, n, partitions)
	if topic, ok := l.loaded[name]; ok {
		return topic, nil
	}
	topic, err := l.Topic(ctx, name, partitions)
	if err != nil {
		return "", err
	}
	if err := l.Load(ctx, topic, n, l.Rows(p)); err != nil {
		return "", err
	}
	l.loaded[name] = topic
	return topic, nil
}

// Unload deletes a topic that Loaded made.
func (l *Lab) Unload(ctx context.Context, topic string) {
	for name, t := range l.loaded {
		if t == topic {
			delete(l.loaded, name)
			l.Drop(ctx, topic)
		}
	}
}
