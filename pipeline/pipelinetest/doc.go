// Package pipelinetest holds small scripted ends and a model for tests of the
// pipeline, and the conformance suites that they pass like the real ones:
// RunSourceSuite, RunModelSuite and RunSinkSuite.
package pipelinetest
