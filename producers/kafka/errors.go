package kafka

import (
	"errors"
	"fmt"
)

// ErrTooLarge is a single record that the broker refuses for its size
// (max.message.bytes of the topic).
var ErrTooLarge = errors.New("record is larger than the topic's max.message.bytes")

// ErrRefused is a single record that the broker refuses for its content, such
// as a record without a key for a compacted topic.
var ErrRefused = errors.New("record refused by the broker")

// ErrClosed is a record that was not written before the producer was closed.
var ErrClosed = errors.New("producer is closed")

// ErrUnwritable is a partition that has refused records for longer than the
// grace: missing, or not authorised. It is tried again when records come.
var ErrUnwritable error = stopError{"output_unwritable", "output partition is not writable"}

// ErrDeadLetterFlood is an item whose dead letter was not written because too
// large a share of its topic ends in dead letters.
var ErrDeadLetterFlood error = stopError{"dead_letter_flood", "too many dead letters, stopped so that the topic is not emptied into them"}

// ErrItemStop is an item with an error while dead_letter.on_error is stop.
var ErrItemStop error = stopError{"item_error", "item failed and dead_letter.on_error is stop"}

// stopError is a cause that stops an input partition. StopReason is its short
// name, for the reason label of metrics: callers find it with errors.As, so
// that they need not import this package.
type stopError struct{ reason, text string }

// Error implements error.
func (e stopError) Error() string { return e.text }

// StopReason is a short lower-case name for labels.
func (e stopError) StopReason() string { return e.reason }

// unwritable says which partition gave up, why and what mends it.
func unwritable(topic string, partition int32, cause error) error {
	where := fmt.Sprintf("partition %d of topic %q", partition, topic)
	if partition < 0 {
		where = fmt.Sprintf("topic %q", topic)
	}
	return fmt.Errorf("write to %s: %w: %w; %s", where, ErrUnwritable, cause, cure(cause, topic))
}
