// Package failpoint lets a fault campaign kill the process at a named place, or with a
// certain record. It does nothing unless the program is built with the tag failpoint.
package failpoint

// The places. Each is a window in which a crash must lose nothing and repeat
// nothing that was promised not to be.
const (
	// TxnBegin: nothing of the transaction is sent yet.
	TxnBegin = "txn-begin"
	// TxnProduced: its records are in the log, its positions are not sent.
	TxnProduced = "txn-produced"
	// TxnOffsets: its positions are with the coordinator, its end is not sent.
	TxnOffsets = "txn-offsets"
	// TxnEnding: its end is on the way; the process dies up to 3 ms later.
	TxnEnding = "txn-ending"
	// TxnEnded: it is committed, and nobody here has taken notice.
	TxnEnded = "txn-ended"
	// Committing: outcomes are written, their positions are not sent (at least once).
	Committing = "committing"
	// Joining: the group has this member, and it does not know its partitions yet.
	Joining = "joining"
	// Bisecting: a failed batch is split, one half of it is done and the other is not.
	Bisecting = "bisecting"
	// Committed: positions are committed, and nobody here has taken notice.
	Committed = "committed"
)
