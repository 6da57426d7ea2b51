package kafkawire

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"github.com/sluice-ml/sluice/schemas"
)

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
