// Package demo is `sluice demo`: the whole journey in one process. An embedded
// broker (kfake, its data in a temporary folder), a generator that publishes the
// digits model's held-out images, the very same service that `sluice run` runs, a
// reader that checks each prediction against the truth, and a view of it all.
//
// The embedded broker is a single-process stand-in without durability: it shows
// the main job, it is not a place for data. Only cmd/sluice imports this package,
// under the build tag demo; the service binary carries none of it.
package demo
