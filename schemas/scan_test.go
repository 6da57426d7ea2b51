package schemas

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

func floatsJSON(n int, format func(f float32) string, sep string) string {
	r := rand.New(rand.NewPCG(1, 2))
	var sb strings.Builder
	sb.WriteString(`{"id": "a1", "input": [`)
	for i := range n {
		if i > 0 {
			sb.WriteString(sep)
		}
		sb.WriteString(format(r.Float32()))
	}
	sb.WriteString("]}")
	return sb.String()
}

func long(f float32) string  { return strconv.FormatFloat(float64(f), 'g', -1, 64) }
func short(f float32) string { return strconv.FormatFloat(math.Round(float64(f)*1e4)/1e4, 'g', -1, 64) }

func BenchmarkScanFloat32s(b *testing.B) {
	for name, format := range map[string]func(float32) string{"long": long, "short": short} {
		b.Run(name, func(b *testing.B) {
			doc := []byte(floatsJSON(784, format, ", "))
			start := strings.Index(string(doc), "[") + 1
			dst := make([]byte, 784*4)
			b.SetBytes(int64(len(doc)))
			b.ReportAllocs()
			for b.Loop() {
				i, n := start, 0
				for {
					next, k, closed := scanFloat32s(doc, i, dst[n*4:])
					n += k
					i = next
					if closed || i >= len(doc)-fastSpan {
						break
					}
					x, end := scanNumber(doc, i)
					x.float32At(doc[i:end])
					n++
					i = end + 2
				}
			}
		})
	}
}

func FuzzValid(f *testing.F) {
	for _, s := range []string{`{}`, `[1,2,{"a":null}]`, `"\ud800"`, `01`, `-`, `1e+`, "\"\xff\"", "[" + strings.Repeat("[", 50), `{"a":1,}`, ` [ ] x`, `"a\u12"`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var s skipper
		if got, want := s.document(b, 10000) >= 0, json.Valid(b); got != want {
			t.Fatalf("valid(%q) = %v, encoding/json says %v", b, got, want)
		}
	})
}
