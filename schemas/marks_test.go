package schemas

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// plainMarks is markPlaces byte by byte.
func plainMarks(b []byte) (places []uint32, ok bool) {
	inside, escaped, scalar, wrong := false, false, false, false
	for i, c := range b {
		mark := false
		was := escaped
		escaped = false
		switch {
		case c == '"' && !was:
			inside, scalar, mark = !inside, false, true
		case c == '\\' && !was:
			// Outside a string it is wrong, and marked so that the walk sees it.
			escaped, mark, scalar = true, true, !inside
		case inside:
			wrong = wrong || c < 0x20
		case bytes.IndexByte([]byte(" \n\t\r"), c) >= 0:
			scalar = false
		case bytes.IndexByte([]byte("{}[]:,\x1a\x0c\x5b\x5d"), c) >= 0:
			scalar, mark = false, true
		default:
			mark, scalar = !scalar, true
		}
		if mark {
			places = append(places, uint32(i))
		}
	}
	return places, !inside && !wrong
}

// The marks of any text, well-formed or not, are those found byte by byte.
func TestMarks(t *testing.T) {
	t.Parallel()
	if !hasMarks {
		t.Skip("this processor has no AVX2")
	}
	r := rand.New(rand.NewPCG(8, 1))
	var places []uint32
	for n := range 60_000 {
		alphabet := []string{`{}[]:,"" \ax1.`, "\"\\\\\\ab\x01,", "\"a,: \n\t\r\x80\xff", `\"`}[n%4]
		b := make([]byte, 1+r.IntN(300))
		for i := range b {
			b[i] = alphabet[r.IntN(len(alphabet))]
		}
		want, wantOK := plainMarks(b)
		var ok bool
		places, ok = markPlaces(b, places)
		if ok != wantOK || !slices.Equal(places, want) {
			t.Fatalf("%q: marks %v %v, want %v %v", b, places, ok, want, wantOK)
		}
	}
	for _, size := range []int{0, mostMarked + 1} {
		if _, ok := markPlaces(bytes.Repeat([]byte(" "), size), nil); ok {
			t.Errorf("%d bytes were marked", size)
		}
	}
}

// markedPair is one codec that walks along the marks and one that does not.
func markedPair(tb testing.TB) (marked, plain *Codec) {
	tb.Helper()
	cfg := eventConfig()
	m := cfg.Inputs["input"]
	m.Fields[3].Default = json.RawMessage("0.5")
	m.Fields[4].Path = "/geo/lat"
	m.Fields[5].Path = "/a_name_of_more_than_sixteen_bytes"
	m.Fields[6].Path = "/items/1/qty"
	cfg.Inputs["input"] = m
	cfg.Include = []string{"/type", "/items", "/trace"}
	marked, plain = newCodec(tb, cfg), newCodec(tb, cfg)
	if !marked.marked {
		tb.Fatal("documents are not walked along their marks")
	}
	plain.marked = false
	return marked, plain
}

// sameDecoding holds one walk against the other: same request or same error.
func sameDecoding(t *testing.T, marked, plain *Codec, text []byte) error {
	t.Helper()
	got, want := &Request{}, &Request{}
	gotErr := marked.Decode(record(string(text)), got)
	wantErr := plain.Decode(record(string(text)), want)
	if fmt.Sprint(gotErr) != fmt.Sprint(wantErr) {
		t.Fatalf("%s: error %v, want %v", text, gotErr, wantErr)
	}
	if wantErr == nil && !reflect.DeepEqual(got, want) {
		t.Fatalf("%s: %+v, want %+v", text, got, want)
	}
	return wantErr
}

func eventTexts(n int) [][]byte {
	var texts [][]byte
	for i := range n {
		r := rand.New(rand.NewPCG(uint64(i), 5))
		text := []byte(eventText(i, r))
		text = bytes.Replace(text, []byte(`"f5"`), []byte(`"a_name_of_more_than_sixteen_bytes"`), 1)
		switch i % 4 {
		case 1:
			var spaced bytes.Buffer
			if err := json.Indent(&spaced, text, "", " "); err != nil {
				panic(err)
			}
			text = spaced.Bytes()
		case 2:
			text = bytes.ReplaceAll(text, []byte(`,"`), []byte(`, "`))
			text = bytes.ReplaceAll(text, []byte(`":`), []byte(`": `))
		}
		texts = append(texts, text)
	}
	return texts
}

// What the walk along the marks makes of a document, whole or damaged, is what the
// plain walk makes of it; and it leaves no sound one to the other.
func TestMarkedWalkIsThePlainWalk(t *testing.T) {
	t.Parallel()
	marked, plain := markedPair(t)
	r := rand.New(rand.NewPCG(3, 3))
	bad := 0
	for _, text := range eventTexts(200) {
		if err := sameDecoding(t, marked, plain, text); err != nil {
			t.Fatal(err)
		}
		d, req := newDecoder(marked), &Request{}
		marked.reset(req)
		d.begin(record(string(text)), req)
		marked.fill(d)
		if hasMarks && !d.walkMarks(marked.doc) {
			t.Fatalf("%s was left to the plain walk", text)
		}
		for range 60 {
			damaged := slices.Clone(text)
			for range 1 + r.IntN(2) {
				k := r.IntN(len(damaged))
				switch r.IntN(4) {
				case 0:
					damaged[k] = `{}[]:,"\ 0-.en`[r.IntN(14)]
				case 1:
					damaged = slices.Delete(damaged, k, k+1)
				case 2:
					damaged = slices.Insert(damaged, k, "\"\\,: 09.-}"[r.IntN(10)])
				default:
					damaged = damaged[:1+k]
				}
			}
			if sameDecoding(t, marked, plain, damaged) != nil {
				bad++
			}
		}
	}
	if bad < 1000 {
		t.Errorf("only %d damaged documents were refused", bad)
	}
}

// Numbers of all forms up to eight bytes and beyond, right and wrong.
func TestMarkedNumbers(t *testing.T) {
	t.Parallel()
	marked, plain := markedPair(t)
	r := rand.New(rand.NewPCG(9, 2))
	text := eventTexts(1)[0]
	at := bytes.Index(text, []byte(`"f0":`)) + len(`"f0":`)
	end := at + bytes.IndexAny(text[at:], ",}")
	numbers := strings.Fields(`0 -0 00 01 -01 0.0 -0.5 .5 5. - 1.2.3 12345678 -12345678 1234567. 123456789 0.123456 0.1234567
		1e3 +1 0x1 16777217 8388609.5`)
	numbers = append(numbers, "", "1 2")
	for range 4000 {
		n := make([]byte, 1+r.IntN(10))
		for i := range n {
			n[i] = "0123456789.-"[min(r.IntN(14), 11)]
		}
		numbers = append(numbers, string(n))
	}
	good := 0
	for _, n := range numbers {
		doc := append(append(slices.Clone(text[:at]), n...), text[end:]...)
		if sameDecoding(t, marked, plain, doc) == nil {
			good++
		}
	}
	if good < 500 || good == len(numbers) {
		t.Errorf("%d of %d numbers were good", good, len(numbers))
	}
}

func FuzzMarkedWalk(f *testing.F) {
	for _, text := range eventTexts(8) {
		f.Add(text)
	}
	marked, plain := markedPair(f)
	f.Fuzz(func(t *testing.T, text []byte) { _ = sameDecoding(t, marked, plain, text) })
}
