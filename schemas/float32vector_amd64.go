package schemas

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

// hasVector tells whether the processor has what scanFloat32Vector needs: Intel's
// since 2013, but for the smallest, and AMD's since 2015.
var hasVector = cpu.X86.HasAVX2 && cpu.X86.HasBMI1

// vectorSpan is how many bytes behind the start of a block of 64 the vector
// scanner may look: the number that starts on the block's last byte, its sign,
// and 17 bytes of it.
const vectorSpan = 96

// vectorFloat32s goes on with scanFloat32s at element n of dst; total counts from
// dst's start. It stops at the first number that it cannot read, near the end of
// the document, or where 64 bytes hold no comma, so that its cost is bounded by
// what it read.
func vectorFloat32s(b []byte, i int, dst []byte, n int) (next, total int) {
	last := len(b) - vectorSpan
	if room := len(dst)/4 - n; hasVector && i <= last && room > 0 {
		var read int
		i, read = scanFloat32Vector(unsafe.SliceData(b), last, i, unsafe.SliceData(dst[4*n:]), room, &vectorScale)
		n += read
	}
	return i, n
}

// scanFloat32Vector reads numbers with a comma behind them from b[i:] into out,
// which has room for so many. A block must not start behind last.
//
//go:noescape
func scanFloat32Vector(b *byte, last, i int, out *byte, room int, scale *vectorScales) (next, n int)

// vectorScales are what the two halves of 16 digits count, for each place of the
// point; and the digit in front of it where it is no part of the 16.
type vectorScales struct {
	halves [17][2]float64
	digit  [10]float64
}

var vectorScale = func() (s vectorScales) {
	for whole := range s.halves {
		s.halves[whole] = [2]float64{powers[powerRange+whole-8], powers[powerRange+whole-16]}
	}
	for d := range s.digit {
		s.digit[d] = float64(d)
	}
	return s
}()
