package kafkawire

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/sluice-ml/sluice/schemas"
)

func FuzzNextBatch(f *testing.F) {
	good := oneBatch(f, 5)
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add(append(bytes.Clone(good), good...))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) >= batchHeader { // past the CRC, where the decoder is
			data = patched(data, func([]byte) {})
		}
		next := int64(-1)
		for rest := data; ; {
			b, after, err := NextBatch(rest)
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return
			}
			if err != nil && after == nil {
				return
			}
			if len(after) >= len(rest) {
				t.Fatal("no progress")
			}
			rest = after
			if err != nil {
				continue
			}
			if b.LastOffset() < b.BaseOffset || b.LastOffset()+1 <= next && b.BaseOffset > next {
				t.Fatalf("offsets %d to %d", b.BaseOffset, b.LastOffset())
			}
			next = b.LastOffset()
		}
	})
}

// fuzzRecords reads records as far as they go; every slice must lie in payload.
func fuzzRecords(t *testing.T, b *RawBatch, payload []byte) {
	t.Helper()
	r := b.Records(payload)
	r.Limit = HeaderLimit{Count: 100}
	var rec WireRecord
	last := int64(-1)
	for n := int32(0); ; n++ {
		ok, err := r.Next(&rec)
		if err != nil || !ok {
			if err == nil && n != b.Count {
				t.Fatalf("%d of %d records without an error", n, b.Count)
			}
			return
		}
		if rec.Offset <= last || rec.Offset > b.LastOffset() {
			t.Fatalf("offset %d after %d in a batch up to %d", rec.Offset, last, b.LastOffset())
		}
		last = rec.Offset
		if len(rec.Headers) > 100 || len(rec.Key)+len(rec.Value)+len(rec.RawHeaders) > len(payload) {
			t.Fatalf("a record larger than its batch: %+v", rec)
		}
	}
}

func FuzzRecords(f *testing.F) {
	good := oneBatch(f, 0)
	f.Add(good[batchHeader:], int32(3))
	var w BatchWriter
	w.Append(9, nil, []byte("v"), []schemas.Header{{Key: "k"}, {Key: "", Value: []byte{}}})
	other, _ := w.Finish(CodecNone, -1, -1, -1)
	f.Add(other[batchHeader:], int32(1))
	f.Fuzz(func(t *testing.T, payload []byte, count int32) {
		b := RawBatch{BatchHeader: BatchHeader{LastOffsetDelta: max(count, 1) - 1, Count: max(count, 0)}}
		fuzzRecords(t, &b, payload)
		NewAbortedFilter([]AbortedTxn{{1, 0}}).Drop(&b, payload)
		b.Attributes = attrControl
		NewAbortedFilter(nil).Drop(&b, payload)
	})
}

func FuzzDecompress(f *testing.F) {
	for codec, bomb := range bombs(f) {
		f.Add(bomb[:min(len(bomb), 4096)], int8(codec))
	}
	for _, codec := range allCodecs {
		b, err := compress(codec, nil, bytes.Repeat([]byte("seed "), 100))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, int8(codec))
	}
	const limit = 64 << 10
	f.Fuzz(func(t *testing.T, payload []byte, codec int8) {
		b := RawBatch{Payload: payload}
		b.Attributes, b.Count = int16(codec)&attrCodec, 1
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		out, err := b.Decompress(nil, limit)
		runtime.ReadMemStats(&after)
		if err == nil && len(out) > limit {
			t.Fatalf("%d bytes for a limit of %d", len(out), limit)
		}
		// One block of lz4 is 4 MiB, of its legacy frames 8 MiB, and a new
		// decompressor has its tables.
		if n := after.TotalAlloc - before.TotalAlloc; n > 24<<20 {
			t.Fatalf("%v: %d bytes allocated", b.Codec(), n)
		}
	})
}

// answerDecoders are all decoders of answers, in a fixed order.
var answerDecoders = []struct {
	api    apiKey
	decode func(r *wireReader) error
}{
	{apiMetadata, func(r *wireReader) error { _, _, err := decodeMetadata(r); return err }},
	{apiVersions, func(r *wireReader) error { _, _, _, err := decodeAPIVersions(r); return err }},
	{apiFetch, func(r *wireReader) error {
		_, _, err := decodeFetch(r, map[[16]byte]string{{}: "t", {1}: "u"})
		return err
	}},
	{apiProduce, func(r *wireReader) error { _, _, err := decodeProduce(r); return err }},
	{apiInitProducerID, func(r *wireReader) error { _, _, _, _, err := decodeInitProducerID(r); return err }},
	{apiListOffsets, func(r *wireReader) error {
		_, _, err := (&listOffsets{asks: []listOffset{{OffsetAsk: OffsetAsk{Topic: "t"}}}}).decode(r)
		return err
	}},
	{apiOffsetCommit, func(r *wireReader) error { _, _, err := (&OffsetCommitRequest{}).decode(r); return err }},
	{apiOffsetFetch, func(r *wireReader) error { _, _, _, err := decodeOffsetFetch(r); return err }},
	{apiFindCoordinator, func(r *wireReader) error { _, _, _, _, err := decodeFindCoordinator(r); return err }},
	{apiJoinGroup, func(r *wireReader) error { _, _, err := decodeJoinGroup(r); return err }},
	{apiLeaveGroup, func(r *wireReader) error { _ = decodeLeaveGroup(r); return r.err }},
	{apiCreateTopics, func(r *wireReader) error { _, _, err := decodeCreateTopics(r); return err }},
	{apiDescribeConfigs, func(r *wireReader) error { _, err := decodeDescribeConfigs(r); return err }},
}

// FuzzAnswers decodes any bytes as any answer: no panic, and no allocation for
// what the bytes only claim.
func FuzzAnswers(f *testing.F) {
	for i, d := range answerDecoders {
		info := apis[d.api]
		res := kmsg.ResponseForKey(int16(d.api))
		res.SetVersion(info.max)
		f.Add(res.AppendTo(nil), uint8(i), uint8(info.max-info.min))
		f.Add([]byte{0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f}, uint8(i), uint8(0))
	}
	f.Fuzz(func(t *testing.T, data []byte, which, version uint8) {
		d := answerDecoders[int(which)%len(answerDecoders)]
		info := apis[d.api]
		v := info.min + int16(version)%(info.max-info.min+1)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_ = d.decode(&wireReader{b: data, version: v, flex: v >= info.flex})
		runtime.ReadMemStats(&after)
		// An element in memory is at most 40 times its size on the wire (an
		// empty topic: 10 bytes, 120 with growth), the rest is the runtime's.
		if n := after.TotalAlloc - before.TotalAlloc; n > uint64(64*len(data)+1<<20) {
			t.Fatalf("%s v%d: %d bytes allocated for %d", info.name, v, n, len(data))
		}
	})
}
