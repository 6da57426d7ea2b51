package schemas

import (
	"math"
	"unsafe"
)

// fastSpan is how many bytes the word scanners may look ahead of a value: sign,
// seven digits, point, three words of digits, comma, blank. Nearer to the end
// of the document the careful path takes over.
const fastSpan = 40

// wordFloat32s goes on with scanFloat32s at element n of dst, eight bytes at a
// time; total counts from dst's start.
//
// The speed comes from: whole words instead of bytes; digits in front fill their
// word up with zeros behind, so that numbers of mixed lengths are hardly
// mispredicted; no exact decimal conversion where the margin of nearTie proves
// that none is needed.
func wordFloat32s(b []byte, i int, dst []byte, n int) (next, total int, closed bool) {
	p, out := unsafe.Pointer(unsafe.SliceData(b)), unsafe.Pointer(unsafe.SliceData(dst))
	room := len(dst) / 4
	for last := len(b) - fastSpan; n < room && i <= last; n++ {
		j, sign := i, uint32(0)
		if byteAt(p, j) == '-' {
			sign = 1 << 31
			j++
		}
		digit := uint64(byteAt(p, j)) ^ '0'
		t := wordAt(p, j+2) ^ zeroChars
		m := noDigits(t)
		var f float64
		switch {
		case digit > 9 || byteAt(p, j+1) != '.':
			j, f = decimal(p, j)
		case m != 0: // one digit, a point and up to seven
			m = below(m)
			f = float64(int64(digit*1e8+eightDigits(t&m))) * 1e-8
			j += 2 + ones(m)
			if m == 0 {
				j = 0
			}
		default:
			u := wordAt(p, j+10) ^ zeroChars
			if m = noDigits(u); m == 0 {
				j, f = decimal(p, j)
				break
			}
			m = below(m)
			f = float64(int64((digit*1e8+eightDigits(t))*1e8+eightDigits(u&m))) * 1e-16
			j += 10 + ones(m)
		}
		if j == 0 || nearTie(f) {
			break
		}
		put32(out, n, math.Float32bits(float32(f))|sign)
		c := byteAt(p, j)
		if c != ',' {
			if c == ']' {
				return j, n + 1, true
			}
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

// decimal reads a number without sign that has up to seven digits before the
// point and up to 19 in all; f is within the margin of nearTie. next is 0 when
// the number is none of these.
func decimal(p unsafe.Pointer, j int) (next int, f float64) {
	t := wordAt(p, j) ^ zeroChars
	whole := ones(below(noDigits(t)))
	if whole == 0 || whole == 8 || (t&0xff == 0 && whole > 1) {
		return 0, 0
	}
	mant := digitValue(t, whole)
	j += whole
	if byteAt(p, j) != '.' {
		return j, float64(int64(mant))
	}
	j++
	t = wordAt(p, j) ^ zeroChars
	if m := below(noDigits(t)); m+1 != 0 { // up to seven digits behind the point
		if m == 0 {
			return 0, 0
		}
		return j + ones(m), float64(int64(mant*1e8+eightDigits(t&m))) * 1e-8
	}
	k := 8
	digits := k
	for k == 8 && digits <= 16 {
		mant = mant*1e8 + eightDigits(t)
		j += 8
		t = wordAt(p, j) ^ zeroChars
		k = digitRun(t)
		digits += k
	}
	mant = mant*pow10[k&7] + digitValue(t, k)
	if digits == 0 || (digits > 7 && (whole+digits > 19 || int64(mant) < 0)) {
		return 0, 0 // no digit, more than 19, or above 2^63
	}
	return j + k, float64(int64(mant)) * tenths[digits&31]
}

// tenths holds 10^-k as the nearest float64.
var tenths = func() (t [32]float64) {
	for k := range t {
		t[k] = powers[powerRange-k]
	}
	return t
}()
