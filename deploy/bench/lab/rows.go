package lab

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
)

// width is the row length of the usual tiny-model benchmark, 28 x 28 pixels.
const width = 784

// Floats fills values with row i: uniform in [0,1).
func Floats(i int, values []float32) {
	r := rand.New(rand.NewPCG(uint64(i), width))
	for j := range values {
		values[j] = r.Float32()
	}
}

// AppendFloats appends `"<field>":[...]}` with floats in the shortest form that
// reads back exactly: about 8.4 KB.
func AppendFloats(dst []byte, field string, values []float32) []byte {
	dst = append(dst, '"')
	dst = append(dst, field...)
	dst = append(dst, `":[`...)
	for j, v := range values {
		if j > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendFloat(dst, float64(v), 'g', -1, 32)
	}
	return append(dst, "]}"...)
}

func floatsRow(i int) (before, after []byte) {
	values := make([]float32, width)
	Floats(i, values)
	return []byte(`{"id":"`), AppendFloats([]byte(`",`), "h0", values)
}

func rawRow(i int) (value, _ []byte) {
	values := make([]float32, width)
	Floats(i, values)
	for _, v := range values {
		value = binary.LittleEndian.AppendUint32(value, math.Float32bits(v))
	}
	return value, nil
}

// crayfishRow is the message of Crayfish (EDBT 2024): the values are one string
// of decimals, each with a comma behind it.
func crayfishRow(i int) (value, _ []byte) {
	values := make([]float32, width)
	Floats(i, values)
	value = fmt.Appendf(nil, `{"creationTimestamp":%d,"dataPointSz1":1,"dataPointSz2":%d,"dataPoint":"`, 1_700_000_000_000+i, width)
	for _, v := range values {
		value = append(strconv.AppendFloat(value, float64(v), 'f', -1, 32), ',')
	}
	return append(value, `","prediction":null}`...), nil
}

// features of an event that feed the model: f0 to f29.
const features = 30

func featurePointers() string {
	var all []string
	for j := range features {
		all = append(all, fmt.Sprintf("/f%d", j))
	}
	return "[" + strings.Join(all, ", ") + "]"
}

// eventRow is a JSON object of 60 fields in mixed order, about 1.2 KB: an id, 30
// numbers, and 29 that the model does not read.
func eventRow(i int) (before, after []byte) {
	r := rand.New(rand.NewPCG(uint64(i), features))
	fields := []string{`"id":"` + "\x00" + `"`}
	for j := range features {
		if j%3 == 0 {
			fields = append(fields, fmt.Sprintf(`"f%d":%d`, j, r.IntN(1000)))
		} else {
			fields = append(fields, fmt.Sprintf(`"f%d":%.2f`, j, r.Float64()*1000))
		}
	}
	fields = append(fields, others(r)...)
	r.Shuffle(len(fields), func(a, b int) { fields[a], fields[b] = fields[b], fields[a] })
	text := "{" + strings.Join(fields, ",") + "}"
	head, tail, _ := strings.Cut(text, "\x00")
	return []byte(head), []byte(tail)
}

// others are the 29 fields of an event that the model does not read.
func others(r *rand.Rand) []string {
	pick := func(words ...string) string { return words[r.IntN(len(words))] }
	hex := func(n int) string { return fmt.Sprintf("%0*x", n, r.Uint64()>>(64-4*n)) }
	fields := []string{
		fmt.Sprintf(`"time":"2026-11-%02dT%02d:%02d:%02dZ"`, 1+r.IntN(28), r.IntN(24), r.IntN(60), r.IntN(60)),
		fmt.Sprintf(`"received_at":%d`, 1_790_000_000_000+r.Int64N(1e9)),
		`"session":"` + hex(16) + `"`, `"device_id":"` + hex(12) + `"`, `"trace":"` + hex(16) + hex(16) + `"`,
		`"type":"` + pick("purchase", "refund", "login", "transfer") + `"`, `"channel":"` + pick("web", "app", "pos") + `"`,
		`"country":"` + pick("DE", "FR", "US", "JP", "BR") + `"`, `"currency":"` + pick("EUR", "USD", "JPY") + `"`,
		`"merchant":"` + pick(`Caf\u00e9 \"Central\"`, `Smith \u0026 Sons`, `Path\\to\\shop`, "Corner Store") + `"`,
		`"note":"` + pick(`line one\nline two`, `tab\there`, "", `quote \" inside`) + `"`,
		`"ip":"` + fmt.Sprintf("10.%d.%d.%d", r.IntN(256), r.IntN(256), r.IntN(256)) + `"`,
		`"agent":"Mozilla/5.0 (X11; Linux x86_64) ` + pick("Chrome/130", "Firefox/140", "Safari/18") + `"`,
		`"vip":` + pick("true", "false"), `"new_device":` + pick("true", "false"), `"recurring":` + pick("true", "false"),
		`"coupon":null`, `"referrer":` + pick("null", `"newsletter"`),
		fmt.Sprintf(`"geo":{"lat":%.5f,"lon":%.5f,"accuracy":%d}`, r.Float64()*180-90, r.Float64()*360-180, r.IntN(100)),
		fmt.Sprintf(`"items":[{"sku":"%s","qty":%d},{"sku":"%s","qty":%d}]`, hex(6), 1+r.IntN(5), hex(6), 1+r.IntN(5)),
		`"tags":["` + pick("a", "b") + `","` + pick("red", "blue") + `"]`, `"flags":[true,false,null]`,
		fmt.Sprintf(`"history":[%d,%d,%d]`, r.IntN(9), r.IntN(9), r.IntN(9)),
	}
	for j := len(fields); j < 29; j++ {
		fields = append(fields, fmt.Sprintf(`"a%d":"%s"`, j, hex(8)))
	}
	return fields
}

// tokensRow is 32 token ids of which the last ones may be masked.
func tokensRow(i int) (before, after []byte) {
	const length, vocabulary = 32, 1000
	r := rand.New(rand.NewPCG(uint64(i), length))
	kept := 8 + r.IntN(length-7)
	after = append(after, `","input_ids":[`...)
	for j := range length {
		if j > 0 {
			after = append(after, ',')
		}
		after = strconv.AppendInt(after, int64(r.IntN(vocabulary)), 10)
	}
	after = append(after, `],"attention_mask":[`...)
	for j := range length {
		if j > 0 {
			after = append(after, ',')
		}
		after = append(after, map[bool]byte{true: '1', false: '0'}[j < kept])
	}
	return []byte(`{"id":"`), append(after, "]}"...)
}
