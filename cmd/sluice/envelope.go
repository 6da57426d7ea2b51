package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/sluice-ml/sluice/schemas"
)

// envelope is one record as a line of JSON, what `publish --json` reads and
// `tap` prints:
//
//	{"topic":"t","partition":0,"offset":7,"timestamp":1700000000000,"key":"k","headers":{"a":"b"},"value":"..."}
//
// Bytes that are no UTF-8 stand in key_base64, value_base64 and, for a header,
// in {"base64":"..."}. A header that is there several times has a list. A null
// key or value is null.

// writeEnvelope appends rec's line. decoded embeds a value that is JSON as
// JSON, for people: such a line does not read back to the same bytes.
func writeEnvelope(dst []byte, rec *schemas.Record, decoded bool) []byte {
	dst = append(dst, `{"topic":`...)
	dst = appendString(dst, rec.Topic)
	dst = append(dst, `,"partition":`...)
	dst = strconv.AppendInt(dst, int64(rec.Partition), 10)
	dst = append(dst, `,"offset":`...)
	dst = strconv.AppendInt(dst, rec.Offset, 10)
	dst = append(dst, `,"timestamp":`...)
	dst = strconv.AppendInt(dst, rec.Timestamp, 10)
	dst = appendBytes(dst, "key", rec.Key)
	dst = appendHeaders(dst, rec.Headers)
	if decoded && json.Valid(rec.Value) {
		var compact bytes.Buffer
		if json.Compact(&compact, rec.Value) == nil {
			dst = append(append(dst, `,"value":`...), compact.Bytes()...)
			return append(dst, '}')
		}
	}
	return append(appendBytes(dst, "value", rec.Value), '}')
}

// appendBytes adds a member: text, null, or base64 under name_base64.
func appendBytes(dst []byte, name string, value []byte) []byte {
	dst = append(append(dst, `,"`...), name...)
	switch {
	case value == nil:
		return append(dst, `":null`...)
	case utf8.Valid(value):
		return appendString(append(dst, `":`...), string(value))
	default:
		dst = append(dst, `_base64":"`...)
		return append(base64.StdEncoding.AppendEncode(dst, value), '"')
	}
}

func appendHeaders(dst []byte, headers []schemas.Header) []byte {
	if len(headers) == 0 {
		return dst
	}
	dst = append(dst, `,"headers":{`...)
	done := map[string]bool{}
	for i, h := range headers {
		if done[h.Key] {
			continue
		}
		if len(done) > 0 {
			dst = append(dst, ',')
		}
		done[h.Key] = true
		dst = append(appendString(dst, h.Key), ':')
		same := headersNamed(headers[i:], h.Key)
		if len(same) == 1 {
			dst = appendHeaderValue(dst, h.Value)
			continue
		}
		for k, value := range same {
			dst = append(dst, "[,"[min(k, 1)])
			dst = appendHeaderValue(dst, value)
		}
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

func headersNamed(headers []schemas.Header, key string) [][]byte {
	var values [][]byte
	for _, h := range headers {
		if h.Key == key {
			values = append(values, h.Value)
		}
	}
	return values
}

func appendHeaderValue(dst, value []byte) []byte {
	switch {
	case value == nil:
		return append(dst, "null"...)
	case utf8.Valid(value):
		return appendString(dst, string(value))
	default:
		dst = append(dst, `{"base64":"`...)
		return append(base64.StdEncoding.AppendEncode(dst, value), `"}`...)
	}
}

// appendString quotes without escaping <, > and &, which makes payloads
// unreadable for nothing.
func appendString(dst []byte, s string) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		panic("BUG: marshal of a string: " + err.Error())
	}
	return append(dst, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...)
}

// envelopeLine is a line of `publish --json`. topic and offset, which tap
// prints, are read and left alone.
type envelopeLine struct {
	Topic       json.RawMessage `json:"topic"`
	Offset      json.RawMessage `json:"offset"`
	Partition   *int32          `json:"partition"`
	Timestamp   json.RawMessage `json:"timestamp"`
	Key         json.RawMessage `json:"key"`
	KeyBase64   *string         `json:"key_base64"`
	Value       json.RawMessage `json:"value"`
	ValueBase64 *string         `json:"value_base64"`
	Headers     json.RawMessage `json:"headers"`
}

// readEnvelope reads one line; the record has no topic and, unless the line
// names one, partition -1. Timestamp 0 means now.
func readEnvelope(line []byte) (schemas.Record, error) {
	var e envelopeLine
	rec := schemas.Record{Partition: -1}
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&e); err != nil {
		return rec, fmt.Errorf("not an envelope {key, value or value_base64, headers, partition, timestamp}: %w", err)
	}
	if dec.More() {
		return rec, fmt.Errorf("more than one JSON value in the line")
	}
	var err error
	if rec.Key, err = bytesOf("key", e.Key, e.KeyBase64); err != nil {
		return rec, err
	}
	if rec.Value, err = bytesOf("value", e.Value, e.ValueBase64); err != nil {
		return rec, err
	}
	if e.Value == nil && e.ValueBase64 == nil {
		return rec, fmt.Errorf("no value; write \"value\": null for a tombstone")
	}
	if e.Partition != nil {
		rec.Partition = *e.Partition
		if rec.Partition < 0 {
			return rec, fmt.Errorf("partition %d is negative", rec.Partition)
		}
	}
	if rec.Timestamp, err = timestampOf(e.Timestamp); err != nil {
		return rec, err
	}
	rec.Headers, err = headersOf(e.Headers)
	return rec, err
}

// bytesOf is a string's bytes, any other JSON as it stands, or decoded base64.
func bytesOf(name string, text json.RawMessage, encoded *string) ([]byte, error) {
	if encoded != nil {
		if text != nil {
			return nil, fmt.Errorf("%s and %s_base64 are both given; keep one", name, name)
		}
		b, err := base64.StdEncoding.DecodeString(*encoded)
		if err != nil {
			return nil, fmt.Errorf("%s_base64 is no base64: %w", name, err)
		}
		return b, nil
	}
	switch {
	case text == nil || string(text) == "null":
		return nil, nil
	case text[0] != '"':
		return text, nil
	}
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return []byte(s), nil
}

// timestampOf reads Unix milliseconds or RFC 3339; 0 for none.
func timestampOf(text json.RawMessage) (int64, error) {
	if text == nil || string(text) == "null" {
		return 0, nil
	}
	if text[0] == '"' {
		var t time.Time
		if err := json.Unmarshal(text, &t); err != nil {
			return 0, fmt.Errorf("timestamp is neither Unix milliseconds nor RFC 3339")
		}
		return t.UnixMilli(), nil
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("timestamp %s is no whole number of milliseconds", text)
	}
	return max(n, 0), nil
}

// headersOf reads the headers in the order of the line.
func headersOf(text json.RawMessage) ([]schemas.Header, error) {
	if text == nil || string(text) == "null" {
		return nil, nil
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	if token, err := dec.Token(); err != nil || token != json.Delim('{') {
		return nil, fmt.Errorf("headers is no object; write {\"name\": \"value\"}")
	}
	var headers []schemas.Header
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, fmt.Errorf("headers: %w", err)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, fmt.Errorf("headers: %w", err)
		}
		list := []json.RawMessage{value}
		if value[0] == '[' {
			if err := json.Unmarshal(value, &list); err != nil {
				return nil, fmt.Errorf("headers: %w", err)
			}
		}
		for _, v := range list {
			b, err := headerBytes(v)
			if err != nil {
				return nil, fmt.Errorf("header %v: %w", name, err)
			}
			headers = append(headers, schemas.Header{Key: name.(string), Value: b})
		}
	}
	return headers, nil
}

func headerBytes(value json.RawMessage) ([]byte, error) {
	if value[0] != '{' {
		return bytesOf("value", value, nil)
	}
	var binary struct {
		Base64 *string `json:"base64"`
	}
	if err := json.Unmarshal(value, &binary); err != nil || binary.Base64 == nil {
		return nil, fmt.Errorf("is an object; write text, a list of texts, or {\"base64\": \"...\"}")
	}
	return bytesOf("value", nil, binary.Base64)
}
