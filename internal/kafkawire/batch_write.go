package kafkawire

// BatchWriter encodes one record batch. It keeps its memory over Reset, so
// appending allocates nothing in the steady state. Not safe for concurrent use.
type BatchWriter struct {
	// Transactional marks the batch as part of a transaction; Reset clears it.
	Transactional bool
}
