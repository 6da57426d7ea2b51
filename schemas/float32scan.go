package schemas

import (
	"encoding/binary"
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
	p := unsafe.Pointer(unsafe.SliceData(b))
	for n+4 <= len(dst) && i+fastSpan <= len(b) {
		j := i
		var sign uint32
		t := wordAt(p, j)
		if byte(t) == '-' {
			sign = 1 << 31
			j++
			t = wordAt(p, j)
		}
		t ^= zeroChars
		mant := t & 0xff
		room := 18 // digits that may follow without a mantissa above 2^64
		power := powerRange
		var digits int
		if mant <= 9 && t>>8&0xff == '.'^'0' {
			j += 2
			if mant == 0 {
				room = 19
			}
		} else {
			k := digitRun(t)
			if k == 0 || k == 8 || (mant == 0 && k > 1) {
				break
			}
			mant = digitValue(t, k)
			j += k
			if byteAt(p, j) != '.' {
				goto convert
			}
			j++
			room = 19 - k
		}
		t = wordAt(p, j) ^ zeroChars
		digits = digitRun(t)
		if k := digits; k > 0 {
			if k == 8 {
				mant = mant*1e8 + eightDigits(t)
				j += 8
				t = wordAt(p, j) ^ zeroChars
				k = digitRun(t)
				digits += k
				if k == 8 {
					mant = mant*1e8 + eightDigits(t)
					j += 8
					t = wordAt(p, j) ^ zeroChars
					k = digitRun(t)
					digits += k
				}
			}
			mant = mant*pow10[k] + digitValue(t, k)
			j += k
		}
		if digits == 0 || digits > room {
			break
		}
		power -= digits
	convert:
		f := float64(int64(mant)) * powers[power]
		if nearTie(f) || int64(mant) < 0 {
			break
		}
		switch byteAt(p, j) {
		case ',':
			j++
			if byteAt(p, j) == ' ' {
				j++
			}
			if byteAt(p, j) <= ' ' {
				j = space(b, j)
			}
		case ']':
			binary.LittleEndian.PutUint32(dst[n:], math.Float32bits(float32(f))|sign)
			return j, n/4 + 1, true
		default:
			return i, n / 4, false
		}
		binary.LittleEndian.PutUint32(dst[n:n+4], math.Float32bits(float32(f))|sign)
		n += 4
		i = j
	}
	return i, n / 4, false
}
