package pipeline

import (
	"errors"

	"github.com/sluice-ml/sluice/schemas"
)

// ErrDevice wraps a run error that is the device's fault, not a row's: the
// pipeline retries with backoff and dead-letters nothing.
var ErrDevice = errors.New("device unusable")

// Outcome is how an item ended. Every item has exactly one (I5).
type Outcome uint8

// The outcomes. Abandoned items were never acknowledged: they come again.
const (
	Pending Outcome = iota
	Predicted
	DeadLettered
	ExpiredOutcome
	Skipped
	Abandoned
)

// String is the outcome's label in sluice_items_total.
func (o Outcome) String() string {
	return [...]string{"pending", "predicted", "dead_lettered", "expired", "skipped", "abandoned"}[o]
}

// Releaser gives an item's buffer back to its source.
type Releaser interface{ Release() }

// Item is one unit of work and, in the end, its outcome. One owner at a time
// (I6): whoever hands an item on does not touch it again.
type Item struct {
	schemas.Record
	// TopicID is the topic's UUID, zero where the source knows none.
	TopicID [16]byte
	// Buffer, when set, is released once, when the item has its outcome or is unloaded.
	Buffer Releaser

	Req schemas.Request
	// Res comes with no outputs, but may bring an earlier item's slice to append to.
	Res schemas.Result
	// Err makes the item a dead letter.
	Err *schemas.Error
	// Attempts counts model runs.
	Attempts int

	// Tombstone is set by the pipeline when a null value passes through: the
	// sink writes key and null.
	Tombstone bool
	// Output and ContentType are what the sink writes when Err is nil.
	Output      []byte
	ContentType string
	// BatchRows is the size of the batch it ran in; Device is where.
	BatchRows int
	Device    string
	// TraceParent and TraceState go into the outcome's headers; empty leaves
	// them out.
	TraceParent, TraceState string

	// FetchedAt, in Unix nanoseconds, is set by the source.
	FetchedAt int64
	// ProducedAt, in Unix nanoseconds, is set by the sink when the broker has it.
	ProducedAt int64

	state itemState // the pipeline's own
}

// Owner is the partition assignment (epoch) that tracks the item.
func (it *Item) Owner() *Partition { return it.state.lane }

// itemState is what the pipeline knows of an item. Times are Unix nanoseconds,
// 0 for a stage the item did not pass.
type itemState struct {
	lane *Partition
	seq  uint64 // the item's place in its lane
	pipe *Pipeline

	outcome    Outcome // what a nil Settle makes of it
	ackOnly    bool    // settled in order, but nothing is written
	dropped    bool    // begin refused it; only its worker reads this
	needsModel bool    // decoding gave it no outcome yet; only its decoder reads this
	staged     bool    // Req's data lies in a stage, which is not the item's
	written    bool    // the broker has its outcome, in a transaction; counted in slots
	// outputBytes is what Output added to the budget.
	outputBytes int64

	decodeAt, decodedAt, readyAt, inferAt, inferredAt, encodedAt, sentAt int64

	trace *itemTrace // nil unless this item's spans are recorded
}
