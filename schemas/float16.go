package schemas

import (
	"math"
)

// float16Bits rounds f to half precision, ties to even. ok is false when a
// finite f is too large for it.
func float16Bits(f float32) (h uint16, ok bool) {
	b := math.Float32bits(f)
	sign := uint16(b >> 16 & 0x8000)
	b &= 0x7fffffff
	switch {
	case b > 0x7f800000:
		return sign | 0x7e00, true // NaN
	case b == 0x7f800000:
		return sign | 0x7c00, true // infinity
	case b >= 0x477ff000: // 65520: halfway to what would be 65536
		return sign | 0x7c00, false
	case b >= 0x38800000: // normal: rebias the exponent, round away 13 bits
		b += 0xfff + b>>13&1
		return sign | uint16((b-0x38000000)>>13), true
	}
	// Subnormal: adding 0.5 lets the FPU round to multiples of 2^-24.
	return sign | uint16(math.Float32bits(math.Float32frombits(b)+0.5)-0x3f000000), true
}

// float16Value widens half precision; every value is exact.
func float16Value(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	exp, frac := uint32(h>>10&0x1f), uint32(h&0x3ff)
	switch exp {
	case 0:
		f := float32(frac) * 0x1p-24
		return math.Float32frombits(math.Float32bits(f) | sign)
	case 0x1f:
		return math.Float32frombits(sign | 0x7f800000 | frac<<13)
	}
	return math.Float32frombits(sign | (exp+112)<<23 | frac<<13)
}
