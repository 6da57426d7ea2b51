package pipeline_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/pipeline/pipelinetest"
	"github.com/sluice-ml/sluice/schemas"
)

const (
	traceID = "0af7651916cd43dd8448eb211c80319c"
	spanID  = "b7ad6b7169203331"
)

func header(key, value string) schemas.Header { return schemas.Header{Key: key, Value: []byte(value)} }

// traced runs n items with a sampled parent and returns the spans.
func traced(t *testing.T, n int64, sampler sdktrace.Sampler, flags string) (*rig, tracetest.SpanStubs) {
	t.Helper()
	exporter := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter), sdktrace.WithSampler(sampler))
	r := newRig(pipelinetest.SourceConfig{PerPartition: n, Ordered: true, Value: func(_ int32, offset int64) []byte {
		if offset == 3 {
			return []byte("poison")
		}
		return []byte("1")
	}, Shape: func(it *pipeline.Item) {
		it.Key = []byte("k")
		it.Headers = append(it.Headers, header("traceparent", "00-"+traceID+"-"+spanID+"-"+flags), header("tracestate", "v=1"))
	}})
	r.tel = &pipeline.Telemetry{Tracer: provider.Tracer("test")}
	r.cfg.Destination = func(it *pipeline.Item) string {
		if it.Err != nil {
			return "in.dlq"
		}
		return "out"
	}
	r.run(t)
	return r, exporter.GetSpans()
}

func named(spans tracetest.SpanStubs, name string) (out tracetest.SpanStubs) {
	for _, s := range spans {
		if s.Name == name {
			out = append(out, s)
		}
	}
	return out
}

func TestSpansOfOneItemFormOneTrace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, spans := traced(t, 1, sdktrace.ParentBased(sdktrace.NeverSample()), "01")

		process := named(spans, "process in")
		if len(process) != 1 {
			t.Fatalf("%d process spans, want 1", len(process))
		}
		p := process[0]
		if p.SpanKind != trace.SpanKindConsumer || p.Parent.TraceID().String() != traceID || p.Parent.SpanID().String() != spanID {
			t.Errorf("process span is %v with parent %v, want a consumer below the message's context", p.SpanKind, p.Parent)
		}
		if len(p.Links) != 1 || p.Links[0].SpanContext.SpanID().String() != spanID {
			t.Errorf("process span has links %v, want one to the message's context", p.Links)
		}
		for _, want := range []attribute.KeyValue{
			attribute.String("messaging.system", "kafka"), attribute.String("messaging.operation.name", "process"),
			attribute.String("messaging.operation.type", "process"), attribute.String("messaging.destination.name", "in"),
			attribute.String("messaging.destination.partition.id", "0"), attribute.String("messaging.consumer.group.name", "g"),
			attribute.Int("messaging.kafka.offset", 0), attribute.String("messaging.kafka.message.key", "k"),
		} {
			if !slices.Contains(p.Attributes, want) {
				t.Errorf("process span lacks %v=%v", want.Key, want.Value.String())
			}
		}
		for _, name := range []string{"decode", "queue", "batch", "infer", "encode", "send out"} {
			child := named(spans, name)
			if len(child) != 1 || child[0].Parent.SpanID() != p.SpanContext.SpanID() {
				t.Errorf("%d spans %q below process, want 1", len(child), name)
				continue
			}
			if child[0].StartTime.Before(p.StartTime) || child[0].EndTime.After(p.EndTime) || child[0].EndTime.Before(child[0].StartTime) {
				t.Errorf("span %q lies outside its parent", name)
			}
		}
		send := named(spans, "send out")[0]
		want := "00-" + traceID + "-" + send.SpanContext.SpanID().String() + "-01"
		if o := r.sink.Outcomes()[0]; send.SpanKind != trace.SpanKindProducer || o.TraceParent != want || o.TraceState != "v=1" {
			t.Errorf("outcome has %q and %q, want %q and the tracestate of the input", o.TraceParent, o.TraceState, want)
		}
	})
}

func TestBatchSpanAndItsMembersLinkBothWays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, spans := traced(t, 10, sdktrace.AlwaysSample(), "01")

		members := map[trace.SpanID]bool{}
		batches := map[trace.SpanID]bool{}
		for _, b := range named(spans, "infer m") {
			batches[b.SpanContext.SpanID()] = true
			if b.Parent.IsValid() || b.SpanKind != trace.SpanKindInternal {
				t.Errorf("batch span has parent %v and kind %v, want a root, internal", b.Parent, b.SpanKind)
			}
			for _, l := range b.Links {
				members[l.SpanContext.SpanID()] = true
			}
			if !slices.Contains(b.Attributes, attribute.Int("messaging.batch.message_count", len(b.Links))) {
				t.Errorf("batch span says %v for %d members", b.Attributes, len(b.Links))
			}
		}
		if len(members) != 9 {
			t.Errorf("batch spans link to %d members, want the 9 that ran", len(members))
		}
		for _, p := range named(spans, "process in") {
			failed := p.Status.Code == codes.Error && slices.Contains(p.Attributes, attribute.String("error.type", "undecodable"))
			if members[p.SpanContext.SpanID()] == failed {
				t.Errorf("item ran: %v, marked as failed: %v", members[p.SpanContext.SpanID()], failed)
			}
		}
		for _, i := range named(spans, "infer") {
			if len(i.Links) != 1 || !batches[i.Links[0].SpanContext.SpanID()] {
				t.Errorf("infer span has links %v, want one to its batch", i.Links)
			}
		}
		if len(named(spans, "send in.dlq")) != 1 {
			t.Error("the dead letter has no send span")
		}
	})
}

func TestUnsampledItemsMakeNoSpansButPassTheTraceOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, spans := traced(t, 5, sdktrace.ParentBased(sdktrace.AlwaysSample()), "00")

		if len(spans) != 0 {
			t.Errorf("%d spans, want none: the parent is not sampled", len(spans))
		}
		for _, o := range r.sink.Outcomes() {
			if !strings.HasPrefix(o.TraceParent, "00-"+traceID) || !strings.HasSuffix(o.TraceParent, "-00") {
				t.Errorf("outcome has traceparent %q, want the input's trace, unsampled", o.TraceParent)
			}
		}
	})
}

func TestTracingOffPassesTheContextOn(t *testing.T) {
	t.Parallel()
	valid := "00-" + traceID + "-" + spanID + "-01"
	for name, c := range map[string]struct {
		headers       []schemas.Header
		parent, state string
	}{
		"both":                    {[]schemas.Header{header("traceparent", valid), header("tracestate", "a=b")}, valid, "a=b"},
		"the last value counts":   {[]schemas.Header{header("traceparent", "00-"+traceID+"-aaaaaaaaaaaaaaaa-00"), header("traceparent", valid)}, valid, ""},
		"long state is ignored":   {[]schemas.Header{header("traceparent", valid), header("tracestate", strings.Repeat("a", 513))}, valid, ""},
		"state alone is nothing":  {[]schemas.Header{header("tracestate", "a=b")}, "", ""},
		"upper case is invalid":   {[]schemas.Header{header("traceparent", strings.ToUpper(valid))}, "", ""},
		"zero ids are invalid":    {[]schemas.Header{header("traceparent", "00-"+strings.Repeat("0", 32)+"-"+spanID+"-01")}, "", ""},
		"version ff is invalid":   {[]schemas.Header{header("traceparent", "ff"+valid[2:])}, "", ""},
		"a longer 00 is invalid":  {[]schemas.Header{header("traceparent", valid+"-x")}, "", ""},
		"a later version may be":  {[]schemas.Header{header("traceparent", "01"+valid[2:]+"-x")}, "01" + valid[2:] + "-x", ""},
		"no line breaks in state": {[]schemas.Header{header("traceparent", valid), header("tracestate", "a=b\r\nx: y")}, valid, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(pipelinetest.SourceConfig{PerPartition: 1, Ordered: true, Shape: func(it *pipeline.Item) {
					it.Headers = append(it.Headers, c.headers...)
				}})
				r.run(t)
				if o := r.sink.Outcomes()[0]; o.TraceParent != c.parent || o.TraceState != c.state {
					t.Errorf("outcome has %q and %q, want %q and %q", o.TraceParent, o.TraceState, c.parent, c.state)
				}
			})
		})
	}
}
