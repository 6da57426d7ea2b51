package pipeline

import (
	"encoding/hex"
	"unsafe"

	"go.opentelemetry.io/otel/trace"
)

// The W3C trace context headers and their bounds.
const (
	traceParentHeader = "traceparent"
	traceStateHeader  = "tracestate"
	traceParentBytes  = len("00-0123456789abcdef0123456789abcdef-0123456789abcdef-01")
	maxTraceState     = 512 // longer ones may be dropped (W3C Trace Context 3.3.1.5)
)

// passOn copies the input's trace context to the outcome: the last value of a
// header counts, invalid ones are left out. The strings alias the record's
// buffer, as valid as the item itself, so that tracing off costs nothing.
func (it *Item) passOn() {
	for i := len(it.Headers) - 1; i >= 0; i-- {
		switch h := &it.Headers[i]; h.Key {
		case traceParentHeader:
			if it.TraceParent == "" && validTraceParent(h.Value) {
				it.TraceParent = unsafe.String(unsafe.SliceData(h.Value), len(h.Value))
			}
		case traceStateHeader:
			if it.TraceState == "" && validTraceState(h.Value) {
				it.TraceState = unsafe.String(unsafe.SliceData(h.Value), len(h.Value))
			}
		}
	}
	if it.TraceParent == "" {
		it.TraceState = "" // means nothing by itself
	}
}

// validTraceParent checks version 00's form: lower-case hex, no id of zeros.
// Higher versions may be longer; their first fields are the same.
func validTraceParent(v []byte) bool {
	if len(v) < traceParentBytes || v[2] != '-' || v[35] != '-' || v[52] != '-' {
		return false
	}
	if len(v) > traceParentBytes && (v[0] == '0' && v[1] == '0' || v[traceParentBytes] != '-') {
		return false
	}
	if v[0] == 'f' && v[1] == 'f' || len(v) > maxTraceState {
		return false
	}
	return lowerHex(v[:2]) && lowerHex(v[3:35]) && lowerHex(v[36:52]) && lowerHex(v[53:55]) &&
		!zeros(v[3:35]) && !zeros(v[36:52])
}

func validTraceState(v []byte) bool {
	for _, c := range v {
		if (c < ' ' || c > '~') && c != '\t' {
			return false
		}
	}
	return len(v) > 0 && len(v) <= maxTraceState
}

func lowerHex(v []byte) bool {
	for _, c := range v {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func zeros(v []byte) bool {
	for _, c := range v {
		if c != '0' {
			return false
		}
	}
	return true
}

// remoteContext is the valid trace context that passOn found.
func (it *Item) remoteContext() trace.SpanContext {
	if it.TraceParent == "" {
		return trace.SpanContext{}
	}
	var cfg trace.SpanContextConfig
	var flags [1]byte
	v := it.TraceParent
	decode := func(dst []byte, src string) { _, _ = hex.Decode(dst, []byte(src)) } // validated by passOn
	decode(cfg.TraceID[:], v[3:35])
	decode(cfg.SpanID[:], v[36:52])
	decode(flags[:], v[53:55])
	cfg.TraceFlags = trace.TraceFlags(flags[0]) & trace.FlagsSampled
	cfg.TraceState, _ = trace.ParseTraceState(it.TraceState) // one that does not parse is left out
	cfg.Remote = true
	return trace.NewSpanContext(cfg)
}

// setContext makes a span's context the outcome's.
func (it *Item) setContext(sc trace.SpanContext) {
	buf := make([]byte, 0, traceParentBytes)
	id, span := sc.TraceID(), sc.SpanID()
	buf = append(buf, "00-"...)
	buf = hex.AppendEncode(buf, id[:])
	buf = append(buf, '-')
	buf = hex.AppendEncode(buf, span[:])
	buf = append(buf, '-')
	buf = hex.AppendEncode(buf, []byte{byte(sc.TraceFlags())})
	it.TraceParent, it.TraceState = string(buf), sc.TraceState().String()
}
