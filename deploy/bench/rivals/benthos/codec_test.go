package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

// TestNumbersReadAsStrconv: every form of number gives strconv's float32, at most
// one unit in the last place beside it (a float64 is rounded twice).
func TestNumbersReadAsStrconv(t *testing.T) {
	t.Parallel()
	texts := []string{"0", "-0", "1", "-1.5", "0.1", "16777217", "3.4028235e38", "1e-45", "1E5", "123456789012345678901234567890", "0.000000000000000000000000000001", "9007199254740993"}
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		v := math.Float32frombits(r.Uint32())
		if v == v && !math.IsInf(float64(v), 0) {
			texts = append(texts, strconv.FormatFloat(float64(v), 'g', -1, 32), strconv.FormatFloat(float64(v), 'f', -1, 32))
		}
		texts = append(texts, strconv.FormatFloat(r.NormFloat64(), 'g', -1, 64))
	}
	for _, text := range texts {
		want, err := strconv.ParseFloat(text, 32)
		if err != nil {
			t.Fatal(err)
		}
		s := scanner{text: []byte(" " + text + ",")}
		got := s.float()
		if s.err != nil || s.text[s.at] != ',' {
			t.Fatalf("%s: stopped at %d: %v", text, s.at, s.err)
		}
		if got != float32(want) && got != math.Nextafter32(float32(want), got) {
			t.Errorf("%s: %v, want %v", text, got, float32(want))
		}
	}
}

func TestEventFieldsComeInAnyOrderAmongOthers(t *testing.T) {
	t.Parallel()
	fields := []string{`"id":"r\"1"`, `"f30":99`, `"fx":98`, `"nested":{"f3":97,"a":["]}",{"id":"no"}]}`, `"text":"\\\"f4\":96"`, `"none":null`, `"empty":{}`, `"list":[]`}
	for i := range 30 {
		fields = append(fields, fmt.Sprintf(`"f%d": %d.5`, i, i))
	}
	r := rand.New(rand.NewPCG(3, 4))
	c, err := newCodec("event")
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		r.Shuffle(len(fields), func(i, j int) { fields[i], fields[j] = fields[j], fields[i] })
		id, err := c.decode(1, []byte("{ "+strings.Join(fields, " ,")+"}"))
		if err != nil || string(id) != `r\"1` {
			t.Fatalf("id %s, %v", id, err)
		}
		for i, v := range c.(*event).in[30:60] {
			if v != float32(i)+0.5 {
				t.Fatalf("f%d is %v", i, v)
			}
		}
	}
}

func TestMalformedIsRefused(t *testing.T) {
	t.Parallel()
	numbers := strings.TrimSuffix(strings.Repeat("1,", 784), ",")
	for _, text := range []string{
		``, `{`, `[]`, `{}`, `{"id":"r1"}`, `{"h0":[` + numbers + `]}`, `{"id":"r1","h0":[1,2]}`, `{"id":"r1","h0":[` + numbers + `,1]}`,
		`{"id":"r1","h0":[` + numbers + `}`, `{"id":"r1","h0":[x` + numbers[1:] + `]}`, `{"id":"r1 "h0":[` + numbers + `]}`, `{"id":"r1","a":[,"h0":[` + numbers + `]}`,
	} {
		c, _ := newCodec("json")
		if _, err := c.decode(0, []byte(text)); err == nil {
			t.Errorf("taken: %.60s", text)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	r := rand.New(rand.NewPCG(5, 6))
	text := []byte(`{"id":"r1","h0":[`)
	for i := range 784 {
		if i > 0 {
			text = append(text, ',')
		}
		text = strconv.AppendFloat(text, float64(r.Float32()), 'g', -1, 32)
	}
	text = append(text, "]}"...)
	c, _ := newCodec("json")
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.decode(0, text); err != nil {
			b.Fatal(err)
		}
	}
}
