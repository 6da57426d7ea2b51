package schemas

import "fmt"

// Limits bound what one record may make of the process, whoever wrote it. They
// are checked before memory is reserved. A zero field takes its default.
type Limits struct {
	// RecordBytes bounds the value. Default 16 MiB: an image of 224x224x3 as
	// JSON has 3 MiB, Kafka's own default limit is 1 MiB.
	RecordBytes int
	// Elements bounds the elements of one tensor. Default 8 Mi: more do not fit
	// into the default RecordBytes as JSON ("0," is two bytes).
	Elements int64
	// Dimensions bounds the rank. Default 8: what TensorRT allows; more than any
	// model met so far.
	Dimensions int
	// Depth bounds how deep JSON nests. Default 64: the rank and the envelopes
	// of other systems around it, far below what a parser stack could feel.
	Depth int
	// Headers and HeaderBytes bound the record's headers (keys and values).
	// Defaults 256 and 64 KiB: tracing, lineage and a dead letter's round trips
	// need a few dozen and a few KiB.
	Headers     int
	HeaderBytes int
	// DecodedBytes bounds the tensors of one record together. Default 64 MiB,
	// a quarter of the default input.max_in_flight_bytes: "0," may become eight
	// bytes, so the record's own size says too little.
	DecodedBytes int64
}

// withDefaults fills in the zero fields.
func (l Limits) withDefaults() Limits {
	set := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	set(&l.RecordBytes, 16<<20)
	set(&l.Dimensions, 8)
	set(&l.Depth, 64)
	set(&l.Headers, 256)
	set(&l.HeaderBytes, 64<<10)
	if l.Elements == 0 {
		l.Elements = 8 << 20
	}
	if l.DecodedBytes == 0 {
		l.DecodedBytes = 64 << 20
	}
	return l
}

// Validate names the first negative limit.
func (l Limits) Validate() error {
	for _, f := range [...]struct {
		name  string
		value int64
	}{
		{"RecordBytes", int64(l.RecordBytes)},
		{"Elements", l.Elements},
		{"Dimensions", int64(l.Dimensions)},
		{"Depth", int64(l.Depth)},
		{"Headers", int64(l.Headers)},
		{"HeaderBytes", int64(l.HeaderBytes)},
		{"DecodedBytes", l.DecodedBytes},
	} {
		if f.value < 0 {
			return fmt.Errorf("limit %s is %d: want a positive number, or 0 for the default", f.name, f.value)
		}
	}
	return nil
}

// check applies the limits that need no look into the value.
func (l *Limits) check(rec *Record) *Error {
	if len(rec.Value) > l.RecordBytes {
		return decodeError(TooLarge, "the value has %d bytes, above the limit of %d", len(rec.Value), l.RecordBytes)
	}
	if len(rec.Headers) > l.Headers {
		return decodeError(TooLarge, "the record has %d headers, above the limit of %d", len(rec.Headers), l.Headers)
	}
	size := 0
	for i := range rec.Headers {
		size += len(rec.Headers[i].Key) + len(rec.Headers[i].Value)
	}
	if size > l.HeaderBytes {
		return decodeError(TooLarge, "the headers have %d bytes, above the limit of %d", size, l.HeaderBytes)
	}
	return nil
}

// decodeError is about the bytes: they cannot be read.
func decodeError(class Class, format string, args ...any) *Error {
	return &Error{Class: class, Stage: StageDecode, Message: fmt.Sprintf(format, args...)}
}

// validateError is about what well-formed bytes say: it does not fit the model.
func validateError(class Class, format string, args ...any) *Error {
	return &Error{Class: class, Stage: StageValidate, Message: fmt.Sprintf(format, args...)}
}

// encodeError is about an answer that cannot be written.
func encodeError(class Class, format string, args ...any) *Error {
	return &Error{Class: class, Stage: StageEncode, Message: fmt.Sprintf(format, args...)}
}
