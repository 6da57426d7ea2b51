package main

import (
	"errors"
	"fmt"
	"strconv"
	"unsafe"

	ort "github.com/yalue/onnxruntime_go"
)

// codec is one payload's decoder and encoder around the buffers of runRows rows
// that the model reads and writes. It is used by one goroutine.
type codec interface {
	names() (inputs, outputs []string)
	// decode fills row i and gives the id as it stands in the text.
	decode(i int, value []byte) (id []byte, err error)
	// tensors are views of the first n rows, destroyed by the caller also with an error.
	tensors(n int64) (inputs, outputs []ort.Value, err error)
	// encode appends row i's output.
	encode(dst []byte, i int, id []byte) []byte
	// outputBytes is what one output takes, amply.
	outputBytes() int
}

func newCodec(payload string) (codec, error) {
	switch payload {
	case "json", "raw":
		return &pixels{raw: payload == "raw", in: make([]float32, runRows*784), out: make([]float32, runRows*10)}, nil
	case "event":
		return &event{in: make([]float32, runRows*30), label: make([]int64, runRows), out: make([]float32, runRows*2)}, nil
	case "tokens":
		return &tokens{ids: make([]int64, runRows*32), mask: make([]int64, runRows*32), out: make([]float32, runRows*16)}, nil
	}
	return nil, fmt.Errorf("payload %q: json, raw, event or tokens", payload)
}

// pixels: h0 float32 [n,784] -> y [n,10], as JSON or as bytes.
type pixels struct {
	raw     bool
	in, out []float32
}

func (c *pixels) names() (inputs, outputs []string) { return []string{"h0"}, []string{"y"} }

func (c *pixels) decode(i int, value []byte) (id []byte, err error) {
	row := c.in[i*784 : (i+1)*784]
	if c.raw {
		if len(value) != 4*784 {
			return nil, fmt.Errorf("%d bytes, want %d", len(value), 4*784)
		}
		// little-endian, as the machines that the bench runs on
		copy(unsafe.Slice((*byte)(unsafe.Pointer(&row[0])), 4*784), value)
		return nil, nil
	}
	s := scanner{text: value}
	filled := false
	for key := s.first(); key != nil; key = s.next() {
		switch string(key) {
		case "id":
			id = s.string()
		case "h0":
			s.floats(row)
			filled = true
		default:
			s.skip()
		}
	}
	return id, s.check(filled && id != nil)
}

func (c *pixels) tensors(n int64) (inputs, outputs []ort.Value, err error) {
	return views(view(c.in, n, 784), view(c.out, n, 10))(1)
}

func (c *pixels) encode(dst []byte, i int, id []byte) []byte {
	row := c.out[i*10 : (i+1)*10]
	if c.raw {
		return append(dst, unsafe.Slice((*byte)(unsafe.Pointer(&row[0])), 40)...)
	}
	dst = append(open(dst, id), `"y":`...)
	return append(appendFloats(dst, row), "}}"...)
}

func (c *pixels) outputBytes() int {
	if c.raw {
		return 40
	}
	return 180
}

// event: features float32 [n,30] from f0..f29 -> label int64 [n], probabilities [n,2].
type event struct {
	in, out []float32
	label   []int64
}

func (c *event) names() (inputs, outputs []string) {
	return []string{"features"}, []string{"label", "probabilities"}
}

func (c *event) decode(i int, value []byte) (id []byte, err error) {
	row := c.in[i*30 : (i+1)*30]
	var seen uint32 // bit per feature
	s := scanner{text: value}
	for key := s.first(); key != nil; key = s.next() {
		if f := feature(key); f >= 0 {
			row[f] = s.float()
			seen |= 1 << f
		} else if string(key) == "id" {
			id = s.string()
		} else {
			s.skip()
		}
	}
	return id, s.check(seen == 1<<30-1 && id != nil)
}

// feature is the number in f0..f29, else -1.
func feature(key []byte) int {
	if len(key) < 2 || len(key) > 3 || key[0] != 'f' {
		return -1
	}
	n := 0
	for _, d := range key[1:] {
		if d < '0' || d > '9' {
			return -1
		}
		n = 10*n + int(d-'0')
	}
	if n >= 30 {
		return -1
	}
	return n
}

func (c *event) tensors(n int64) (inputs, outputs []ort.Value, err error) {
	return views(view(c.in, n, 30), view(c.label, n), view(c.out, n, 2))(1)
}

func (c *event) encode(dst []byte, i int, id []byte) []byte {
	dst = append(open(dst, id), `"label":`...)
	dst = append(strconv.AppendInt(dst, c.label[i], 10), `,"probabilities":`...)
	return append(appendFloats(dst, c.out[2*i:2*i+2]), "}}"...)
}

func (c *event) outputBytes() int { return 120 }

// tokens: input_ids and attention_mask int64 [n,32] -> embedding float32 [n,16].
type tokens struct {
	ids, mask []int64
	out       []float32
}

func (c *tokens) names() (inputs, outputs []string) {
	return []string{"input_ids", "attention_mask"}, []string{"embedding"}
}

func (c *tokens) decode(i int, value []byte) (id []byte, err error) {
	s := scanner{text: value}
	filled := 0
	for key := s.first(); key != nil; key = s.next() {
		switch string(key) {
		case "id":
			id = s.string()
		case "input_ids":
			s.ints(c.ids[i*32 : (i+1)*32])
			filled |= 1
		case "attention_mask":
			s.ints(c.mask[i*32 : (i+1)*32])
			filled |= 2
		default:
			s.skip()
		}
	}
	return id, s.check(filled == 3 && id != nil)
}

func (c *tokens) tensors(n int64) (inputs, outputs []ort.Value, err error) {
	return views(view(c.ids, n, 32), view(c.mask, n, 32), view(c.out, n, 16))(2)
}

func (c *tokens) encode(dst []byte, i int, id []byte) []byte {
	dst = append(open(dst, id), `"embedding":`...)
	return append(appendFloats(dst, c.out[16*i:16*i+16]), "}}"...)
}

func (c *tokens) outputBytes() int { return 260 }

var errIncomplete = errors.New("a field is missing")

// made is a tensor or why there is none.
type made struct {
	value ort.Value
	err   error
}

// view is a tensor over the first n rows of data.
func view[T ort.TensorData](data []T, n int64, width ...int64) made {
	shape, size := ort.NewShape(append([]int64{n}, width...)...), n
	for _, w := range width {
		size *= w
	}
	t, err := ort.NewTensor(shape, data[:size])
	return made{t, err}
}

// views splits tensors into inputs, of which there are so many, and outputs.
func views(all ...made) func(inputs int) (in, out []ort.Value, err error) {
	return func(inputs int) (in, out []ort.Value, err error) {
		values := make([]ort.Value, 0, len(all))
		for _, m := range all {
			if m.err != nil {
				return values, nil, m.err
			}
			values = append(values, m.value)
		}
		return values[:inputs:inputs], values[inputs:], nil
	}
}

// open begins an output; the id goes back as it came, escapes included.
func open(dst, id []byte) []byte {
	return append(append(append(dst, `{"id":"`...), id...), `","outputs":{`...)
}

func appendFloats(dst []byte, row []float32) []byte {
	dst = append(dst, '[')
	for j, v := range row {
		if j > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendFloat(dst, float64(v), 'g', -1, 32)
	}
	return append(dst, ']')
}
