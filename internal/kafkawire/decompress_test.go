package kafkawire

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/twmb/franz-go/pkg/kgo"
)

var allCodecs = []Codec{CodecNone, Gzip, Snappy, LZ4, Zstd}

const plenty = 64 << 20

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

// A frame that does not say its size, as stream writers make it, is read whatever
// memory there is to begin with: the end of it may lie anywhere within a block.
func TestZstdWithoutASizeIsReadIntoAnyMemory(t *testing.T) {
	t.Parallel()
	for n := 1000; n < 2_000_000; n = n*5/4 + 7 {
		data := make([]byte, n)
		for i := 0; i+10 <= n; i += 10 {
			copy(data[i:], fmt.Sprintf("%09d ", i*i%7919))
		}
		var frame bytes.Buffer
		w, err := zstd.NewWriter(&frame)
		if err != nil {
			t.Fatal(err)
		}
		for part := range slices.Chunk(data, 1000) {
			_, _ = w.Write(part)
		}
		_ = w.Close()
		for _, room := range []int{0, 4096, 100_000, 131_072, 229_376, 300_001, 1 << 20} {
			out, err := decompressZstd(make([]byte, 0, room), frame.Bytes(), n)
			if err != nil || !bytes.Equal(out, data) {
				t.Errorf("%d bytes from %d into room for %d: %d bytes, %v", n, frame.Len(), room, len(out), err)
			}
			if _, err := decompressZstd(make([]byte, 0, room), frame.Bytes(), n-1); !errors.Is(err, ErrTooLarge) {
				t.Errorf("%d bytes with a limit of one less: %v, want ErrTooLarge", n, err)
			}
		}
	}
}
