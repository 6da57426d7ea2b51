package kafka

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/sluice-ml/sluice/internal/kafkawire"
	"github.com/sluice-ml/sluice/schemas"
)

// batchOf encodes n records "v<base+i>" at base.
func batchOf(tb testing.TB, base int64, n int, codec kafkawire.Codec, change ...func([]byte)) []byte {
	tb.Helper()
	var w kafkawire.BatchWriter
	w.Reset()
	for i := range n {
		w.Append(1000+int64(i), nil, fmt.Appendf(nil, "v%d", base+int64(i)), nil)
	}
	b, err := w.Finish(codec, -1, -1, -1)
	if err != nil {
		tb.Fatal(err)
	}
	b = bytes.Clone(b)
	binary.BigEndian.PutUint64(b, uint64(base)) // outside the CRC
	for _, f := range change {
		f(b)
	}
	return b
}

// plainUnpacker decompresses into fresh memory.
type plainUnpacker struct{ limit int64 }

func (u plainUnpacker) unpack(b *kafkawire.RawBatch) (*lease, []byte, error) {
	payload, err := b.Decompress(nil, u.limit)
	if err != nil {
		return nil, nil, err
	}
	l := newTestMemory().lease(nil, nil)
	l.hold() // so that the test need not count it
	return l, payload, nil
}

// walkAll steps through records until the end.
func walkAll(c *cursor, u unpacker) (events []string) {
	var rec kafkawire.WireRecord
	for len(events) < 1000 {
		s := c.next(&rec, u)
		switch s.event {
		case gotRecord:
			events = append(events, fmt.Sprintf("%s@%d->%d", rec.Value, rec.Offset, s.next))
		case gotSkip:
			events = append(events, fmt.Sprintf("skip->%d", s.next))
		case gotStub:
			events = append(events, fmt.Sprintf("stub@%d->%d", rec.Offset, s.next))
		case gotCorrupt:
			return append(events, "corrupt")
		default:
			return append(events, "end")
		}
	}
	return events
}

func TestCursor(t *testing.T) {
	t.Parallel()
	gap := func(b []byte) { binary.BigEndian.PutUint32(b[batchLastDelta:], 9); fixCRC(b) }
	control := func(b []byte) { binary.BigEndian.PutUint16(b[21:], 1<<5|1<<4); fixCRC(b) }
	for name, c := range map[string]struct {
		records  []byte
		position int64
		want     []string
	}{
		"last record takes the batch's end": {batchOf(t, 0, 2, 0, gap), 0, []string{"v0@0->1", "v1@1->10", "end"}},
		"records below the position":        {batchOf(t, 0, 3, 0), 2, []string{"v2@2->3", "end"}},
		"position in a compaction gap":      {batchOf(t, 0, 2, 0, gap), 5, []string{"skip->10", "end"}},
		"control batch":                     {append(batchOf(t, 0, 1, 0), batchOf(t, 1, 1, 0, control)...), 0, []string{"v0@0->1", "skip->2", "end"}},
		"compressed":                        {batchOf(t, 3, 2, kafkawire.Zstd), 0, []string{"v3@3->4", "v4@4->5", "end"}},
		"cut last batch":                    {append(batchOf(t, 0, 1, 0), batchOf(t, 1, 5, 0)[:70]...), 0, []string{"v0@0->1", "end"}},
		"wrong CRC behind a good one":       {append(batchOf(t, 0, 1, 0), batchOf(t, 1, 1, 0, flip)...), 0, []string{"v0@0->1", "corrupt"}},
		"more decompressed than allowed":    {append(bomb(t, 0), batchOf(t, 1, 1, 0)...), 0, []string{"stub@0->1", "v1@1->2", "end"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cur := cursor{position: c.position}
			size, _ := walk(c.records, c.position)
			if name == "cut last batch" && size != len(batchOf(t, 0, 1, 0)) {
				t.Errorf("walk: %d bytes", size)
			}
			cur.load(c.records, 0, nil)
			got := walkAll(&cur, plainUnpacker{1 << 20})
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestRecordsThatDoNotAddUpBecomeOneDeadLetter(t *testing.T) {
	t.Parallel()
	bad := batchOf(t, 0, 3, 0, func(b []byte) { b[batchHeaderSize+12] = 0x7e; fixCRC(b) })
	cur := cursor{}
	cur.load(append(bad, batchOf(t, 3, 1, 0)...), 0, nil)
	got := walkAll(&cur, plainUnpacker{1 << 20})
	stubs := 0
	for _, e := range got {
		if strings.HasPrefix(e, "stub") {
			stubs++
		}
	}
	if stubs != 1 || got[len(got)-2] != "v3@3->4" {
		t.Errorf("%v", got)
	}
}

func TestBlockedBatchGoesOnWhenThereIsMemory(t *testing.T) {
	t.Parallel()
	cur := cursor{}
	cur.load(batchOf(t, 0, 1, kafkawire.LZ4), 0, nil)
	var rec kafkawire.WireRecord
	if s := cur.next(&rec, noMemory{}); s.event != gotBlocked {
		t.Fatalf("event %d", s.event)
	}
	if s := cur.next(&rec, plainUnpacker{1 << 20}); s.event != gotRecord || string(rec.Value) != "v0" {
		t.Errorf("%+v %q", s, rec.Value)
	}
}

type noMemory struct{}

func (noMemory) unpack(*kafkawire.RawBatch) (*lease, []byte, error) { return nil, nil, nil }

// fixCRC makes the checksum right again (KIP-98: CRC32C from the attributes on).
func fixCRC(b []byte) {
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
}

func flip(b []byte) { b[len(b)-1] ^= 1 }

// bomb is one record of 4 MiB of zeros in a few hundred bytes.
func bomb(tb testing.TB, base int64) []byte {
	tb.Helper()
	var w kafkawire.BatchWriter
	w.Reset()
	w.Append(0, nil, make([]byte, 4<<20), nil)
	b, err := w.Finish(kafkawire.Zstd, -1, -1, -1)
	if err != nil {
		tb.Fatal(err)
	}
	b = bytes.Clone(b)
	binary.BigEndian.PutUint64(b, uint64(base))
	return b
}

func TestStubErrorClasses(t *testing.T) {
	t.Parallel()
	if e := stubError(fmt.Errorf("x: %w", kafkawire.ErrTooLarge)); e.Class != schemas.TooLarge || e.Stage != schemas.StageDecode {
		t.Errorf("%+v", e)
	}
	if e := stubError(errors.New("x")); e.Class != schemas.Undecodable || e.Stage != schemas.StageDecode {
		t.Errorf("%+v", e)
	}
}

// Fetch answers are untrusted bytes: no panic, positions only go forward, the
// walk ahead and the decoder agree where good batches end.
func FuzzCursor(f *testing.F) {
	f.Add(batchOf(f, 0, 3, 0), int64(0))
	f.Add(append(batchOf(f, 0, 3, kafkawire.Gzip), batchOf(f, 3, 2, kafkawire.Snappy)[:40]...), int64(1))
	f.Add(bomb(f, 7), int64(0))
	f.Fuzz(func(t *testing.T, b []byte, position int64) {
		size, next := walk(b, position)
		if size < 0 || size > len(b) || next < position {
			t.Fatalf("walk: %d of %d bytes, %d after %d", size, len(b), next, position)
		}
		cur := cursor{position: position}
		cur.load(b[:size], 0, nil)
		var rec kafkawire.WireRecord
		for last := position; ; {
			s := cur.next(&rec, plainUnpacker{1 << 20})
			if s.event == gotEnd || s.event == gotCorrupt {
				return
			}
			if s.next < last || s.event == gotRecord && rec.Offset >= s.next {
				t.Fatalf("event %d at %d: next %d after %d", s.event, rec.Offset, s.next, last)
			}
			last = s.next
		}
	})
}
