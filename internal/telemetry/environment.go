package telemetry

import (
	"context"
	"fmt"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
)

// signal is one kind of telemetry and the names of its variables.
type signal struct {
	exporter, endpoint, protocol string
}

const (
	commonEndpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"
	commonProtocol = "OTEL_EXPORTER_OTLP_PROTOCOL"
)

var (
	traceSignal  = signal{"OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"}
	metricSignal = signal{"OTEL_METRICS_EXPORTER", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL"}
)

// exporterName is otlp, none, or an error that names the variable.
func (s signal) exporterName(env func(string) string, unset string) (string, error) {
	value := strings.TrimSpace(env(s.exporter))
	switch value {
	case "":
		return unset, nil
	case "otlp", "none":
		return value, nil
	default:
		return "", fmt.Errorf("%s=%s: unknown exporter; allowed: otlp, none", s.exporter, value)
	}
}

// grpc says which of the two protocols is asked for; http/protobuf is the
// default of the specification.
func (s signal) grpc(env func(string) string) (bool, error) {
	name, value := s.protocol, env(s.protocol)
	if value == "" {
		name, value = commonProtocol, env(commonProtocol)
	}
	switch value {
	case "", "http/protobuf":
		return false, nil
	case "grpc":
		return true, nil
	default:
		return false, fmt.Errorf("%s=%s: unknown protocol; allowed: grpc, http/protobuf", name, value)
	}
}

// describe says who we are; OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win.
func describe(ctx context.Context, o Options) (*resource.Resource, error) {
	res, err := resource.New(ctx,
		resource.WithAttributes(
			attribute.String("service.name", "sluice"),
			attribute.String("service.version", o.Version),
		),
		resource.WithTelemetrySDK(),
		resource.WithHost(),
		resource.WithProcessPID(),
		resource.WithFromEnv(),
	)
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w; write key=value,key=value", err)
	}
	return res, nil
}
