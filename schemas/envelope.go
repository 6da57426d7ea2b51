package schemas

import (
	"bytes"
	"strconv"
	"strings"
	"time"
)

// The content types of the codecs.
const (
	contentTypeJSON = "application/json"
	contentTypeOIP  = "application/vnd.oip+json"
	contentTypeRaw  = "application/octet-stream"
)

// envelope reads the record's headers: codec, model, deadline. Of a repeated
// header the last counts.
func (c *Codec) envelope(rec *Record, req *Request) *Error {
	var contentType, model, version, deadline, expiry []byte
	for i := range rec.Headers {
		h := &rec.Headers[i]
		switch h.Key {
		case "x-model-name", "mlserver-model", "seldon-model":
			model = h.Value
		case "x-model-version", "mlserver-version":
			version = h.Value
		case "x-deadline":
			deadline = h.Value
		case "ce_expirytime":
			expiry = h.Value
		default:
			if len(h.Key) == len("content-type") && strings.EqualFold(h.Key, "content-type") {
				contentType = h.Value
			}
		}
	}
	var ok bool
	if req.Codec, ok = c.codecFor(contentType); !ok {
		return decodeError(UnsupportedContentType, "the content-type header names a format that is not known: known are %s, %s, %s",
			contentTypeJSON, contentTypeOIP, contentTypeRaw)
	}
	if err := c.named(req, model, version); err != nil {
		return err
	}
	for _, text := range [...][]byte{deadline, expiry} {
		if len(text) == 0 {
			continue
		}
		ms, ok := parseDeadline(text)
		if !ok {
			return decodeError(Undecodable, "the x-deadline or ce_expirytime header is neither an RFC 3339 time nor Unix milliseconds")
		}
		req.expire(ms)
	}
	return nil
}

// codecFor names the codec for a content type.
func (c *Codec) codecFor(contentType []byte) (name string, ok bool) {
	if len(contentType) == 0 {
		return c.cfg.Name, true
	}
	essence, _, _ := bytes.Cut(contentType, []byte{';'})
	essence = bytes.TrimSpace(essence)
	switch {
	case bytes.EqualFold(essence, []byte(contentTypeJSON)):
		if c.cfg.Name == CodecOIPJSON {
			return CodecOIPJSON, true
		}
		return CodecJSON, true
	case bytes.EqualFold(essence, []byte(contentTypeOIP)):
		return CodecOIPJSON, true
	case bytes.EqualFold(essence, []byte(contentTypeRaw)):
		return CodecRaw, true
	}
	return "", false
}

// named takes the model that the request names, and refuses another than ours.
func (c *Codec) named(req *Request, model, version []byte) *Error {
	if len(model) > 0 {
		if string(model) != c.cfg.ModelName {
			return validateError(UnknownModel, "the request names another model than %s", c.cfg.ModelName)
		}
		req.ModelName = c.cfg.ModelName
	}
	if len(version) > 0 {
		if string(version) != c.cfg.ModelVersion {
			return validateError(UnknownModel, "the request names another version of %s than %s", c.cfg.ModelName, c.cfg.ModelVersion)
		}
		req.ModelVersion = c.cfg.ModelVersion
	}
	return nil
}

// parseDeadline reads an RFC 3339 time or Unix milliseconds.
func parseDeadline(text []byte) (ms int64, ok bool) {
	text = bytes.TrimSpace(text)
	if ms, err := strconv.ParseInt(view(text), 10, 64); err == nil {
		return ms, ms > 0
	}
	t, err := time.Parse(time.RFC3339, string(text))
	return t.UnixMilli(), err == nil && t.UnixMilli() > 0
}

// expire sets the deadline; of several the earliest counts.
func (r *Request) expire(ms int64) {
	if r.Deadline == 0 || ms < r.Deadline {
		r.Deadline = ms
	}
}

// appendRecordID is the id of a record that states none, as a JSON string: its
// key, else its place.
func appendRecordID(dst []byte, rec *Record) []byte {
	if len(rec.Key) > 0 {
		return appendQuoted(dst, view(rec.Key))
	}
	dst = appendQuoted(dst, rec.Topic)
	dst = append(dst[:len(dst)-1], '/')
	dst = strconv.AppendInt(dst, int64(rec.Partition), 10)
	dst = append(dst, '/')
	dst = strconv.AppendInt(dst, rec.Offset, 10)
	return append(dst, '"')
}
