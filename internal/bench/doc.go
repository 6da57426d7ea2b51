// Package bench loads a deployment over Kafka and measures publish to
// prediction: it publishes on an open-loop schedule (package load), follows the
// output and the dead-letter topic without a group, and matches what comes back
// by the record's key or by the source that sluice's headers name.
//
// Where to look: bench.go connects, trial.go is one rate, sweep.go several,
// follow.go reads the topics, match.go finds the record an outcome belongs to,
// point.go is what was measured, curve.go draws it.
//
// Memory is bounded whatever the system under test does: what may wait for the
// broker (sendBuffer), what may be outstanding (load.RecorderConfig), and the
// records themselves (RecordsLimit).
package bench
