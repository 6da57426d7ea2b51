package schemas

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

// The records of `make bench`, 256 different ones in turn: the processor learns
// the branches of a record that comes again and again.

const manyRecords = 256

func benchmarkRecords(b *testing.B, cfg CodecConfig, text func(i int, r *rand.Rand) string) {
	b.Helper()
	var recs [manyRecords]*Record
	size := 0
	for i := range recs {
		recs[i] = record(text(i, rand.New(rand.NewPCG(uint64(i), 7))))
		size += len(recs[i].Value)
	}
	c := newCodec(b, cfg)
	req := &Request{}
	b.SetBytes(int64(size / manyRecords))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := c.Decode(recs[i%manyRecords], req); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRecordsFloats(b *testing.B) {
	benchmarkRecords(b, CodecConfig{Signature: rowSig(FP32, -1, 784)}, func(i int, r *rand.Rand) string {
		values := make([]string, 784)
		for j := range values {
			values[j] = shortest(r.Float32())
		}
		return fmt.Sprintf(`{"id":"r%d","input":[%s]}`, i, strings.Join(values, ","))
	})
}

func BenchmarkRecordsEvent(b *testing.B) {
	benchmarkRecords(b, eventConfig(), eventText)
}

func BenchmarkRecordsTokens(b *testing.B) {
	spec := func(name string) TensorSpec { return TensorSpec{Name: name, Type: Int64, Shape: []int64{-1, 32}} }
	sig := &Signature{Inputs: []TensorSpec{spec("input_ids"), spec("attention_mask")}}
	benchmarkRecords(b, CodecConfig{Signature: sig}, func(i int, r *rand.Rand) string {
		var ids, mask []string
		for j := range 32 {
			ids = append(ids, strconv.Itoa(r.IntN(1000)))
			mask = append(mask, strconv.Itoa(min(1, (8+i%25)/(j+1))))
		}
		return fmt.Sprintf(`{"id":"r%d","input_ids":[%s],"attention_mask":[%s]}`, i, strings.Join(ids, ","), strings.Join(mask, ","))
	})
}

func eventConfig() CodecConfig {
	var fields []Field
	for j := range 30 {
		fields = append(fields, Field{Path: fmt.Sprintf("/f%d", j)})
	}
	return CodecConfig{Signature: rowSig(FP32, -1, 30), Inputs: map[string]InputMapping{"input": {Fields: fields}}}
}

// eventText is an object of 60 fields in an order of its own: an id, 30 numbers,
// and 29 that the model does not read.
func eventText(i int, r *rand.Rand) string {
	fields := []string{fmt.Sprintf(`"id":"r%d"`, i)}
	for j := range 30 {
		if j%3 == 0 {
			fields = append(fields, fmt.Sprintf(`"f%d":%d`, j, r.IntN(1000)))
		} else {
			fields = append(fields, fmt.Sprintf(`"f%d":%.2f`, j, r.Float64()*1000))
		}
	}
	pick := func(words ...string) string { return words[r.IntN(len(words))] }
	hex := func(n int) string { return fmt.Sprintf("%0*x", n, r.Uint64()>>(64-4*n)) }
	fields = append(fields,
		fmt.Sprintf(`"time":"2026-11-%02dT%02d:%02d:%02dZ"`, 1+r.IntN(28), r.IntN(24), r.IntN(60), r.IntN(60)),
		fmt.Sprintf(`"received_at":%d`, 1_790_000_000_000+r.Int64N(1e9)),
		`"session":"`+hex(16)+`"`, `"device_id":"`+hex(12)+`"`, `"trace":"`+hex(16)+hex(16)+`"`,
		`"type":"`+pick("purchase", "refund", "login", "transfer")+`"`, `"channel":"`+pick("web", "app", "pos")+`"`,
		`"country":"`+pick("DE", "FR", "US", "JP", "BR")+`"`, `"currency":"`+pick("EUR", "USD", "JPY")+`"`,
		`"merchant":"`+pick(`Caf\u00e9 \"Central\"`, `Smith \u0026 Sons`, `Path\\to\\shop`, "Corner Store")+`"`,
		`"note":"`+pick(`line one\nline two`, `tab\there`, "", `quote \" inside`)+`"`,
		`"agent":"Mozilla/5.0 (X11; Linux x86_64) `+pick("Chrome/130", "Firefox/140", "Safari/18")+`"`,
		`"vip":`+pick("true", "false"), `"new_device":`+pick("true", "false"), `"recurring":`+pick("true", "false"),
		`"coupon":null`, `"referrer":`+pick("null", `"newsletter"`),
		fmt.Sprintf(`"geo":{"lat":%.5f,"lon":%.5f,"accuracy":%d}`, r.Float64()*180-90, r.Float64()*360-180, r.IntN(100)),
		fmt.Sprintf(`"items":[{"sku":"%s","qty":%d},{"sku":"%s","qty":%d}]`, hex(6), 1+r.IntN(5), hex(6), 1+r.IntN(5)),
		`"tags":["`+pick("a", "b")+`","`+pick("red", "blue")+`"]`, `"flags":[true,false,null]`,
		fmt.Sprintf(`"history":[%d,%d,%d]`, r.IntN(9), r.IntN(9), r.IntN(9)))
	for j := range 7 {
		fields = append(fields, fmt.Sprintf(`"a%d":"%s"`, j, hex(8)))
	}
	r.Shuffle(len(fields), func(a, b int) { fields[a], fields[b] = fields[b], fields[a] })
	return "{" + strings.Join(fields, ",") + "}"
}
