package kafkawire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/sluice-ml/sluice/schemas"
)

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
		if all, whole := rec.ParseHeaders(3); !whole || len(all) != 3 || all[1].Key != headers[1].Key || string(all[1].Value) != string(headers[1].Value) {
			t.Fatalf("ParseHeaders() = %v, %v, want all three", all, whole)
		}
		if all, whole := rec.ParseHeaders(1); whole || len(all) != 1 {
			t.Fatalf("ParseHeaders(1) = %v, %v, want one", all, whole)
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
