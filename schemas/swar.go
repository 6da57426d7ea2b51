package schemas

import (
	"encoding/binary"
	"math/bits"
	"unsafe"
)

// Eight bytes at a time ("SIMD within a register"). All words are read
// little-endian: the first byte of the text is the lowest byte of the word.
const (
	everyByte = 0x0101010101010101
	highBits  = 0x8080808080808080
	zeroChars = 0x3030303030303030 // "00000000"
)

// load reads the eight bytes at i. The caller knows that they exist.
func load(b []byte, i int) uint64 { return binary.LittleEndian.Uint64(b[i : i+8]) }

// digitRun counts the leading decimal digits (0..8) of a word that was XORed
// with zeroChars. Adding 0x76 lifts 10 and above over 0x7f; a carry out of a
// byte can only come from a byte that is no digit, so it never hides the first.
func digitRun(t uint64) int {
	return bits.TrailingZeros64((t+0x7676767676767676|t)&highBits) >> 3
}

// noDigits sets the lowest bit of the bytes of t, XORed like digitRun's, that are
// no digit. Only the lowest mark is sure. Where digits only need to be counted and
// cut off, below and ones do it without the bit scan of digitRun, which is slow on
// AMD's processors.
func noDigits(t uint64) uint64 { return (t + 0x7676767676767676 | t) >> 7 & everyByte }

// below masks the bytes in front of the lowest mark of noDigits, all without one.
func below(marks uint64) uint64 { return (marks - 1) &^ marks }

// ones counts the bytes that a mask of below has.
func ones(mask uint64) int { return int(mask & everyByte * everyByte >> 56) }

// digitValue is the number that the first n digits (0..7) of t spell. Shifting puts
// zeros in front, so that every n costs the same and nothing is mispredicted.
func digitValue(t uint64, n int) uint64 {
	return eightDigits(t << (uint(56-8*n) & 63) << 8)
}

// eightDigits is the number spelled by the eight digit bytes of t: pairs, then
// fours, then all, with two multiplications (Daniel Lemire's "parse eight digits").
func eightDigits(t uint64) uint64 {
	t = t*10 + t>>8
	return (t&0x000000FF000000FF*0x000F424000000064 +
		t>>16&0x000000FF000000FF*0x0000271000000001) >> 32
}

// pow10 holds the powers a run of digits shifts by.
var pow10 = [8]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7}

// stringStops marks the bytes of v that end a plain run inside a JSON string:
// the quote, the backslash and control characters. Only the lowest mark is sure
// (borrows spread upwards).
func stringStops(v uint64) uint64 {
	quote := v ^ everyByte*'"'
	slash := v ^ everyByte*'\\'
	return ((quote-everyByte)&^quote | (slash-everyByte)&^slash | (v-everyByte*0x20)&^v) & highBits
}

// wordAt and byteAt read behind p without a bounds check. The caller has checked
// once that the bytes it may look at exist: five checks a number are a quarter
// of the time of scanFloat32s.
func wordAt(p unsafe.Pointer, i int) uint64 {
	return binary.LittleEndian.Uint64((*[8]byte)(unsafe.Add(p, i))[:])
}

func byteAt(p unsafe.Pointer, i int) byte { return *(*byte)(unsafe.Add(p, i)) }

// put32 writes word n of the memory at p, likewise.
func put32(p unsafe.Pointer, n int, v uint32) {
	binary.LittleEndian.PutUint32((*[4]byte)(unsafe.Add(p, 4*n))[:], v)
}
