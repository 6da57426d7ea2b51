// Package synthetic makes up inputs for a model from its signature: seeded
// values, and the messages of each codec that carry them. It is for benches,
// which need the right shape and cost, not the right answer.
package synthetic
