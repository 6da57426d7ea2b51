package kafkawire

import (
	"fmt"
	"testing"

	"github.com/sluice-ml/sluice/schemas"
)

func TestAppendingAndReadingAllocateNothing(t *testing.T) {
	value := make([]byte, 3000)
	headers := []schemas.Header{{Key: "traceparent", Value: make([]byte, 55)}, {Key: "own-header", Value: []byte("x")}}
	var w BatchWriter
	write := func() {
		w.Reset()
		for range 100 {
			w.Append(1, value[:16], value, headers)
		}
		if _, err := w.Finish(CodecNone, 1, 0, 0); err != nil {
			t.Fatal(err)
		}
	}
	write()
	if n := testing.AllocsPerRun(10, write); n > 0 {
		t.Errorf("%v allocations to write 100 records", n)
	}
	batch, _ := w.Finish(CodecNone, 1, 0, 0)
	var rec WireRecord
	read := func() {
		b, _, err := NextBatch(batch)
		if err != nil {
			t.Fatal(err)
		}
		r := b.Records(b.Payload)
		for ok := true; ok; {
			if ok, err = r.Next(&rec); err != nil {
				t.Fatal(err)
			}
		}
	}
	read()
	if n := testing.AllocsPerRun(10, read); n > 1 { // the batch itself
		t.Errorf("%v allocations to read 100 records", n)
	}
}

func benchmarkSizes(b *testing.B, f func(b *testing.B, w *BatchWriter, value []byte, records int)) {
	b.Helper()
	for _, size := range []int{100, 3 << 10} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			const records = 200
			b.ReportAllocs()
			var w BatchWriter
			f(b, &w, make([]byte, size), records)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/records, "ns/record")
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	key, headers := []byte("0123456789abcdef"), []schemas.Header{{Key: "traceparent", Value: make([]byte, 55)}}
	benchmarkSizes(b, func(b *testing.B, w *BatchWriter, value []byte, records int) {
		b.Helper()
		for b.Loop() {
			w.Reset()
			for i := range records {
				w.Append(int64(i), key, value, headers)
			}
			if _, err := w.Finish(CodecNone, 1, 0, 0); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	key, headers := []byte("0123456789abcdef"), []schemas.Header{{Key: "traceparent", Value: make([]byte, 55)}}
	benchmarkSizes(b, func(b *testing.B, w *BatchWriter, value []byte, records int) {
		b.Helper()
		for i := range records {
			w.Append(int64(i), key, value, headers)
		}
		batch, err := w.Finish(CodecNone, 1, 0, 0)
		if err != nil {
			b.Fatal(err)
		}
		var rec WireRecord
		for b.Loop() {
			raw, _, err := NextBatch(batch)
			if err != nil {
				b.Fatal(err)
			}
			r := raw.Records(raw.Payload)
			for ok := true; ok; {
				if ok, err = r.Next(&rec); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}
