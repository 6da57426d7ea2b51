package kafkawire

import "encoding/binary"

// wireWriter appends Kafka primitives. With flex set, strings, bytes and arrays
// are compact and structures end with tagged fields (KIP-482); the same encoder
// then serves both kinds of version.
type wireWriter struct {
	buf     []byte
	version int16
	flex    bool
	// pieces are written between parts of buf, without a copy.
	pieces []wirePiece
	extra  int // bytes in pieces
}

// wirePiece comes before buf[at:].
type wirePiece struct {
	at   int
	data []byte
}

func (w *wireWriter) size() int { return len(w.buf) + w.extra }

func (w *wireWriter) bool(v bool) {
	b := byte(0)
	if v {
		b = 1
	}
	w.buf = append(w.buf, b)
}

func (w *wireWriter) int8(v int8)   { w.buf = append(w.buf, byte(v)) }
func (w *wireWriter) int16(v int16) { w.buf = binary.BigEndian.AppendUint16(w.buf, uint16(v)) }
func (w *wireWriter) int32(v int32) { w.buf = binary.BigEndian.AppendUint32(w.buf, uint32(v)) }
func (w *wireWriter) int64(v int64) { w.buf = binary.BigEndian.AppendUint64(w.buf, uint64(v)) }

func (w *wireWriter) uvarint(v uint64) { w.buf = binary.AppendUvarint(w.buf, v) }
func (w *wireWriter) uuid(id [16]byte) { w.buf = append(w.buf, id[:]...) }

// arrayLen begins an array of n elements.
func (w *wireWriter) arrayLen(n int) {
	if w.flex {
		w.uvarint(uint64(n) + 1)
		return
	}
	w.int32(int32(n))
}

// nullArray is an array that is absent, which is not the same as empty.
func (w *wireWriter) nullArray() {
	if w.flex {
		w.uvarint(0)
		return
	}
	w.int32(-1)
}

func (w *wireWriter) string(s string) {
	if w.flex {
		w.uvarint(uint64(len(s)) + 1)
	} else {
		w.int16(int16(len(s)))
	}
	w.buf = append(w.buf, s...)
}

// nullableString writes "" as null.
func (w *wireWriter) nullableString(s string) {
	switch {
	case s != "":
		w.string(s)
	case w.flex:
		w.uvarint(0)
	default:
		w.int16(-1)
	}
}

func (w *wireWriter) bytesLen(n int) {
	if w.flex {
		w.uvarint(uint64(n) + 1)
		return
	}
	w.int32(int32(n))
}

func (w *wireWriter) bytes(b []byte) {
	w.bytesLen(len(b))
	w.buf = append(w.buf, b...)
}

// raw writes bytes that were encoded elsewhere, without copying them.
func (w *wireWriter) raw(pieces [][]byte) {
	n := 0
	for _, p := range pieces {
		n += len(p)
	}
	w.bytesLen(n)
	for _, p := range pieces {
		if len(p) > 0 {
			w.pieces = append(w.pieces, wirePiece{len(w.buf), p})
		}
	}
	w.extra += n
}

// tags ends a structure: no tagged fields.
func (w *wireWriter) tags() {
	if w.flex {
		w.buf = append(w.buf, 0)
	}
}
