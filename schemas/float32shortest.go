package schemas

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
)

// Numbers of this range are written without an exponent, as ES6 does.
const (
	smallestPlain = float32(1e-6)
	largestPlain  = float32(1e21)
)

// appendFloat32 is appendFloat for float32: byte for byte what
// strconv.AppendFloat(dst, f, 'f', -1, 32) writes, in a third of its time.
// f must be finite. Zero and powers of two are strconv's own: below a power of two
// the interval is narrower, and on a tie (2^-12) versions of Go differ.
func appendFloat32(dst []byte, f float32) []byte {
	abs := math.Float32frombits(math.Float32bits(f) &^ (1 << 31))
	if abs < smallestPlain || abs >= largestPlain || math.Float32bits(f)&(1<<23-1) == 0 {
		return appendFloat(dst, float64(f), 32)
	}
	if f < 0 {
		dst = append(dst, '-')
	}
	digits, exp := shortestDecimal(math.Float32bits(abs))
	return appendDecimal(dst, digits, exp)
}

// shortestDecimal returns the decimal with the fewest digits (but for zeros at its
// end) that reads back as the normal float32 with these bits (no power of two),
// the nearest of them: digits * 10^exp, digits below 10^9. This is Raffaello Giulietti's
// Schubfach ("The Schubfach way to render doubles", 2021) for 32 bits; names are
// the paper's.
func shortestDecimal(b uint32) (digits uint32, exp int) {
	c := b&(1<<23-1) | 1<<23
	q := int(b>>23) - 150
	k := q * 1262611 >> 22 // floor(log10(2^q))
	odd := c & 1           // an odd number's ends of the interval round to its neighbours
	h := uint(q+(-k*1741647>>19)+1) & 31
	g := schubfach[(-k-leastPower)&31]
	// The interval that rounds to the number, in quarters of its last place.
	low := roundToOdd(g, (4*c-2)<<h) + odd
	v := roundToOdd(g, 4*c<<h)
	high := roundToOdd(g, (4*c+2)<<h) - odd

	s := v / 4
	tens := s / 10
	down, up := low <= 40*tens, 40*tens+40 <= high
	if down != up { // one digit less will do
		if up {
			tens++
		}
		return tens, k + 1
	}
	down, up = low <= 4*s, 4*s+4 <= high
	if down == up { // both or none: the nearer, of two the even
		up = v > 4*s+2 || (v == 4*s+2 && s&1 == 1)
	}
	if up {
		s++
	}
	return s, k
}

// roundToOdd is g*c/2^64 with a sticky last bit.
func roundToOdd(g uint64, c uint32) uint32 {
	high, low := bits.Mul64(g, uint64(c))
	if low>>32 > 1 {
		high |= 1
	}
	return uint32(high)
}

// schubfach holds the powers of ten from leastPower on as 64 significant bits,
// rounded up: those that numbers from smallestPlain to largestPlain need.
const leastPower = -15

var schubfach = func() (g [32]uint64) {
	for i := range g {
		k := i + leastPower
		if k >= 0 {
			g[i] = wholePowers[k] << uint(bits.LeadingZeros64(wholePowers[k]))
			continue
		}
		d := wholePowers[-k]
		q, rest := bits.Div64(1<<uint(bits.Len64(d)-1), 0, d)
		if rest > 0 {
			q++
		}
		g[i] = q
	}
	return g
}()

// appendDecimal appends digits * 10^exp without an exponent: 1 to 9 digits, the
// point at most five zeros before or twelve behind them.
func appendDecimal(dst []byte, digits uint32, exp int) []byte {
	const room = 40 // 21 digits, and what whole words write behind them
	point := exp + 9
	for digits < 1e8 {
		digits *= 10
		point--
	}
	first, rest := digits/1e8, eightChars(digits%1e8)
	count := 9 - bits.LeadingZeros64(rest)>>3
	rest |= zeroChars
	end := len(dst)
	dst = slices.Grow(dst, room)
	out := (*[room]byte)(dst[end : end+room])
	switch {
	case point <= 0: // 0.000123
		binary.LittleEndian.PutUint64(out[:], zeroChars&^(0xff<<8)|'.'<<8)
		out[(2-point)&7] = '0' + byte(first)
		binary.LittleEndian.PutUint64(out[(3-point)&15:], rest)
		end += 2 - point + count
	case point < count: // 12.3
		out[0] = '0' + byte(first)
		binary.LittleEndian.PutUint64(out[1:], rest)
		out[point&15] = '.'
		binary.LittleEndian.PutUint64(out[point&15+1:], rest>>uint(8*(point-1)&63))
		end += count + 1
	default: // 12300
		out[0] = '0' + byte(first)
		binary.LittleEndian.PutUint64(out[1:], rest)
		binary.LittleEndian.PutUint64(out[9:], zeroChars)
		binary.LittleEndian.PutUint64(out[17:], zeroChars)
		end += point
	}
	return dst[:end]
}

// eightChars spreads a number below 10^8 over eight bytes, one digit each, the
// first digit in the lowest byte: eightDigits the other way.
func eightChars(n uint32) uint64 {
	v := uint64(n/10000) | uint64(n%10000)<<32
	hundreds := v * 10486 >> 20 & 0x0000007f0000007f
	v = hundreds | (v-100*hundreds)<<16
	tens := v * 103 >> 10 & 0x000f000f000f000f
	return tens | (v-10*tens)<<8
}
