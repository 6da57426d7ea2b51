// Package modelbench measures a model alone: latency, throughput and processor
// time of a run by batch size and threads, through the same interface by which
// the service runs it, copies in and out included. measure.go runs, fit.go finds
// what a run costs beside its rows, recommend.go chooses, report.go shows.
package modelbench
