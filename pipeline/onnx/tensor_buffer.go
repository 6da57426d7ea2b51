package onnx

import (
	"fmt"
	"slices"

	ort "github.com/yalue/onnxruntime_go"
	"golang.org/x/sys/unix"

	"github.com/sluice-ml/sluice/schemas"
)

// tensorBuffer is the memory of one input or output of one worker, and the
// runtime's headers over it: one for each number of rows when the other
// dimensions are fixed (a header costs 0.3 us and three allocations), else the
// last one used. One goroutine at a time.
type tensorBuffer struct {
	typ    schemas.DataType
	byRows bool           // axis 0 counts rows and the other dimensions are fixed
	host   *hostAllocator // gives the memory; nil: ordinary memory

	mem       []byte // outside Go's heap: the runtime keeps a pointer to it
	hosted    bool   // mem is host's
	headers   []ort.Value
	last      ort.Value
	lastShape []int64
	strings   []string
}

// value returns the runtime's value of that shape over this buffer's memory,
// which holds at least that many elements afterwards.
func (b *tensorBuffer) value(shape []int64) (ort.Value, error) {
	if b.byRows && shape[0] < int64(len(b.headers)) && b.headers[shape[0]] != nil {
		return b.headers[shape[0]], nil
	}
	if !b.byRows && b.last != nil && slices.Equal(b.lastShape, shape) {
		return b.last, nil
	}
	n, ok := schemas.Elements(shape)
	if !ok {
		return nil, fmt.Errorf("a tensor of shape %v is too large", shape)
	}
	if err := b.reserve(n * int64(b.typ.Size())); err != nil {
		return nil, err
	}
	v, err := b.newHeader(shape)
	if err != nil {
		return nil, err
	}
	if b.byRows {
		for int64(len(b.headers)) <= shape[0] {
			b.headers = append(b.headers, nil)
		}
		b.headers[shape[0]] = v
		return v, nil
	}
	destroy(b.last)
	b.last, b.lastShape = v, append(b.lastShape[:0], shape...)
	return v, nil
}

func (b *tensorBuffer) newHeader(shape []int64) (ort.Value, error) {
	if len(shape) == 0 {
		return newScalar(b.typ, nil)
	}
	return newTensor(b.typ, shape, b.mem)
}

// scalar makes a rank-0 input: its value is fixed when it is made.
func (b *tensorBuffer) scalar(data []byte) (ort.Value, error) {
	v, err := newScalar(b.typ, data)
	if err != nil {
		return nil, err
	}
	destroy(b.last)
	b.last = v
	return v, nil
}

// reserve grows the memory, which invalidates every header.
func (b *tensorBuffer) reserve(size int64) error {
	if b.typ == schemas.Bytes || size <= int64(len(b.mem)) && len(b.mem) > 0 {
		return nil
	}
	b.free()
	grown := int64(unix.Getpagesize())
	for grown < size {
		grown *= 2
	}
	if b.host != nil {
		// Where there is none left, ordinary memory is slower and works.
		if mem, err := b.host.alloc(int(grown)); err == nil {
			b.mem, b.hosted = mem, true
			return nil
		}
	}
	mem, err := unix.Mmap(-1, 0, int(grown), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return fmt.Errorf("map %d bytes for a tensor: %w", grown, err)
	}
	b.mem = mem
	return nil
}

// free gives the headers and the memory back; no run may be using them.
func (b *tensorBuffer) free() {
	for _, h := range b.headers {
		destroy(h)
	}
	destroy(b.last)
	b.headers, b.last, b.lastShape = b.headers[:0], nil, b.lastShape[:0]
	switch {
	case b.hosted:
		b.host.free(b.mem)
	case b.mem != nil:
		_ = unix.Munmap(b.mem) // nothing to do about it
	}
	b.mem, b.hosted = nil, false
}

// destroy releases a value; nil is fine.
func destroy(v ort.Value) {
	if v != nil {
		_ = v.Destroy() // the binding's value destructors return nil always
	}
}
