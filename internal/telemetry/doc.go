// Package telemetry sets up what the outside sees of a process: traces and
// metrics by OpenTelemetry, configured by the standard OTEL_ environment only,
// Prometheus' /metrics, and the log.
//
// Nothing here may slow the work down: tracing that is off costs nothing, and a
// collector that is down, slow or silent costs dropped spans, which are counted.
package telemetry
