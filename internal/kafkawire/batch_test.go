package kafkawire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/snappy"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"github.com/sluice-ml/sluice/schemas"
)

var allCodecs = []Codec{CodecNone, Gzip, Snappy, LZ4, Zstd}

const plenty = 64 << 20

func nullableBytes() *rapid.Generator[[]byte] {
	return rapid.OneOf(rapid.Just([]byte(nil)), rapid.SliceOfN(rapid.Byte(), 0, 200))
}

func genRecords() *rapid.Generator[[]WireRecord] {
	header := rapid.Custom(func(t *rapid.T) schemas.Header {
		return schemas.Header{Key: rapid.String().Draw(t, "key"), Value: nullableBytes().Draw(t, "value")}
	})
	record := rapid.Custom(func(t *rapid.T) WireRecord {
		return WireRecord{
			Timestamp: rapid.Int64Range(-1, 1<<45).Draw(t, "ts"),
			Key:       nullableBytes().Draw(t, "key"), Value: nullableBytes().Draw(t, "value"),
			Headers: rapid.SliceOfN(header, 0, 4).Draw(t, "headers"),
		}
	})
	return rapid.SliceOfN(record, 1, 40)
}

// decodeAll is every record of every batch; it fails on anything unusual.
func decodeAll(t interface{ Fatal(args ...any) }, records []byte) []WireRecord {
	var out []WireRecord
	for rest := records; len(rest) > 0; {
		b, after, err := NextBatch(rest)
		if err != nil {
			t.Fatal(err)
		}
		rest = after
		payload, err := b.Decompress(nil, plenty)
		if err != nil {
			t.Fatal(err)
		}
		r := b.Records(payload)
		for {
			var rec WireRecord
			ok, err := r.Next(&rec)
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			rec.RawHeaders = nil
			out = append(out, rec)
		}
	}
	return out
}

func fill(w *BatchWriter, records []WireRecord) {
	w.Reset()
	for i := range records {
		r := &records[i]
		w.Append(r.Timestamp, r.Key, r.Value, r.Headers)
	}
}

func TestBatchesReturnWhatWasAppended(t *testing.T) {
	t.Parallel()
	var w BatchWriter // reused, as a producer does
	rapid.Check(t, func(t *rapid.T) {
		records := genRecords().Draw(t, "records")
		codec := rapid.SampledFrom(allCodecs).Draw(t, "codec")
		fill(&w, records)
		batch, err := w.Finish(codec, 7, 1, 5)
		if err != nil {
			t.Fatal(err)
		}
		if codec == CodecNone && w.Bytes() != len(batch) {
			t.Fatalf("Bytes %d, batch %d", w.Bytes(), len(batch))
		}
		got := decodeAll(t, batch)
		for i := range records {
			records[i].Offset = int64(i)
			if len(records[i].Headers) == 0 {
				records[i].Headers, got[i].Headers = nil, nil
			}
		}
		if diff := cmp.Diff(records, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestAppendTellsTheSizeItTakes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var w BatchWriter
		for _, r := range genRecords().Draw(t, "records") {
			before, size := w.Bytes(), w.Size(r.Timestamp, r.Key, r.Value, r.Headers)
			if n := w.Append(r.Timestamp, r.Key, r.Value, r.Headers); n != size || w.Bytes() != before+n {
				t.Fatalf("Append %d, Size %d, Bytes %d -> %d", n, size, before, w.Bytes())
			}
		}
	})
}

// The other client's generated types are an independent reading of the format.
func TestBatchHeadersAreReadAlikeByOthers(t *testing.T) {
	t.Parallel()
	for _, codec := range allCodecs {
		var w BatchWriter
		w.Transactional = true
		w.Append(1000, []byte("k"), []byte("v"), nil)
		w.Append(900, nil, nil, nil)
		w.Append(1100, nil, []byte{}, nil)
		batch, err := w.Finish(codec, 42, 3, math.MaxInt32)
		if err != nil {
			t.Fatal(err)
		}
		var other kmsg.RecordBatch
		if err := other.ReadFrom(batch); err != nil {
			t.Fatal(err)
		}
		if other.NumRecords != 3 || other.LastOffsetDelta != 2 || other.FirstTimestamp != 1000 || other.MaxTimestamp != 1100 ||
			other.ProducerID != 42 || other.ProducerEpoch != 3 || other.FirstSequence != math.MaxInt32 || other.Magic != 2 ||
			other.Attributes != int16(codec)|attrTransactional || other.PartitionLeaderEpoch != -1 || other.FirstOffset != 0 ||
			int(other.Length) != len(batch)-12 {
			t.Fatalf("%v: %+v", codec, other)
		}
		b, rest, err := NextBatch(batch)
		if err != nil || len(rest) != 0 || !b.Transactional() || b.Control() || b.LogAppendTime() || b.Codec() != codec || b.LastOffset() != 2 {
			t.Fatalf("%v: %+v, %v", codec, b.BatchHeader, err)
		}
	}
}

func TestFranzReadsOurBatchesAndWeReadItsCompression(t *testing.T) {
	t.Parallel()
	text := []byte(strings.Repeat("all the same, ", 20_000))
	kgoCodecs := map[Codec]kgo.CompressionCodec{
		Gzip: kgo.GzipCompression(), Snappy: kgo.SnappyCompression(), LZ4: kgo.Lz4Compression(), Zstd: kgo.ZstdCompression(),
	}
	for codec, other := range kgoCodecs {
		ours, err := compress(codec, nil, text)
		if err != nil {
			t.Fatal(err)
		}
		back, err := kgo.DefaultDecompressor().Decompress(ours, kgo.CompressionCodecType(codec))
		if err != nil || !bytes.Equal(back, text) {
			t.Fatalf("%v: franz-go reads %d of %d bytes, %v", codec, len(back), len(text), err)
		}
		c, err := kgo.DefaultCompressor(other)
		if err != nil {
			t.Fatal(err)
		}
		var buf bytes.Buffer
		theirs, _ := c.Compress(&buf, text)
		if back, err = decompress(codec, nil, theirs, plenty); err != nil || !bytes.Equal(back, text) {
			t.Fatalf("%v: we read %d of %d bytes, %v", codec, len(back), len(text), err)
		}
	}
}

func TestRawSnappyIsReadAsWell(t *testing.T) {
	t.Parallel()
	text := bytes.Repeat([]byte("raw "), 1000)
	got, err := decompress(Snappy, nil, snappy.Encode(nil, text), plenty)
	if err != nil || !bytes.Equal(got, text) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
}

func TestFinishRefusesABatchThatBrokersWouldMisread(t *testing.T) {
	t.Parallel()
	var w BatchWriter
	if _, err := w.Finish(CodecNone, 1, 0, 0); !errors.Is(err, ErrEmptyBatch) {
		t.Fatalf("empty: %v", err)
	}
	w.Append(0, nil, nil, nil)
	if _, err := w.Finish(CodecNone, -1, 0, 0); !errors.Is(err, ErrNoProducerID) {
		t.Fatalf("sequence without producer id: %v", err)
	}
	w.Transactional = true
	if _, err := w.Finish(CodecNone, -1, -1, -1); !errors.Is(err, ErrNoProducerID) {
		t.Fatalf("transaction without producer id: %v", err)
	}
}

func TestFinishAgainGivesTheSameBytes(t *testing.T) {
	t.Parallel()
	for _, codec := range allCodecs {
		var w BatchWriter
		fill(&w, []WireRecord{{Value: bytes.Repeat([]byte("x"), 100)}})
		first, _ := w.Finish(codec, 1, 0, 0)
		kept := bytes.Clone(first)
		again, err := w.Finish(codec, 1, 0, 0)
		if err != nil || !bytes.Equal(again, kept) {
			t.Fatalf("%v differs, %v", codec, err)
		}
	}
}

// oneBatch is an uncompressed batch of three records at an offset.
func oneBatch(tb testing.TB, base int64) []byte {
	tb.Helper()
	var w BatchWriter
	for i := range 3 {
		w.Append(int64(1000+i), []byte("k"), []byte("v"), []schemas.Header{{Key: "h", Value: []byte("1")}})
	}
	b, err := w.Finish(CodecNone, -1, -1, -1)
	if err != nil {
		tb.Fatal(err)
	}
	binary.BigEndian.PutUint64(b, uint64(base))
	return b
}

// patched changes a batch and mends its CRC.
func patched(batch []byte, change func(b []byte)) []byte {
	b := bytes.Clone(batch)
	change(b)
	binary.BigEndian.PutUint32(b[atCRC:], crc32.Checksum(b[atAttributes:], castagnoli))
	return b
}

func TestACutTailEndsTheBatchesAtEveryLength(t *testing.T) {
	t.Parallel()
	first, second := oneBatch(t, 10), oneBatch(t, 13)
	for cut := range len(second) {
		b, rest, err := NextBatch(append(bytes.Clone(first), second[:cut]...))
		if err != nil || b.LastOffset() != 12 {
			t.Fatalf("cut %d: %+v, %v", cut, b.BatchHeader, err)
		}
		_, _, err = NextBatch(rest)
		if want := io.ErrUnexpectedEOF; cut > 0 && !errors.Is(err, want) || cut == 0 && !errors.Is(err, io.EOF) {
			t.Fatalf("cut %d: %v", cut, err)
		}
	}
}

func TestACorruptBatchIsNamedAndTheNextOneFound(t *testing.T) {
	t.Parallel()
	good := oneBatch(t, 10)
	be := binary.BigEndian
	tests := map[string]struct {
		batch []byte
		why   string
		lost  bool // the next batch cannot be found
	}{
		"crc":             {func() []byte { b := bytes.Clone(good); b[len(b)-1]++; return b }(), "CRC", false},
		"magic":           {patched(good, func(b []byte) { b[atMagic] = 1 }), "format 1", false},
		"short length":    {patched(good, func(b []byte) { be.PutUint32(b[atLength:], 3) }), "length 3", true},
		"negative length": {patched(good, func(b []byte) { be.PutUint32(b[atLength:], 1<<31) }), "length", true},
		"negative delta":  {patched(good, func(b []byte) { be.PutUint32(b[atLastDelta:], 1<<31) }), "offset range", false},
		"offset overflow": {patched(good, func(b []byte) { be.PutUint64(b, math.MaxInt64-1) }), "offset range", false},
		"too many":        {patched(good, func(b []byte) { be.PutUint32(b[atCount:], 4) }), "4 records", false},
		"too small":       {patched(good, func(b []byte) { be.PutUint32(b[atCount:], 1000); be.PutUint32(b[atLastDelta:], 1000) }), "1000 records", false},
		"unknown codec":   {patched(good, func(b []byte) { b[atAttributes+1] = 7 }), "codec 7", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, rest, err := NextBatch(append(bytes.Clone(tt.batch), oneBatch(t, 13)...))
			var c *CorruptError
			if !errors.As(err, &c) || !strings.Contains(c.Why, tt.why) {
				t.Fatalf("error %v", err)
			}
			if tt.lost {
				if rest != nil {
					t.Fatal("rest from a length that cannot be trusted")
				}
				return
			}
			if b, _, err := NextBatch(rest); err != nil || b.BaseOffset != 13 {
				t.Fatalf("next batch: %+v, %v", b.BatchHeader, err)
			}
		})
	}
}

func TestRecordsThatDoNotAddUpAreCorrupt(t *testing.T) {
	t.Parallel()
	good := oneBatch(t, 10)
	const first = batchHeader // length of the first record; then attributes, ts, offset, key
	tests := map[string]func(b []byte){
		"record too long":    func(b []byte) { b[first] = 0x7e },
		"record too short":   func(b []byte) { b[first] = 4 },
		"offset repeats":     func(b []byte) { b[first+14+3] = 0 },
		"offset beyond":      func(b []byte) { b[first+3] = 10 },
		"key too long":       func(b []byte) { b[first+4] = 100 },
		"value too long":     func(b []byte) { b[first+6] = 100 },
		"too many headers":   func(b []byte) { b[first+8] = 100 },
		"null header key":    func(b []byte) { b[first+9] = 1 },
		"negative length":    func(b []byte) { b[first+6] = 3 },
		"bytes left over":    func(b []byte) { b[first+8] = 0 },
		"records left over":  func(b []byte) { binary.BigEndian.PutUint32(b[atCount:], 2) },
		"header value short": func(b []byte) { b[first+11] = 100 },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, _, err := NextBatch(patched(good, change))
			if err != nil {
				t.Fatal(err)
			}
			r := b.Records(b.Payload)
			for {
				var rec WireRecord
				ok, err := r.Next(&rec)
				var c *CorruptError
				if errors.As(err, &c) && c.Offset == 10 {
					return
				}
				if !ok {
					t.Fatalf("read to the end, %v", err)
				}
			}
		})
	}
}

func TestHeadersBeyondTheLimitAreCutAndTheRecordIsKept(t *testing.T) {
	t.Parallel()
	var w BatchWriter
	headers := []schemas.Header{{Key: "a", Value: []byte("1")}, {Key: "b", Value: []byte("22")}, {Key: "c"}}
	w.Append(1, nil, []byte("v"), headers)
	w.Append(1, nil, []byte("v"), headers[:1])
	batch, _ := w.Finish(CodecNone, -1, -1, -1)
	b, _, err := NextBatch(batch)
	if err != nil {
		t.Fatal(err)
	}
	for _, limit := range []HeaderLimit{{Count: 1}, {Bytes: 4}} {
		r := b.Records(b.Payload)
		r.Limit = limit
		var rec WireRecord
		if ok, err := r.Next(&rec); !ok || err != nil || !rec.HeadersCut || len(rec.Headers) != 1 || string(rec.Value) != "v" || len(rec.RawHeaders) != 12 {
			t.Fatalf("%+v: %+v, %v", limit, rec, err)
		}
		if ok, err := r.Next(&rec); !ok || err != nil || rec.HeadersCut || len(rec.Headers) != 1 {
			t.Fatalf("%+v: %+v, %v", limit, rec, err)
		}
	}
}

func TestLogAppendTimeIsTheBatchsMaxTimestamp(t *testing.T) {
	t.Parallel()
	b := patched(oneBatch(t, 0), func(b []byte) {
		b[atAttributes+1] |= attrLogAppendTime
		binary.BigEndian.PutUint64(b[atMaxTime:], 5555)
	})
	for _, rec := range decodeAll(t, b) {
		if rec.Timestamp != 5555 {
			t.Fatalf("timestamp %d", rec.Timestamp)
		}
	}
}

func TestACompactedBatchKeepsItsLastOffset(t *testing.T) {
	t.Parallel()
	empty := patched(oneBatch(t, 7)[:batchHeader], func(b []byte) {
		binary.BigEndian.PutUint32(b[atLength:], batchHeader-atLeaderEpoch)
		binary.BigEndian.PutUint32(b[atCount:], 0)
		b[atAttributes+1] = byte(Gzip)
	})
	b, rest, err := NextBatch(empty)
	if err != nil || len(rest) != 0 || b.LastOffset() != 9 {
		t.Fatalf("%+v, %v", b.BatchHeader, err)
	}
	if got := decodeAll(t, empty); got != nil {
		t.Fatalf("%+v", got)
	}
}

// bombs are small payloads that decompress to 32 MB of zeros.
func bombs(tb testing.TB) map[Codec][]byte {
	tb.Helper()
	zeros := make([]byte, 32<<20)
	m := map[Codec][]byte{}
	for _, codec := range allCodecs[1:] {
		b, err := compress(codec, nil, zeros)
		if err != nil {
			tb.Fatal(err)
		}
		m[codec] = b
	}
	return m
}

func TestABombIsRefusedWithinTheLimitsMemory(t *testing.T) { // not parallel: it counts allocations
	const limit = 1 << 20
	for codec, bomb := range bombs(t) {
		b := RawBatch{Payload: bomb}
		b.Attributes, b.Count = int16(codec), 1
		warm, err := compress(codec, nil, []byte("warm"))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = decompress(codec, nil, warm, limit)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err = b.Decompress(nil, limit)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, ErrTooLarge) {
			t.Fatalf("%v: %v", codec, err)
		}
		// Growth copies, and a decompressor may be made anew; both are far from
		// the 32 MB that the payload claims.
		if n := after.TotalAlloc - before.TotalAlloc; n > 4*limit {
			t.Errorf("%v: %d bytes allocated for a limit of %d", codec, n, limit)
		}
	}
}

func TestTheLimitIsExact(t *testing.T) {
	t.Parallel()
	text := bytes.Repeat([]byte("0123456789"), 10_000)
	for _, codec := range allCodecs {
		packed, err := compress(codec, nil, text)
		if err != nil {
			t.Fatal(err)
		}
		b := RawBatch{Payload: packed}
		b.Attributes = int16(codec)
		if got, err := b.Decompress(nil, int64(len(text))); err != nil || !bytes.Equal(got, text) {
			t.Fatalf("%v at the limit: %d bytes, %v", codec, len(got), err)
		}
		if _, err := b.Decompress(nil, int64(len(text))-1); !errors.Is(err, ErrTooLarge) {
			t.Fatalf("%v above the limit: %v", codec, err)
		}
		room := make([]byte, 0, 2*len(text))
		if got, err := b.Decompress(room, plenty); err != nil || codec != CodecNone && &got[0] != &room[:1][0] {
			t.Fatalf("%v does not use the memory it is given, %v", codec, err)
		}
	}
}

// txn is a batch of a producer: data, or a marker that commits or aborts.
func txn(base, pid int64, marker string) RawBatch {
	b := RawBatch{BatchHeader: BatchHeader{BaseOffset: base, Attributes: attrTransactional, ProducerID: pid, Count: 1}}
	if marker == "" {
		return b
	}
	b.Attributes |= attrControl
	key := []byte{0, 0, 0, 0}
	if marker == "commit" {
		key[3] = 1
	}
	var w BatchWriter
	w.Append(0, key, []byte{0, 0, 0, 0, 0, 0}, nil)
	batch, _ := w.Finish(CodecNone, -1, -1, -1)
	b.Payload = batch[batchHeader:]
	return b
}

func TestAbortedRecordsAndMarkersAreDropped(t *testing.T) {
	t.Parallel()
	plain := RawBatch{BatchHeader: BatchHeader{BaseOffset: 2, ProducerID: 1, Count: 1}}
	log := []struct {
		batch RawBatch
		drop  bool
	}{
		{txn(0, 1, ""), false}, // before the aborted transaction's first offset
		{txn(1, 1, "commit"), true},
		{plain, false}, // the same producer outside a transaction
		{txn(3, 1, ""), true},
		{txn(4, 2, ""), false}, // another producer's transaction
		{txn(5, 1, ""), true},
		{txn(6, 2, "commit"), true},
		{txn(7, 1, "abort"), true},
		{txn(8, 1, ""), false}, // the next transaction
		{txn(9, 1, "commit"), true},
		{txn(10, 1, ""), true}, // aborted again
		{txn(11, 1, "abort"), true},
	}
	f := NewAbortedFilter([]AbortedTxn{{1, 10}, {1, 3}})
	for i := range log {
		b := &log[i].batch
		if got := f.Drop(b, b.Payload); got != log[i].drop {
			t.Errorf("batch at %d: drop %v", b.BaseOffset, got)
		}
	}
}

func TestKeysGoWhereTheJavaClientPutsThem(t *testing.T) {
	t.Parallel()
	// From Kafka's own UtilsTest.testMurmur2.
	for key, want := range map[string]int32{
		"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536,
		"a-little-bit-longer-string": -1486304829, "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971, "abc": 479470107,
	} {
		if got := int32(Murmur2([]byte(key))); got != want {
			t.Errorf("murmur2(%q) = %d, want %d", key, got, want)
		}
	}
	other := kgo.StickyKeyPartitioner(nil).ForTopic("t")
	rapid.Check(t, func(t *rapid.T) {
		key, n := rapid.SliceOf(rapid.Byte()).Draw(t, "key"), rapid.IntRange(1, 1000).Draw(t, "n")
		if key == nil {
			key = []byte{}
		}
		if got, want := PartitionForKey(key, n), other.Partition(&kgo.Record{Key: key}, n); int(got) != want {
			t.Fatalf("partition %d, want %d", got, want)
		}
	})
}

func TestParseCodecKnowsKafkasNames(t *testing.T) {
	t.Parallel()
	for _, c := range allCodecs {
		if got, err := ParseCodec(c.String()); err != nil || got != c {
			t.Errorf("%v: %v, %v", c, got, err)
		}
	}
	if _, err := ParseCodec("brotli"); err == nil {
		t.Error("brotli is accepted")
	}
}

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
