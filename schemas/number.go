package schemas

import (
	"math"
	"math/bits"
	"strconv"
	"unsafe"
)

// number is a JSON number taken apart: (-1)^neg * mant * 10^exp. exact is false
// when digits were dropped because mant would overflow; mant is then useless.
type number struct {
	mant  uint64
	exp   int
	neg   bool
	exact bool
}

// maxExponent stops the exponent from overflowing; every larger one is out of
// range of all types anyway.
const maxExponent = 1 << 20

// scanNumber takes the number at i apart. end is badSyntax when it is none.
func scanNumber(b []byte, i int) (x number, end int) {
	end = skipNumber(b, i)
	if end < 0 {
		return x, end
	}
	if b[i] == '-' {
		x.neg = true
		i++
	}
	x.exact = true
	i = x.digits(b, i)
	if at(b, i) == '.' {
		first := i + 1
		i = x.digits(b, first)
		x.exp = first - i
	}
	if i < end {
		x.exp += exponent(b[i+1 : end])
	}
	return x, end
}

// digits adds the run of digits at i to the mantissa.
func (x *number) digits(b []byte, i int) int {
	for i+8 <= len(b) && x.mant < 1e11 { // room for eight digits
		t := load(b, i) ^ zeroChars
		k := digitRun(t)
		if k < 8 {
			x.mant = x.mant*pow10[k] + digitValue(t, k)
			return i + k
		}
		x.mant = x.mant*1e8 + eightDigits(t)
		i += 8
	}
	for ; i < len(b) && b[i]-'0' <= 9; i++ {
		high, low := bits.Mul64(x.mant, 10)
		sum, carry := bits.Add64(low, uint64(b[i]-'0'), 0)
		x.exact = x.exact && high == 0 && carry == 0
		x.mant = sum
	}
	return i
}

// exponent reads what stands behind the e.
func exponent(text []byte) int {
	neg := text[0] == '-'
	if neg || text[0] == '+' {
		text = text[1:]
	}
	e := 0
	for _, c := range text {
		e = min(e*10+int(c-'0'), maxExponent)
	}
	if neg {
		return -e
	}
	return e
}

// integer returns the number's absolute value when it is a whole number below
// 2^64 (1.0 and 1e3 are whole numbers: JSON has but one kind of number).
func (x number) integer() (uint64, bool) {
	m, e := x.mant, x.exp
	if !x.exact {
		return 0, false
	}
	if m == 0 {
		return 0, true
	}
	for ; e < 0; e++ {
		if m%10 != 0 {
			return 0, false
		}
		m /= 10
	}
	for ; e > 0; e-- {
		high, low := bits.Mul64(m, 10)
		if high != 0 {
			return 0, false
		}
		m = low
	}
	return m, true
}

// powers holds 10^k as the nearest float64, for k from -powerRange on.
const powerRange = 60

var powers = func() (p [2*powerRange + 1]float64) {
	for k := range p {
		p[k], _ = strconv.ParseFloat("1e"+strconv.Itoa(k-powerRange), 64)
	}
	return p
}()

// The bits of a float64 that a float32 has no room for, their middle (a tie),
// and how near to a tie a float64 must not be, in units in the last place.
//
// The product float64(mant) * 10^k carries three roundings (the mantissa's, the
// power's, its own), each of at most 2^-53 of the value, so it is less than four
// units in the last place away from the number as written. When no tie between
// two float32 lies within those four, product and number are on the same side of
// every tie, and rounding the product gives the float32 that rounding the
// number gives. One float64 in 2^25 or so is too near and goes to strconv.
const (
	tieBits   = 1<<29 - 1
	tieMiddle = 1 << 28
	tieMargin = 4
)

// nearTie tells whether rounding f to a float32 might not be what rounding the
// number behind f gives.
func nearTie(f float64) bool {
	return math.Float64bits(f)&tieBits-(tieMiddle-tieMargin) <= 2*tieMargin
}

// smallestNormal is the least float32 with full precision: below it ties lie
// elsewhere.
const smallestNormal = 0x1p-126

// float32At is the number spelled by text rounded to float32, exactly as
// strconv.ParseFloat(text, 32); false when out of range.
func (x number) float32At(text []byte) (float32, bool) {
	if x.exact && x.mant < 1<<63 && x.exp >= -powerRange && x.exp <= powerRange {
		f := float64(int64(x.mant)) * powers[x.exp+powerRange]
		if (f >= smallestNormal && f < math.MaxFloat32 && !nearTie(f)) || x.mant == 0 {
			if x.neg {
				f = -f
			}
			return float32(f), true
		}
	}
	v, err := strconv.ParseFloat(view(text), 32)
	return float32(v), err == nil
}

// float64At is the number spelled by text, exactly as strconv.ParseFloat(text, 64).
func (x number) float64At(text []byte) (float64, bool) {
	// Clinger's fast path: both operands are exact, one rounding.
	if x.exact && x.mant <= 1<<53 && x.exp >= -22 && x.exp <= 22 {
		f := float64(int64(x.mant))
		if x.exp < 0 {
			f /= powers[powerRange-x.exp]
		} else {
			f *= powers[powerRange+x.exp]
		}
		if x.neg {
			f = -f
		}
		return f, true
	}
	if x.exact && x.mant > 0 && x.exp < 0 && -x.exp < len(wholePowers) {
		f := quotient(x.mant, wholePowers[-x.exp])
		if x.neg {
			f = -f
		}
		return f, true
	}
	v, err := strconv.ParseFloat(view(text), 64)
	return v, err == nil
}

// wholePowers holds the powers of ten below 2^64.
var wholePowers = func() (p [20]uint64) {
	p[0] = 1
	for k := 1; k < len(p); k++ {
		p[k] = 10 * p[k-1]
	}
	return p
}()

// quotient is m/d rounded once, ties to even: what 17 digits of a fraction need.
// Both are shifted to have their top bit set, so that the whole part q of
// 2^63 * m/d has 63 or 64 bits; a remainder is kept as a sticky last bit, ten
// places below what a float64 holds. Converting q rounds it, scaling by a power
// of two is exact.
func quotient(m, d uint64) float64 {
	mShift, dShift := bits.LeadingZeros64(m), bits.LeadingZeros64(d)
	m <<= uint(mShift)
	q, rest := bits.Div64(m>>1, m<<63, d<<uint(dShift))
	if rest != 0 {
		q |= 1
	}
	scale := math.Float64frombits(uint64(1023+dShift-mShift-63) << 52)
	return float64(q) * scale
}

// view is b as a string without a copy, for calls that do not keep it.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
