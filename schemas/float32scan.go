package schemas

import (
	"math"
	"unsafe"
)

// fastSpan is how many bytes the fast scanners may look ahead of a value: sign,
// seven digits, point, three words of digits, comma, blank. Nearer to the end
// of the document the careful path takes over.
const fastSpan = 40

// scanFloat32s reads numbers from i, the start of a value in an array, into dst,
// little-endian. It stops at the closing bracket (closed), when dst is full, or
// at a value that needs the careful path (exponents, more than 19 digits, near
// ties, null, strings, anything wrong). next is the index it stopped at, n how
// many numbers it wrote.
//
// The speed comes from: whole words instead of bytes; a run of any length costs
// the same, so numbers of mixed lengths are not mispredicted; no exact decimal
// conversion where the margin of nearTie proves that none is needed.
func scanFloat32s(b []byte, i int, dst []byte) (next, n int, closed bool) {
	p, out := unsafe.Pointer(unsafe.SliceData(b)), unsafe.Pointer(unsafe.SliceData(dst))
	for last := len(b) - fastSpan; n < len(dst)/4 && i <= last; n++ {
		j, sign := i, uint32(0)
		t := wordAt(p, j)
		if byte(t) == '-' {
			sign = 1 << 31
			j++
			t = wordAt(p, j)
		}
		t ^= zeroChars
		mant := t & 0xff
		whole, digits, k := 1, 0, 0 // digits before and behind the point, in its last word
		if mant > 9 || t>>8&0xff != '.'^'0' {
			whole = digitRun(t)
			if whole == 0 || whole == 8 || (mant == 0 && whole > 1) {
				break
			}
			mant = digitValue(t, whole)
			if byteAt(p, j+whole) != '.' {
				j += whole
				goto convert
			}
		}
		j += whole + 1
		t = wordAt(p, j) ^ zeroChars
		k = digitRun(t)
		digits = k
		for k == 8 && digits <= 16 {
			mant = mant*1e8 + eightDigits(t)
			j += 8
			t = wordAt(p, j) ^ zeroChars
			k = digitRun(t)
			digits += k
		}
		mant = mant*pow10[k&7] + digitValue(t, k)
		if digits == 0 || (digits > 7 && (whole+digits > 19 || int64(mant) < 0)) {
			break // no digit, more than 19, or above 2^63
		}
		j += k
	convert:
		f := float64(int64(mant)) * tenths[digits&31]
		if nearTie(f) {
			break
		}
		put32(out, n, math.Float32bits(float32(f))|sign)
		if c := byteAt(p, j); c == ']' {
			return j, n + 1, true
		} else if c != ',' {
			break
		}
		if j++; byteAt(p, j) == ' ' {
			j++
		}
		if byteAt(p, j) <= ' ' {
			j = space(b, j)
		}
		i = j
	}
	return i, n, false
}

// tenths holds 10^-k as the nearest float64.
var tenths = func() (t [32]float64) {
	for k := range t {
		t[k] = powers[powerRange-k]
	}
	return t
}()
