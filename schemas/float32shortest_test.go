package schemas

import (
	"flag"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
)

var allFloats = flag.Bool("allfloats", false, "compare the texts of all float32, not of 1 in 10,007")

// TestFloat32TextIsStrconvs goes over the float32 in steps; with -allfloats over
// each of them, a few minutes.
func TestFloat32TextIsStrconvs(t *testing.T) {
	t.Parallel()
	step := uint64(10_007)
	if *allFloats {
		step = 1
	}
	var got, want []byte
	check := func(b uint32) {
		f := math.Float32frombits(b)
		if !finite(float64(f)) {
			return
		}
		got, want = appendFloat32(got[:0], f), appendFloat(want[:0], float64(f), 32)
		if string(got) != string(want) {
			t.Fatalf("%08x is written %s, strconv writes %s", b, got, want)
		}
	}
	first, last := uint64(math.Float32bits(smallestPlain))-1000, uint64(math.Float32bits(largestPlain))+1000
	for b := first; b < last; b += step {
		check(uint32(b))
	}
	for exp := range uint32(256) { // powers of two, where the interval is narrower, and their neighbours
		for d := range uint32(3) {
			check(exp<<23 + d)
			check(exp<<23 - d)
			check(exp<<23 + d | 1<<31)
		}
	}
	for exp := -12; exp < 25; exp++ { // few digits
		for d := range 2000 {
			f, _ := strconv.ParseFloat(strconv.Itoa(d)+"e"+strconv.Itoa(exp), 32)
			check(math.Float32bits(float32(f)))
			check(math.Float32bits(float32(-f)))
		}
	}
	r := rand.New(rand.NewPCG(3, 3))
	for range 100_000 {
		check(r.Uint32())
	}
}
