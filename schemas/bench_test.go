package schemas

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

// floatsJSON is a message of 784 random floats in [0,1).
func floatsJSON(format func(f float32) string) string {
	r := rand.New(rand.NewPCG(1, 2))
	var sb strings.Builder
	sb.WriteString(`{"id": "a1", "input": [`)
	for i := range 784 {
		if i > 0 {
			sb.WriteString(", ")
		}
		sb.WriteString(format(r.Float32()))
	}
	sb.WriteString("]}")
	return sb.String()
}

// long is how Python's json.dumps writes a float32: as the float64 it is.
func long(f float32) string { return strconv.FormatFloat(float64(f), 'g', -1, 64) }

// short has four digits.
func short(f float32) string {
	return strconv.FormatFloat(math.Round(float64(f)*1e4)/1e4, 'g', -1, 64)
}

// shortest is how a float32 is written by those who know that it is one.
func shortest(f float32) string { return strconv.FormatFloat(float64(f), 'g', -1, 32) }

func benchmarkDecode(b *testing.B, cfg CodecConfig, rec *Record) {
	b.Helper()
	c := newCodec(b, cfg)
	req := &Request{}
	b.SetBytes(int64(len(rec.Value)))
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Decode(rec, req); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeJSON784(b *testing.B) {
	for _, f := range []struct {
		name   string
		format func(float32) string
	}{{"17digits", long}, {"shortest", shortest}, {"4digits", short}} {
		b.Run(f.name, func(b *testing.B) {
			benchmarkDecode(b, CodecConfig{Signature: rowSig(FP32, -1, 784)}, record(floatsJSON(f.format)))
		})
	}
}

func BenchmarkDecodeFP64x784(b *testing.B) {
	benchmarkDecode(b, CodecConfig{Signature: rowSig(FP64, -1, 784)}, record(floatsJSON(long)))
}

func BenchmarkDecodeUint8x784(b *testing.B) {
	text := floatsJSON(func(f float32) string { return strconv.Itoa(int(f * 256)) })
	benchmarkDecode(b, CodecConfig{Signature: rowSig(Uint8, -1, 784)}, record(text))
}

func BenchmarkDecodeOIP784(b *testing.B) {
	text := floatsJSON(shortest)
	data := text[strings.Index(text, "[") : len(text)-1]
	text = `{"id": "a1", "inputs": [{"name": "input", "shape": [1, 784], "datatype": "FP32", "data": ` + data + `}]}`
	benchmarkDecode(b, CodecConfig{Signature: rowSig(FP32, -1, 784), Name: CodecOIPJSON}, record(text))
}

func BenchmarkDecodeRaw784(b *testing.B) {
	benchmarkDecode(b, CodecConfig{Signature: rowSig(FP32, -1, 784), Name: CodecRaw}, record(strings.Repeat("abcd", 784)))
}

// event has 60 named fields, some of them not read.
func event() (cfg CodecConfig, text string) {
	var fields []Field
	var sb strings.Builder
	sb.WriteString(`{"id": "e-1", "type": "payment", "customer": {"id": 71, "country": "DE"}`)
	for i := range 60 {
		name := fmt.Sprintf("feature_%d_mean", i)
		fields = append(fields, Field{Path: "/" + name})
		fmt.Fprintf(&sb, `, "%s": %g`, name, float64(i*37)/8)
	}
	sb.WriteString("}")
	return CodecConfig{
		Signature: rowSig(FP32, -1, 60),
		Inputs:    map[string]InputMapping{"input": {Fields: fields}},
		Include:   []string{"/customer/id"},
	}, sb.String()
}

func BenchmarkDecodeEvent60(b *testing.B) {
	cfg, text := event()
	benchmarkDecode(b, cfg, record(text))
}

func BenchmarkEncode10(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	var data []float32
	for range 10 {
		data = append(data, r.Float32())
	}
	res := &Result{Outputs: []Output{{Tensor: floats("y", data, 1, 10), HasRows: true}}}
	for _, name := range []string{CodecJSON, CodecOIPJSON, CodecRaw} {
		b.Run(name, func(b *testing.B) {
			c := newCodec(b, CodecConfig{Signature: rowSig(FP32, -1, 784), OutputName: name})
			rec, req := record(`{}`), &Request{ID: []byte(`"a1"`), Rows: 1, Single: true}
			var dst []byte
			b.ReportAllocs()
			for b.Loop() {
				var err error
				if dst, _, err = c.Encode(dst[:0], rec, req, res); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkOutcomeID(b *testing.B) {
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = OutcomeID(dst[:0], "4L6g3nShT-eMCtK--X86sw", [16]byte{1, 2}, 3, 123456, "fraud")
	}
}
