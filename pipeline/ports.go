// Package pipeline carries items from a Source through decoding, dynamic
// batches and a bounded worker pool to a Sink, and loses none. It knows neither
// Kafka nor ONNX nor files. Read DESIGN.md beside this file first.
package pipeline

import (
	"context"

	"github.com/sluice-ml/sluice/schemas"
)

// Source is where items come from.
//
// Receive blocks until it has 1..limit items, ctx is done, or the source is
// exhausted (io.EOF). Items of one partition come in offset order and are
// already tracked in their Partition. Items may come together with an error.
// It is called from one goroutine; the caller owns the items afterwards. The
// returned slice is valid until the next call.
type Source interface {
	Receive(ctx context.Context, limit int) ([]*Item, error)
}

// Model runs batches.
//
// Run sets Res or Err on every item of the batch; a returned error means that no
// item ran, and is about the batch (it is split) or, wrapped in ErrDevice, about
// the device. It is safe from as many goroutines as the pipeline has workers.
// Results own their memory; where Batch.Stage is set it is one that NewStage made. When ctx ends, Run returns within one node of the
// model with an error matching ctx's cause.
type Model interface {
	Signature() *schemas.Signature
	Run(ctx context.Context, batch *Batch) error
	Close() error
}

// Stager is a Model whose rows may be decoded right where it runs them.
type Stager interface {
	// NewStage returns memory for that many rows, nil when a row of the model's
	// inputs has no fixed size or rows cannot be run in place.
	NewStage(rows int) Stage
}

// Stage is memory of a Model for the inputs of one batch. One goroutine at a time.
type Stage interface {
	// Rows is how many rows there is room for.
	Rows() int
	// Row is where one row of an input belongs: empty, with a row's capacity.
	Row(input, row int) []byte
	// Close frees the memory; no run is using it, and no tensor that lies in it is
	// read any more (items that wait for their turn may still point there).
	Close()
}

// SelfTester is a Model that can tell a broken device from a bad row: SelfTest
// runs the warm-up row and returns its error.
type SelfTester interface {
	SelfTest(ctx context.Context) error
}

// Codec turns a record into a request and a result into bytes. Safe for
// concurrent use. Errors are *schemas.Error.
type Codec interface {
	// Decode fills req (reusing its memory) from rec; its inputs may be rec's own
	// memory, to be read only, until req.GiveBack or the next Decode.
	Decode(rec *schemas.Record, req *schemas.Request) error
	// Encode appends the result's bytes to dst and names their content type.
	Encode(dst []byte, rec *schemas.Record, req *schemas.Request, res *schemas.Result) (out []byte, contentType string, err error)
}

// Sink is where outcomes go.
//
// Send takes the items' outputs (Output, or a dead letter where Err is set) and
// calls Settle on each exactly once, from any goroutine (SettleAll for many): nil when
// the outcome is durable (I1), an error when the sink gives up, which stops the item's
// partition. Items of one partition come in the order in which they must leave.
// Send does not wait for the broker; what it holds is bounded by the pipeline's
// slots and bytes. It owns items after the call, but not the slice.
// Flush blocks until everything sent before it is settled, or ctx is done.
type Sink interface {
	Send(ctx context.Context, items []*Item)
	Flush(ctx context.Context) error
}

// DispatchReason says why a batch left.
type DispatchReason string

// The reasons, label values of sluice_batches_total.
const (
	ReasonFull     DispatchReason = "full"
	ReasonDelay    DispatchReason = "delay"
	ReasonDeadline DispatchReason = "deadline"
	ReasonIdle     DispatchReason = "idle"
	ReasonDrain    DispatchReason = "drain"
)

// Batch is what a worker runs at once: items of equal shape, Rows rows in all.
type Batch struct {
	Items  []*Item
	Rows   int
	Reason DispatchReason
	// Stage, when set, holds row i of Items[i] in its row i.
	Stage Stage
}
