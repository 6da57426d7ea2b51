package schemas

import (
	"encoding/binary"
	"flag"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

var exactFloats = flag.Int("floats", 100_000, "how many numbers TestFloat32Streams compares with strconv")

// randomNumber appends a number as messages may have it, most of them for the
// fast paths, many at or near the middle between two float32.
func randomNumber(dst []byte, r *rand.Rand) []byte {
	start := len(dst)
	if r.IntN(3) == 0 {
		dst = append(dst, '-')
	}
	value := float64(math.Float32frombits(uint32(r.IntN(40)+100)<<23 | r.Uint32()>>9)) // 2^-27 to 2^12
	switch r.IntN(8) {
	case 0: // as encoders write a float32
		return strconv.AppendFloat(dst, value, 'f', -1, 32)
	case 1: // as encoders write a float64
		return strconv.AppendFloat(dst, r.Float64()*float64(int64(1)<<r.IntN(20)), 'f', -1, 64)
	case 2: // the middle between two float32, cut anywhere or with more digits behind
		middle := math.Float64frombits(math.Float64bits(value) | tieMiddle)
		dst = strconv.AppendFloat(dst, middle, 'f', -1, 64)
		if point := strings.IndexByte(string(dst[start:]), '.'); point > 0 && r.IntN(2) == 0 {
			least := start + point + 2
			dst = dst[:least+r.IntN(len(dst)-least+1)]
		}
		if r.IntN(2) == 0 {
			dst[len(dst)-1] = '0' + byte(r.IntN(10))
		}
		return dst
	case 3: // near the middle, by the bits of a float64
		near := math.Float64bits(value) | tieMiddle
		return strconv.AppendFloat(dst, math.Float64frombits(near+uint64(r.IntN(1<<17))-1<<16), 'f', -1, 64)
	case 4: // few digits
		return strconv.AppendFloat(dst, value, 'f', r.IntN(6), 64)
	case 5: // whole
		return strconv.AppendUint(dst, r.Uint64()>>r.IntN(64), 10)
	}
	for k := range 1 + r.IntN(3)*r.IntN(8) { // digits anyhow
		dst = append(dst, '0'+byte(r.IntN(10)))
		if k == 0 && dst[len(dst)-1] == '0' {
			break
		}
	}
	if r.IntN(8) > 0 {
		dst = append(dst, '.')
		zeros := r.IntN(2) * r.IntN(12)
		for k := range 1 + r.IntN(32) {
			d := byte('0')
			if k >= zeros {
				d += byte(r.IntN(10))
			}
			dst = append(dst, d)
		}
	}
	return dst
}

// TestFloat32Streams reads arrays of all kinds of numbers by the vector scanner
// (where the processor has one), the word scanner and the careful path together,
// and by the word scanner alone, and holds each number against strconv.
func TestFloat32Streams(t *testing.T) {
	t.Parallel()
	const many = 256
	var (
		r     = rand.New(rand.NewPCG(uint64(*exactFloats), 2))
		doc   []byte
		ends  [many]int
		want  [many]uint32
		data  [4 * many]byte
		seps  = []string{",", ",", ",", ", ", " , ", ",\n  "}
		words = 0
	)
	for range *exactFloats / many {
		sep := seps[r.IntN(len(seps))]
		doc = append(doc[:0], '[')
		for k := range many {
			if k > 0 {
				doc = append(doc, sep...)
			}
			start := len(doc)
			doc = randomNumber(doc, r)
			v, _ := strconv.ParseFloat(view(doc[start:]), 32)
			ends[k], want[k] = len(doc), math.Float32bits(float32(v))
		}
		doc = append(doc, ']')

		p := builder{b: doc, dimensions: 8}
		tensor := Tensor{Type: FP32}
		p.start(&tensor, "/x", many, true)
		if p.value(0) != len(doc) || p.n != many {
			t.Fatalf("%d numbers of %s: %v", p.n, doc, p.err)
		}
		for k := range want {
			if got := binary.LittleEndian.Uint32(tensor.Data[4*k:]); got != want[k] {
				t.Fatalf("number %d, which ends at %d of %s, is %08x, strconv says %08x", k, ends[k], doc, got, want[k])
			}
		}

		for i, n := 1, 0; n < many; n++ {
			before := n
			i, n, _ = wordFloat32s(doc, i, data[:], n)
			words += n - before
			for k := before; k < n; k++ {
				if got := binary.LittleEndian.Uint32(data[4*k:]); got != want[k] {
					t.Fatalf("words: number %d, which ends at %d of %s, is %08x, strconv says %08x", k, ends[k], doc, got, want[k])
				}
			}
			if n < many { // over the one it left out
				i = space(doc, space(doc, ends[n])+1)
			}
		}
	}
	if words < *exactFloats/2 {
		t.Errorf("the word scanner read only %d of %d numbers", words, *exactFloats)
	}
}
