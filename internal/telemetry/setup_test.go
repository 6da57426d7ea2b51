package telemetry

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/sluice-ml/sluice/internal/metrics"
)

func options(pairs ...string) Options {
	env := map[string]string{}
	for _, p := range pairs {
		name, value, _ := strings.Cut(p, "=")
		env[name] = value
	}
	return Options{
		Env: func(name string) string { return env[name] }, Registry: metrics.NewRegistry(),
		Logger: slog.New(slog.DiscardHandler), MaxLinks: 256,
	}
}

func start(t *testing.T, o Options) *Providers {
	t.Helper()
	p, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Shutdown(context.Background()) })
	return p
}

func TestTracingIsOffUnlessTheEnvironmentAsks(t *testing.T) {
	t.Parallel()
	for env, on := range map[string]bool{
		"": false, "OTEL_TRACES_EXPORTER=none": false, "OTEL_TRACES_EXPORTER=otlp": true,
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1": true, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://127.0.0.1:1": true,
		"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=http://127.0.0.1:1": false,
	} {
		if got := start(t, options(env)).Tracer() != nil; got != on {
			t.Errorf("with %q tracing is %v, want %v", env, got, on)
		}
	}
}

func TestWrongEnvironmentNamesTheVariable(t *testing.T) {
	t.Parallel()
	for _, env := range []string{"OTEL_TRACES_EXPORTER=jaeger", "OTEL_METRICS_EXPORTER=statsd"} {
		_, err := Start(t.Context(), options(env))
		if err == nil || !strings.Contains(err.Error(), env) {
			t.Errorf("%s: %v", env, err)
		}
	}
	if _, err := Start(t.Context(), options("OTEL_TRACES_EXPORTER=otlp", "OTEL_EXPORTER_OTLP_PROTOCOL=carrier-pigeon")); err == nil {
		t.Error("a protocol that does not exist was accepted")
	}
}

func TestOneInHundredTracesAndParentsDecide(t *testing.T) {
	t.Parallel()
	recorder := tracetest.NewInMemoryExporter()
	provider := newTracerProvider(recorder, options(), resource.Empty())
	defer provider.Shutdown(context.Background()) //nolint:errcheck // a test's end
	tracer, sampled := provider.Tracer("t"), 0
	const n = 20000
	for range n {
		_, span := tracer.Start(t.Context(), "s")
		if span.SpanContext().IsSampled() {
			sampled++
		}
		span.End()
	}
	if sampled < n/200 || sampled > n/50 {
		t.Errorf("%d of %d sampled, want about 1 %%", sampled, n)
	}
	parent := trace.ContextWithRemoteSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}, TraceFlags: trace.FlagsSampled, Remote: true,
	}))
	if _, span := tracer.Start(parent, "s"); !span.SpanContext().IsSampled() {
		t.Error("a sampled parent was not followed")
	}
}

func TestBatchSpanKeepsEveryLink(t *testing.T) {
	t.Parallel()
	o := options()
	o.SampleRatio = 1
	recorder := tracetest.NewInMemoryExporter()
	provider := newTracerProvider(recorder, o, resource.Empty())
	links := make([]trace.Link, o.MaxLinks)
	for i := range links {
		links[i].SpanContext = trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{byte(i), 1}})
	}
	_, span := provider.Tracer("t").Start(t.Context(), "infer", trace.WithLinks(links...))
	span.End()
	if err := provider.ForceFlush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := recorder.GetSpans(); len(got) != 1 || len(got[0].Links) != o.MaxLinks {
		t.Errorf("links are lost: %v", len(got))
	}
}

// stuck is a collector that never answers, until released.
type stuck struct{ release chan struct{} }

func (s *stuck) ExportSpans(context.Context, []sdktrace.ReadOnlySpan) error {
	<-s.release
	return errors.New("gone")
}
func (s *stuck) Shutdown(context.Context) error { return nil }

func TestStuckCollectorDropsAndCountsButNeverBlocks(t *testing.T) {
	t.Parallel()
	o := options("OTEL_BSP_MAX_QUEUE_SIZE=64")
	o.SampleRatio = 1
	collector := &stuck{make(chan struct{})}
	p := &Providers{traces: newTracerProvider(collector, o, resource.Empty()), logger: o.Logger}
	const n = 1000
	for range n {
		_, span := p.Tracer().Start(t.Context(), "s")
		span.End()
	}
	dropped := o.Registry.Counter("sluice_dropped_spans", "").With()
	if got := dropped.Count(); got != n-64 {
		t.Errorf("%d dropped, want all but the queue's 64", got)
	}
	began := time.Now()
	_ = p.Shutdown(t.Context())
	if took := time.Since(began); took > shutdownLimit+time.Second {
		t.Errorf("shutdown took %v", took)
	}
	close(collector.release)
}

func TestDeadCollectorCostsNoTimeAtTheEnd(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") // accepts, never answers
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close() //nolint:errcheck // a test's end
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+listener.Addr().String())
	o := options("OTEL_EXPORTER_OTLP_ENDPOINT=http://"+listener.Addr().String(), "OTEL_METRICS_EXPORTER=otlp")
	o.SampleRatio = 1
	p, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	_, span := p.Tracer().Start(t.Context(), "s")
	span.End()
	began := time.Now()
	_ = p.Shutdown(t.Context())
	if took := time.Since(began); took > shutdownLimit+time.Second {
		t.Errorf("shutdown took %v", took)
	}
}

func TestMetricsHaveExactlyTheirNames(t *testing.T) {
	t.Parallel()
	o := options()
	p := start(t, o)
	o.Registry.Counter("sluice_items", "Items by outcome.", "outcome").With("predicted").Add(3)
	o.Registry.Histogram("sluice_stage_seconds", "Seconds by stage.", metrics.Seconds, "stage").With("infer").Observe(0.002)
	o.Registry.Gauge("sluice_lag_seconds", "Lag.", "topic", "partition").With("a", "0").Set(1.5)

	answer := httptest.NewRecorder()
	p.MetricsHandler().ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	body := answer.Body.String()
	for _, want := range []string{
		"sluice_items_total{outcome=\"predicted\"} 3\n",
		"sluice_stage_seconds_bucket{stage=\"infer\",le=\"0.0001\"} 0\n",
		"sluice_stage_seconds_bucket{stage=\"infer\",le=\"60\"} 1\n",
		"sluice_stage_seconds_sum{stage=\"infer\"} 0.002\n",
		"sluice_lag_seconds{partition=\"0\",topic=\"a\"} 1.5\n",
		"process_resident_memory_bytes ", "go_goroutines ",
	} {
		if !bytes.Contains([]byte(body), []byte(want)) {
			t.Errorf("no %q in\n%s", want, grep(body, "sluice_"))
		}
	}
	for _, noise := range []string{"otel_scope", "target_info"} {
		if strings.Contains(body, noise) {
			t.Errorf("%s in the metrics", noise)
		}
	}
}

func grep(text, prefix string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, prefix) {
			b.WriteString(line)
		}
	}
	return b.String()
}

func TestResourceTakesItsNameFromTheEnvironment(t *testing.T) {
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "team=risk")
	res, err := describe(t.Context(), Options{Version: "1"})
	if err != nil {
		t.Fatal(err)
	}
	if text := res.String(); !strings.Contains(text, "service.name=sluice") || !strings.Contains(text, "team=risk") {
		t.Errorf("resource %s", text)
	}
	t.Setenv("OTEL_SERVICE_NAME", "fraud")
	if res, _ = describe(t.Context(), Options{}); !strings.Contains(res.String(), "service.name=fraud") {
		t.Errorf("resource %s", res)
	}
}
