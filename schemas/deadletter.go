package schemas

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"unicode/utf8"
)

// The headers of a dead letter, in the order in which they are written: Kafka
// Connect's names, then ours. The first is where replay cuts.
const (
	HeaderErrorTopic     = "__connect.errors.topic"
	HeaderErrorPartition = "__connect.errors.partition"
	HeaderErrorOffset    = "__connect.errors.offset"
	HeaderErrorConnector = "__connect.errors.connector.name"
	HeaderErrorTask      = "__connect.errors.task.id"
	HeaderErrorStage     = "__connect.errors.stage"
	HeaderErrorClassName = "__connect.errors.class.name"
	HeaderErrorException = "__connect.errors.exception.class.name"
	HeaderErrorMessage   = "__connect.errors.exception.message"
	HeaderErrorClass     = "x-error-class"
	HeaderAttempts       = "x-attempts"
	HeaderModelName      = "x-model-name"
	HeaderModelVersion   = "x-model-version"
	HeaderTraceParent    = "traceparent"
)

// maxMessageBytes bounds an error's text in a header: it is for people, and
// headers count against the topic's record limit.
const maxMessageBytes = 1024

// DeadLetterInfo is what a dead letter says about its record.
type DeadLetterInfo struct {
	// Topic, Partition and Offset are where the record was read. DeadLetterHeaders
	// takes them from the record; CutDeadLetter fills them in.
	Topic     string
	Partition int32
	Offset    int64
	// Group is the consumer group.
	Group string
	Error Error
	// Attempts counts model runs, over all replays.
	Attempts                int
	ModelName, ModelVersion string
	// TraceParent goes into the dead letter's own traceparent; "" leaves it out.
	TraceParent string
}

// DeadLetterHeaders appends the headers of rec's dead letter to dst: the original
// ones first and untouched, ours after them. The message is cleaned of control
// characters and cut at 1 KiB.
func DeadLetterHeaders(dst []Header, rec *Record, info DeadLetterInfo) []Header {
	dst = append(dst, rec.Headers...)
	add := func(key, value string) { dst = append(dst, Header{Key: key, Value: []byte(value)}) }
	add(HeaderErrorTopic, rec.Topic)
	add(HeaderErrorPartition, strconv.Itoa(int(rec.Partition)))
	add(HeaderErrorOffset, strconv.FormatInt(rec.Offset, 10))
	add(HeaderErrorConnector, info.Group)
	add(HeaderErrorTask, "0")
	add(HeaderErrorStage, string(info.Error.Stage))
	add(HeaderErrorClassName, "sluice")
	add(HeaderErrorException, string(info.Error.Class))
	add(HeaderErrorMessage, CleanMessage(info.Error.Message))
	add(HeaderErrorClass, string(info.Error.Class))
	add(HeaderAttempts, strconv.Itoa(info.Attempts))
	add(HeaderModelName, info.ModelName)
	add(HeaderModelVersion, info.ModelVersion)
	if info.TraceParent != "" {
		add(HeaderTraceParent, info.TraceParent)
	}
	return dst
}

// CleanMessage makes an error's text fit for a header: control characters
// (newlines included) become blanks, bad UTF-8 becomes U+FFFD, and it is cut at
// 1 KiB between two characters.
func CleanMessage(text string) string {
	out := make([]byte, 0, min(len(text), maxMessageBytes))
	for _, r := range text {
		if r < 0x20 || (r >= 0x7f && r < 0xa0) || r == '\u2028' || r == '\u2029' {
			r = ' '
		}
		if len(out)+utf8.RuneLen(r) > maxMessageBytes {
			break
		}
		out = utf8.AppendRune(out, r)
	}
	return string(out)
}

// CutDeadLetter takes a dead letter's headers apart, for replay: the original
// ones, and what ours say. Ours start at the last __connect.errors.topic. ok is
// false when there is none: the record is no dead letter, and original is all of
// it. original aliases headers.
func CutDeadLetter(headers []Header) (original []Header, info DeadLetterInfo, ok bool) {
	cut := len(headers) - 1
	for cut >= 0 && headers[cut].Key != HeaderErrorTopic {
		cut--
	}
	if cut < 0 {
		return headers, info, false
	}
	for _, h := range headers[cut:] {
		info.take(h)
	}
	return headers[:cut:cut], info, true
}

// take reads one of our headers; numbers that are none stay 0.
func (d *DeadLetterInfo) take(h Header) {
	value := string(h.Value)
	switch h.Key {
	case HeaderErrorTopic:
		d.Topic = value
	case HeaderErrorPartition:
		n, _ := strconv.ParseInt(value, 10, 32)
		d.Partition = int32(n)
	case HeaderErrorOffset:
		d.Offset, _ = strconv.ParseInt(value, 10, 64)
	case HeaderErrorConnector:
		d.Group = value
	case HeaderErrorStage:
		d.Error.Stage = Stage(value)
	case HeaderErrorMessage:
		d.Error.Message = value
	case HeaderErrorClass:
		d.Error.Class = Class(value)
	case HeaderAttempts:
		d.Attempts, _ = strconv.Atoi(value)
	case HeaderModelName:
		d.ModelName = value
	case HeaderModelVersion:
		d.ModelVersion = value
	case HeaderTraceParent:
		d.TraceParent = value
	}
}

// StubValue appends the value of the dead letter for a record that the broker
// refuses as too large: where the record is, what it was, no byte of it.
//
//	{"stub":true,"topic":"in","partition":0,"offset":42,"sha256":"...","value_bytes":1048576,"key_bytes":2,"header_bytes":31,"headers":3}
//
// The digest is of the value; the numbers are -1 for a null key or value.
func StubValue(dst []byte, rec *Record) []byte {
	size := func(b []byte) int64 {
		if b == nil {
			return -1
		}
		return int64(len(b))
	}
	headers := 0
	for i := range rec.Headers {
		headers += len(rec.Headers[i].Key) + len(rec.Headers[i].Value)
	}
	dst = append(dst, `{"stub":true,"topic":`...)
	dst = appendQuoted(dst, rec.Topic)
	number := func(name string, n int64) {
		dst = append(append(append(dst, `,"`...), name...), `":`...)
		dst = strconv.AppendInt(dst, n, 10)
	}
	number("partition", int64(rec.Partition))
	number("offset", rec.Offset)
	sum := sha256.Sum256(rec.Value)
	dst = append(dst, `,"sha256":"`...)
	dst = append(hex.AppendEncode(dst, sum[:]), '"')
	number("value_bytes", size(rec.Value))
	number("key_bytes", size(rec.Key))
	number("header_bytes", int64(headers))
	number("headers", int64(len(rec.Headers)))
	return append(dst, '}')
}
