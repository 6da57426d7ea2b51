// Package kafka writes outcomes to Kafka: an idempotent producer that encodes
// its own record batches, and the Sink that turns items into predictions and
// dead letters.
//
// The producer keeps exactly one request in flight per partition, sends the
// same bytes until it has a definite answer, and moves a partition's sequence
// only on success, so retries make no duplicates and change no order. What it
// does with each of the broker's answers stands in one table, actions.go.
//
// TransactionalSink is the sink of exactly-once. It gathers encoded outcomes while
// the transaction before is being written; a transactor writes and commits them
// together with the positions that the source plans. Every doubt is settled by
// InitProducerID with the own id and epoch, never by guessing (transaction.go).
//
// Producing never blocks and never waits for the network: memory is bounded by
// the caller, which has a limited number of items in flight.
package kafka
