package telemetry

import (
	"context"
	"fmt"
	"strconv"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// defaultRatio keeps the cost of tracing small where nothing was said about it.
const defaultRatio = 0.01

// startTraces is nil when tracing is off: unless OTEL_TRACES_EXPORTER or an
// endpoint is set, and whenever OTEL_SDK_DISABLED is true.
func startTraces(ctx context.Context, o Options, res *resource.Resource) (*sdktrace.TracerProvider, error) {
	unset := "none"
	if o.Env(traceSignal.endpoint) != "" || o.Env(commonEndpoint) != "" {
		unset = "otlp"
	}
	name, err := traceSignal.exporterName(o.Env, unset)
	if err != nil || name == "none" || o.Env("OTEL_SDK_DISABLED") == "true" {
		return nil, err
	}
	exporter, err := traceExporter(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("set up the trace exporter: %w", err)
	}
	return newTracerProvider(exporter, o, res), nil
}

func traceExporter(ctx context.Context, o Options) (sdktrace.SpanExporter, error) {
	grpc, err := traceSignal.grpc(o.Env)
	switch {
	case err != nil:
		return nil, err
	case grpc:
		return otlptrace.New(ctx, otlptracegrpc.NewClient())
	default:
		return otlptrace.New(ctx, otlptracehttp.NewClient())
	}
}

func newTracerProvider(exporter sdktrace.SpanExporter, o Options, res *resource.Resource) *sdktrace.TracerProvider {
	options := []sdktrace.TracerProviderOption{
		sdktrace.WithResource(res),
		sdktrace.WithSpanProcessor(newBatcher(exporter, queueSize(o.Env), o.Registry)),
		sdktrace.WithRawSpanLimits(spanLimits(o)),
	}
	if o.Env("OTEL_TRACES_SAMPLER") == "" {
		ratio := o.SampleRatio
		if ratio == 0 {
			ratio = defaultRatio
		}
		options = append(options, sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(ratio))))
	}
	return sdktrace.NewTracerProvider(options...)
}

// spanLimits raises the SDK's 128 links to the largest batch, unless the
// environment sets a limit.
func spanLimits(o Options) sdktrace.SpanLimits {
	limits := sdktrace.NewSpanLimits()
	if o.Env("OTEL_SPAN_LINK_COUNT_LIMIT") == "" && limits.LinkCountLimit >= 0 {
		limits.LinkCountLimit = max(limits.LinkCountLimit, o.MaxLinks)
	}
	return limits
}

// queueSize is how many ended spans may wait for the exporter.
func queueSize(env func(string) string) int {
	if n, err := strconv.Atoi(env("OTEL_BSP_MAX_QUEUE_SIZE")); err == nil && n > 0 {
		return n
	}
	return sdktrace.DefaultMaxQueueSize
}
