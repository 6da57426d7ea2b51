package schemas

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

// readFloat32 reads text at the start of an array that goes on with so many bytes
// of numbers: 50 for the word scanner, 200 for the vector scanner.
func readFloat32(text string, behind int) (float32, *Error, bool) {
	doc := []byte("[" + text + strings.Repeat(", 0.5", behind/5) + "]")
	p := builder{b: doc, dimensions: 8}
	t := Tensor{Type: FP32}
	p.start(&t, "/x", int64(1+behind/5), true)
	if p.value(0) < 0 {
		return 0, p.err, false
	}
	return math.Float32frombits(binary.LittleEndian.Uint32(t.Data)), nil, true
}

// checkFloat32 holds one number against strconv.
func checkFloat32(t *testing.T, text string) {
	t.Helper()
	if !json.Valid([]byte(text)) || text[0] != '-' && text[0]-'0' > 9 {
		return
	}
	want, err := strconv.ParseFloat(text, 32)
	for _, behind := range []int{50, 200} {
		got, _, ok := readFloat32(text, behind)
		if ok != (err == nil) || ok && math.Float32bits(got) != math.Float32bits(float32(want)) {
			t.Fatalf("%s is %v (%v), strconv says %v (%v)", text, got, ok, float32(want), err)
		}
	}
	p := builder{b: []byte(text), dimensions: 8}
	scalar := Tensor{Type: FP32}
	p.start(&scalar, "/x", 1, true)
	if end := p.value(0); (end == len(text)) != (err == nil) || err == nil && math.Float32bits(float32(scalar.float(0))) != math.Float32bits(float32(want)) {
		t.Fatalf("%s alone ends at %d, strconv says %v", text, end, err)
	}
}

func FuzzFloat32(f *testing.F) {
	for _, s := range []string{
		"0", "-0", "-0.0", "0.3745401203632355", "0.3745", "16777217", "16777217.0000000000", "16777217.0000000001", "16777216.9999999999",
		"3.4028235677973366e38", "3.4028235677973362e38", "1e39", "-1e400", "1e-45", "7.006492321624085e-46", "7.006492321624086e-46", "1e-400",
		"1.17549435e-38", "1.1754943508222875e-38", "0.000000059604644775390625", "123456789012345678901234567890", "0.1234567890123456789012345",
		"9999999999999999999", "99999999.99999999999", "1234567.1234567890123", "12345678.5", "0.00000000000000000001", "5e-05", "1E5", "1e+05",
		"8388609.5", "1.00000017881393432617187499", "1.00000017881393432617187500", "1.00000017881393432617187501", "9223372036854775808", "18446744073709551615", "18446744073709551616",
		"0.12345678", "0.1234567", "0.123456789", "0.1234567890123456", "0.12345678901234567", "9.123456789012345678", "9.1234567890123456789",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if text = strings.TrimSpace(text); text == "" || len(text) > 400 {
			return
		}
		checkFloat32(t, text)
	})
}

func TestFloat32IsExactForEveryWayToWriteIt(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	for range 6000 {
		f := math.Float32frombits(r.Uint32())
		if !finite(float64(f)) {
			continue
		}
		g := float64(f)
		// the middle between two float32, and its neighbours
		tie := (g + float64(math.Nextafter32(f, math.MaxFloat32))) / 2
		for _, v := range []float64{g, tie, math.Nextafter(tie, 0), math.Nextafter(tie, math.MaxFloat64), r.Float64(), r.NormFloat64()} {
			for _, format := range []byte{'g', 'f'} {
				checkFloat32(t, strconv.FormatFloat(v, format, -1, 64))
			}
			checkFloat32(t, strconv.FormatFloat(v, 'f', r.IntN(25), 64))
		}
	}
}

func TestFloat64IsExact(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 6))
	for range 20000 {
		want := math.Float64frombits(r.Uint64())
		if !finite(want) {
			continue
		}
		mant := r.Uint64() >> r.IntN(64)
		half := mant>>12 | 1<<53 | 1 // 54 bits, the last one set: with a point in it still a tie
		for _, text := range []string{
			strconv.FormatFloat(want, 'g', -1, 64), strconv.FormatFloat(r.NormFloat64(), 'f', r.IntN(20), 64),
			strconv.FormatUint(mant, 10) + "e-" + strconv.Itoa(r.IntN(22)),
			strconv.FormatUint(half, 10) + ".0", strconv.FormatUint(half>>1, 10) + ".50",
		} {
			x, end := scanNumber([]byte(text), 0)
			got, ok := x.float64At([]byte(text))
			if v, err := strconv.ParseFloat(text, 64); end != len(text) || ok != (err == nil) || got != v {
				t.Fatalf("%s is %v, strconv says %v", text, got, v)
			}
		}
	}
}

func TestFloat16RoundsTiesToEvenAndReadsBack(t *testing.T) {
	t.Parallel()
	for h := range 1 << 16 {
		h := uint16(h)
		f := float16Value(h)
		if f != f || math.IsInf(float64(f), 0) {
			continue
		}
		if back, ok := float16Bits(f); !ok || back != h {
			t.Fatalf("%04x is %v is %04x", h, f, back)
		}
		text := appendFloat(nil, float64(float16Value(h)), 32)
		v, err := strconv.ParseFloat(string(text), 32)
		if back, _ := float16Bits(float32(v)); err != nil || back != h {
			t.Fatalf("%04x is written %s", h, text)
		}
	}
	for _, c := range []struct {
		f    float32
		want uint16
		ok   bool
	}{
		{1 + 0x1p-11, 0x3c00, true},
		{1 + 0x3p-11, 0x3c02, true},
		{1 + 0x1p-11 + 0x1p-20, 0x3c01, true},
		{65504, 0x7bff, true},
		{65519.9, 0x7bff, true},
		{65520, 0x7c00, false},
		{-65520, 0xfc00, false},
		{0x1p-25, 0, true},
		{0x1.8p-25, 1, true},
		{0x3p-25, 2, true},
		{0x1p-14, 0x400, true},
		{float32(math.Inf(1)), 0x7c00, true},
	} {
		if got, ok := float16Bits(c.f); got != c.want || ok != c.ok {
			t.Errorf("%v is %04x %v, want %04x %v", c.f, got, ok, c.want, c.ok)
		}
	}
}

func TestFloatsAreWrittenAsEncodingJSONDoes(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 8))
	for range 20000 {
		f := math.Float32frombits(r.Uint32())
		if !finite(float64(f)) {
			continue
		}
		want, _ := json.Marshal(f)
		if got := appendFloat(nil, float64(f), 32); string(got) != string(want) {
			t.Fatalf("%v is written %s, want %s", f, got, want)
		}
		g := r.NormFloat64() * 1e-3
		want, _ = json.Marshal(g)
		if got := appendFloat(nil, g, 64); string(got) != string(want) {
			t.Fatalf("%v is written %s, want %s", g, got, want)
		}
	}
}

func TestIntegersHaveExactRanges(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		typ       DataType
		good, bad []string
	}{
		{Uint8, []string{"0", "255", "-0", "1.0", "2e2", "25500e-2"}, []string{"256", "-1", "0.5", "1e3"}},
		{Int8, []string{"-128", "127"}, []string{"-129", "128"}},
		{Uint16, []string{"65535"}, []string{"65536"}},
		{Int16, []string{"-32768", "32767"}, []string{"-32769", "32768"}},
		{Uint32, []string{"4294967295"}, []string{"4294967296"}},
		{Int32, []string{"-2147483648", "2147483647"}, []string{"-2147483649", "2147483648"}},
		{Uint64, []string{"18446744073709551615", "1e19"}, []string{"18446744073709551616", "1e20", "-1"}},
		{Int64, []string{"-9223372036854775808", "9223372036854775807"}, []string{"-9223372036854775809", "9223372036854775808", "1e999999999"}},
		{Bool, []string{"true", "false"}, []string{"1", "0", `"true"`}},
		{FP16, []string{"65504", `"NaN"`, `"-Infinity"`}, []string{"65520", `"nan"`, "true"}},
		{FP32, []string{"3.4e38", `"Infinity"`}, []string{"3.5e38", `"inf"`, "false"}},
		{FP64, []string{"1e308"}, []string{"1e309", `""`}},
		{Bytes, []string{`"1"`, `""`}, []string{"1", "true"}},
	} {
		codec := newCodec(t, CodecConfig{Signature: rowSig(c.typ, -1, 4)})
		// once for the fast path, once (near the end) for the careful one
		for _, doc := range []string{`{"input":[%],"pad":"1234567890123456789012345678901234567890"}`, `{"input":[%]}`} {
			for _, text := range c.good {
				if got, _ := decodeText(t, codec, record(fill(doc, text, " ,\n"))); got[:6] == "decode" || got[:6] == "valida" {
					t.Errorf("%s %s: %s", c.typ, text, got)
				}
			}
			for _, text := range c.bad {
				for _, comma := range []string{",", ", ", " ,\n"} {
					if got, _ := decodeText(t, codec, record(fill(doc, text, comma))); got != "validate wrong_type" {
						t.Errorf("%s %s: %s", c.typ, text, got)
					}
				}
			}
		}
	}
}

// fill puts text four times for the percent sign.
func fill(doc, text, comma string) string {
	before, after, _ := strings.Cut(doc, "%")
	return before + text + comma + text + comma + text + comma + text + after
}
