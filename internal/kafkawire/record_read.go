package kafkawire

import (
	"encoding/binary"

	"github.com/sluice-ml/sluice/schemas"
)

// HeaderLimit bounds the headers that are decoded of one record; a zero field
// is no limit beyond the record's own size.
type HeaderLimit struct {
	Count int
	Bytes int
}

// WireRecord is one record. Key, Value and the header values alias the payload;
// nil and empty are kept apart. Headers reuses the slice it is given, and the
// strings of header keys that are already in it.
type WireRecord struct {
	Offset    int64
	Timestamp int64
	Key       []byte
	Value     []byte
	Headers   []schemas.Header
	// HeadersCut is true when the record has more headers than the limit:
	// Headers holds the first of them, and RawHeaders all, as encoded.
	HeadersCut bool
	// RawHeaders are the headers as encoded, without their count.
	RawHeaders []byte
}

// RecordReader walks the records of one batch. Limit may be set before the
// first Next.
type RecordReader struct {
	Limit HeaderLimit

	rest      []byte
	batch     *RawBatch
	left      int32
	lastDelta int64
}

// Records reads the batch's records from its decompressed payload.
func (b *RawBatch) Records(payload []byte) RecordReader {
	return RecordReader{rest: payload, batch: b, left: b.Count, lastDelta: -1}
}

// Next reads a record into rec; false at the end. The only error is a
// *CorruptError: the records before it are good, those after it are lost.
func (r *RecordReader) Next(rec *WireRecord) (bool, error) {
	if r.left == 0 {
		if len(r.rest) > 0 {
			return false, r.corrupt("bytes behind the last record")
		}
		return false, nil
	}
	size, ok := varint(&r.rest)
	if !ok || size < smallestRecord-1 || size > int64(len(r.rest)) {
		return false, r.corrupt("record length")
	}
	body := r.rest[:size:size]
	r.rest = r.rest[size:]
	r.left--
	return r.decode(rec, body)
}

func (r *RecordReader) decode(rec *WireRecord, body []byte) (bool, error) {
	body = body[1:] // attributes: none are defined
	ts, ok1 := varint(&body)
	delta, ok2 := varint(&body)
	if !ok1 || !ok2 || delta <= r.lastDelta || delta > int64(r.batch.LastOffsetDelta) {
		return false, r.corrupt("record deltas")
	}
	r.lastDelta = delta
	rec.Offset = r.batch.BaseOffset + delta
	rec.Timestamp = r.batch.FirstTimestamp + ts
	if r.batch.LogAppendTime() {
		rec.Timestamp = r.batch.MaxTimestamp
	}
	if rec.Key, ok1 = nullable(&body); !ok1 {
		return false, r.corrupt("record key")
	}
	if rec.Value, ok1 = nullable(&body); !ok1 {
		return false, r.corrupt("record value")
	}
	count, ok := varint(&body)
	if !ok || count < 0 || count > int64(len(body)/2) {
		return false, r.corrupt("header count")
	}
	rec.RawHeaders = body
	return r.headers(rec, body, int(count))
}

func (r *RecordReader) headers(rec *WireRecord, body []byte, count int) (bool, error) {
	have := rec.Headers[:0]
	rec.HeadersCut = false
	size := 0
	for range count {
		key, ok := nullable(&body)
		if !ok || key == nil {
			return false, r.corrupt("header key")
		}
		value, ok := nullable(&body)
		if !ok {
			return false, r.corrupt("header value")
		}
		size += len(key) + len(value)
		if rec.HeadersCut || r.Limit.exceeded(len(have)+1, size) {
			rec.HeadersCut = true
			continue // the rest must still add up
		}
		if n := len(have); n < cap(have) {
			have = have[:n+1]
		} else {
			have = append(have, schemas.Header{})
		}
		h := &have[len(have)-1]
		if h.Key != string(key) { // records of a topic mostly have the same headers in the same order
			h.Key = headerKey(key)
		}
		h.Value = value
	}
	if len(body) > 0 {
		return false, r.corrupt("bytes behind the headers")
	}
	rec.Headers = have
	return true, nil
}

// ParseHeaders decodes the headers of a record whose Headers were cut, at most
// limit of them; whole is false when there are more. The values alias the payload.
func (rec *WireRecord) ParseHeaders(limit int) (headers []schemas.Header, whole bool) {
	body := rec.RawHeaders
	for len(body) > 0 {
		key, ok := nullable(&body)
		value, ok2 := nullable(&body)
		if !ok || !ok2 || len(headers) == limit {
			return headers, false
		}
		headers = append(headers, schemas.Header{Key: string(key), Value: value})
	}
	return headers, true
}

func (l HeaderLimit) exceeded(count, size int) bool {
	return l.Count > 0 && count > l.Count || l.Bytes > 0 && size > l.Bytes
}

func (r *RecordReader) corrupt(what string) error {
	return corrupt(r.batch.BaseOffset, "%s of record %d of %d", what, r.batch.Count-r.left, r.batch.Count)
}

// headerKeys are the usual names, so that they are not allocated anew.
var headerKeys = func() map[string]string {
	m := map[string]string{}
	for _, k := range []string{
		"traceparent", "tracestate", "content-type", "x-request-id", "x-model-name", "x-model-version",
		"x-deadline", "ce_specversion", "ce_type", "ce_source", "ce_id", "ce_time", "expirytime",
	} {
		m[k] = k
	}
	return m
}()

func headerKey(b []byte) string {
	if k, ok := headerKeys[string(b)]; ok {
		return k
	}
	return string(b)
}

// varint takes a zig-zag varint off b.
func varint(b *[]byte) (int64, bool) {
	s := *b
	if len(s) > 0 && s[0] < 0x80 { // most are one byte
		*b = s[1:]
		return int64(s[0]>>1) ^ -int64(s[0]&1), true
	}
	v, n := binary.Varint(s)
	if n <= 0 {
		return 0, false
	}
	*b = s[n:]
	return v, true
}

// nullable takes a length and that many bytes off b; -1 is nil.
func nullable(b *[]byte) ([]byte, bool) {
	n, ok := varint(b)
	if !ok || n < -1 || n > int64(len(*b)) {
		return nil, false
	}
	if n == -1 {
		return nil, true
	}
	v := (*b)[:n:n]
	*b = (*b)[n:]
	return v, true
}
