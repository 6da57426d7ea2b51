package telemetry

import (
	"context"
	"fmt"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/otlptranslator"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
)

// meter hands the registry to Prometheus and, where asked for, to OTLP.
type meter struct {
	provider *sdkmetric.MeterProvider
	gatherer *prometheus.Registry
}

func startMetrics(ctx context.Context, o Options, res *resource.Resource) (*meter, error) {
	m := &meter{gatherer: prometheus.NewRegistry()}
	m.gatherer.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	// Without scope and target: names and labels are exactly those of the registry.
	scrape, err := otelprometheus.New(
		otelprometheus.WithRegisterer(m.gatherer),
		otelprometheus.WithProducer(o.Registry),
		otelprometheus.WithTranslationStrategy(otlptranslator.UnderscoreEscapingWithSuffixes),
		otelprometheus.WithoutScopeInfo(),
		otelprometheus.WithoutTargetInfo(),
	)
	if err != nil {
		return nil, fmt.Errorf("set up the Prometheus exporter: %w", err)
	}
	readers := []sdkmetric.Option{sdkmetric.WithResource(res), sdkmetric.WithReader(scrape)}
	name, err := metricSignal.exporterName(o.Env, "none")
	if err != nil {
		return nil, err
	}
	if name == "otlp" && o.Env("OTEL_SDK_DISABLED") != "true" {
		push, err := metricExporter(ctx, o)
		if err != nil {
			return nil, fmt.Errorf("set up the metric exporter: %w", err)
		}
		readers = append(readers, sdkmetric.WithReader(sdkmetric.NewPeriodicReader(push, sdkmetric.WithProducer(o.Registry))))
	}
	m.provider = sdkmetric.NewMeterProvider(readers...)
	return m, nil
}

func metricExporter(ctx context.Context, o Options) (sdkmetric.Exporter, error) {
	grpc, err := metricSignal.grpc(o.Env)
	switch {
	case err != nil:
		return nil, err
	case grpc:
		return otlpmetricgrpc.New(ctx)
	default:
		return otlpmetrichttp.New(ctx)
	}
}

func (m *meter) shutdown(ctx context.Context) error { return m.provider.Shutdown(ctx) }

// MetricsHandler serves /metrics.
func (p *Providers) MetricsHandler() http.Handler {
	return promhttp.HandlerFor(p.metrics.gatherer, promhttp.HandlerOpts{
		EnableOpenMetrics: true, // exemplars
		ErrorHandling:     promhttp.ContinueOnError,
	})
}
