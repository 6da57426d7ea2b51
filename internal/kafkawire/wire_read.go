package kafkawire

import (
	"encoding/binary"
	"fmt"
)

// wireReader takes Kafka primitives from bytes that are not to be trusted. The
// first problem sticks in err and every later read gives zeros; each length is
// compared with what is left before anything is allocated for it. With flex set
// the compact forms are read (KIP-482).
type wireReader struct {
	b       []byte
	version int16
	flex    bool
	err     error
}

func (r *wireReader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s, %d bytes left", ErrMalformed, what, len(r.b))
	}
	r.b = nil
}

// take returns the next n bytes, aliasing the input.
func (r *wireReader) take(n int, what string) []byte {
	if n < 0 || n > len(r.b) {
		r.fail(what)
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

func (r *wireReader) bool() bool { return r.int8() != 0 }

func (r *wireReader) int8() int8 {
	if b := r.take(1, "int8"); b != nil {
		return int8(b[0])
	}
	return 0
}

func (r *wireReader) int16() int16 {
	if b := r.take(2, "int16"); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (r *wireReader) int32() int32 {
	if b := r.take(4, "int32"); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (r *wireReader) int64() int64 {
	if b := r.take(8, "int64"); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

func (r *wireReader) uuid() (id [16]byte) {
	copy(id[:], r.take(16, "uuid"))
	return id
}

// uvarint reads at most 32 bits, which is all the protocol uses.
func (r *wireReader) uvarint() uint32 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > 1<<32-1 {
		r.fail("varint")
		return 0
	}
	r.b = r.b[n:]
	return uint32(v)
}

// length reads a length in the compact or the classic form of the given width;
// -1 is null.
func (r *wireReader) length(width int) int {
	switch {
	case r.flex:
		return int(r.uvarint()) - 1
	case width == 2:
		return int(r.int16())
	default:
		return int(r.int32())
	}
}

// arrayLen reads an array's length; 0 for null. least is the smallest size of
// one element: an array that cannot fit in what is left is refused.
func (r *wireReader) arrayLen(least int) int {
	n := r.length(4)
	if n < -1 || n > len(r.b)/least {
		r.fail("array length")
		return 0
	}
	return max(n, 0)
}

// bytes reads bytes, aliasing the input; nil for null.
func (r *wireReader) bytes() []byte {
	n := r.length(4)
	if n == -1 || r.err != nil {
		return nil
	}
	return r.take(n, "bytes")
}

// string reads a string; "" for null.
func (r *wireReader) string() string {
	n := r.length(2)
	if n == -1 || r.err != nil {
		return ""
	}
	return string(r.take(n, "string"))
}

func (r *wireReader) int32s() []int32 {
	n := r.arrayLen(4)
	if n == 0 {
		return nil
	}
	s := make([]int32, n)
	for i := range s {
		s[i] = r.int32()
	}
	return s
}

// tags skips the tagged fields at the end of a structure.
func (r *wireReader) tags() {
	if !r.flex {
		return
	}
	for n := r.uvarint(); n > 0 && r.err == nil; n-- {
		r.uvarint()
		r.take(int(r.uvarint()), "tagged field")
	}
}
