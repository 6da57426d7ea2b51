package lab

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
)

// Reference is what Python's onnxruntime makes of a payload's distinct rows, from
// the very bytes that contenders get.
func (l *Lab) Reference(ctx context.Context, p *Payload) ([][]float64, error) {
	if want, ok := l.references[p.Name]; ok {
		return want, nil
	}
	model, err := l.ModelPath(ctx, p)
	if err != nil {
		return nil, err
	}
	values, out := filepath.Join(l.Dir, p.Name+".values"), filepath.Join(l.Dir, p.Name+".f64")
	if err := l.writeValues(values, p); err != nil {
		return nil, err
	}
	defer os.Remove(values) //nolint:errcheck // in a folder of temporary files
	if _, err := Command(ctx, l.Python, filepath.Join("deploy", "bench", "reference.py"), model, values, p.Name, out); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(out)
	if err != nil {
		return nil, err
	}
	if len(data) != p.Distinct*p.Width*8 {
		return nil, fmt.Errorf("the reference of %s has %d bytes, want %d", p.Name, len(data), p.Distinct*p.Width*8)
	}
	want := make([][]float64, p.Distinct)
	for i := range want {
		want[i] = make([]float64, p.Width)
		for j := range want[i] {
			want[i][j] = math.Float64frombits(binary.LittleEndian.Uint64(data[8*(i*p.Width+j):]))
		}
	}
	l.references[p.Name] = want
	return want, nil
}

func (l *Lab) writeValues(path string, p *Payload) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	value := l.Rows(p)
	for i := range p.Distinct {
		_, _ = w.Write(value(i)) // Flush tells
		if p.Codec != "raw" {
			_ = w.WriteByte('\n')
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}
