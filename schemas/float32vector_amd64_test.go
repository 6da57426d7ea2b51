package schemas

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

// vectorOne lets the vector scanner read text, at each place of a block; read
// tells whether it did, always the same.
func vectorOne(t *testing.T, text string) (f float32, read bool) {
	t.Helper()
	const before, behind = 64, 3 * vectorSpan
	for at := range before {
		doc := []byte(strings.Repeat("1,", at/2) + strings.Repeat(" ", at%2) + text + "," + strings.Repeat("2", behind))
		var data [4 * before]byte
		next, n := vectorFloat32s(doc, 0, data[:], 0)
		if n < at/2 || n > at/2+1 {
			t.Fatalf("%q at %d: %d numbers", text, at, n)
		}
		now := n == at/2+1
		if now && next != at+len(text)+1 || !now && (next < at || strings.TrimLeft(string(doc[at:next]), " ") != "") {
			t.Fatalf("%q at %d: went on at %d", text, at, next)
		}
		if at == 0 {
			read = now
		}
		if now != read {
			t.Fatalf("%q at %d: read %v, elsewhere %v", text, at, now, read)
		}
		if now {
			f = math.Float32frombits(binary.LittleEndian.Uint32(data[4*n-4:]))
		}
	}
	return f, read
}

func TestVectorScannerReadsTheUsualAndNothingElse(t *testing.T) {
	t.Parallel()
	if !hasVector {
		t.Skip("the processor has no AVX2")
	}
	for _, text := range []string{
		"0", "-0", "7", "-7", "10", "255", "16777215", "9999999999999999", "0.0", "-0.0", "0.5", "-0.5", "0.1234567", "0.12345678", "0.123456789", "9.87654321", "0.1234567890123456",
		"0.12345678901234567", "0.1234567890123456789012345678901", "9.1234567890123456789012345678901", "0.0001234567890123456789", "0.0000000000000001", "12.5", "-12.5", "123456789012345.5", "12345678.12345678",
	} {
		want, _ := strconv.ParseFloat(text, 32)
		if got, read := vectorOne(t, text); !read || math.Float32bits(got) != math.Float32bits(float32(want)) {
			t.Errorf("%s: read %v as %v", text, read, got)
		}
	}
	for _, text := range []string{
		"", "-", "--1", "+1", ".", ".5", "-.5", "5.", "-5.", "00", "01", "-01", "00.5", "01.5", "1.2.3", "1..2", "0x1", "0.1x", "0.12345678x", "x", "1e5", "1.5e5", "0.5E-5", "null", "NaN", `"NaN"`, "[1", "1]", "{", "1 ", "  1", "\t1", "\n1", "1\t", "1:",
		"0.1234567890123456x", "0.12345678901234567x", "0.x1234567890123456789", "0.12345678901234567890123456789012", "12345678901234567", "0.0000123456789012345678", "16777217", "0.\xb0", "\xb0.5", "0.5\x00", "1/2", "0/5", "0.:", "0.5;",
	} {
		if got, read := vectorOne(t, text); read {
			t.Errorf("%s was read as %v", text, got)
		}
	}
}

func TestVectorScannerTakesAlmostAll(t *testing.T) {
	t.Parallel()
	if !hasVector {
		t.Skip("the processor has no AVX2")
	}
	for _, format := range []func(float32) string{long, shortest, short} {
		text := []byte(floatsJSON(format))
		var data [4 * 784]byte
		i := strings.IndexByte(string(text), '[') + 1
		if next, n := vectorFloat32s(text, i, data[:], 0); n < 100 {
			t.Errorf("stopped after %d numbers at %.30s", n, text[next:])
		}
	}
}

// TestVectorScannerAgreesOnDamage changes single bytes of arrays: what it reads
// must be what strconv reads, and it must not read what is no number.
func TestVectorScannerAgreesOnDamage(t *testing.T) {
	t.Parallel()
	if !hasVector {
		t.Skip("the processor has no AVX2")
	}
	r := rand.New(rand.NewPCG(8, 9))
	odd := []byte("0123456789.,-+eE []{}\"\t\n\x00\x1f/:;x\x7f\x80\xb0\xff")
	for range 4000 {
		var doc []byte
		for range 40 {
			doc = append(randomNumber(doc, r), ',')
		}
		doc = append(doc, strings.Repeat("9", 2*vectorSpan)...)
		for range 1 + r.IntN(3) {
			doc[r.IntN(len(doc)-2*vectorSpan)] = odd[r.IntN(len(odd))]
		}
		var data [4 * 200]byte
		next, n := vectorFloat32s(doc, 0, data[:], 0)
		parts := strings.SplitN(string(doc), ",", n+1)
		length := 0
		for k := range n {
			length += len(parts[k]) + 1
			text := strings.TrimPrefix(parts[k], " ")
			if end := skipNumber([]byte(text), 0); end != len(text) {
				t.Fatalf("%q of %q was read as a number", text, doc)
			}
			want, _ := strconv.ParseFloat(text, 32)
			if got := math.Float32frombits(binary.LittleEndian.Uint32(data[4*k:])); math.Float32bits(got) != math.Float32bits(float32(want)) {
				t.Fatalf("%q is %v, strconv says %v", text, got, want)
			}
		}
		if next != length && (next != length+1 || doc[length] != ' ') {
			t.Fatalf("%d numbers of %q, then on at %d", n, doc, next)
		}
	}
}
