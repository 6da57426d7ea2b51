package pipeline

import (
	"context"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// tracing makes the spans: per item `process <topic>` with its children, per
// batch a root `infer <model>`, linked both ways. The hot path only stamps
// times; children are made when the item ends. A nil tracing passes the input's
// context on and makes none.
type tracing struct {
	tracer trace.Tracer
	cfg    Config
}

// itemTrace is what a recorded item carries.
type itemTrace struct {
	process trace.Span
	send    trace.Span        // from delivery on
	batch   trace.SpanContext // the run's own span
}

func newTracing(cfg Config, tracer trace.Tracer) *tracing {
	if tracer == nil {
		return nil
	}
	return &tracing{tracer: tracer, cfg: cfg}
}

func at(nanos int64) trace.SpanEventOption { return trace.WithTimestamp(time.Unix(0, nanos)) }

// root is an empty context to hang a parent on: spans are made from stamps, long
// after any context of theirs.
func root(parent trace.SpanContext) context.Context {
	return trace.ContextWithSpanContext(context.TODO(), parent)
}

// begin starts the item's process span, so that its context exists before the
// batch's; whether it is recorded is the sampler's choice.
func (t *tracing) begin(it *Item) {
	it.passOn()
	if t == nil {
		return
	}
	remote := it.remoteContext()
	opts := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindConsumer), at(it.FetchedAt)}
	if remote.IsValid() {
		opts = append(opts, trace.WithLinks(trace.Link{SpanContext: remote}))
	}
	_, span := t.tracer.Start(root(remote), "process "+it.Topic, opts...)
	if !span.IsRecording() {
		if span.SpanContext().IsValid() {
			it.setContext(span.SpanContext())
		}
		span.End()
		return
	}
	span.SetAttributes(t.attributes("process")...)
	span.SetAttributes(
		semconv.MessagingDestinationName(it.Topic),
		semconv.MessagingDestinationPartitionID(strconv.Itoa(int(it.Partition))),
		semconv.MessagingKafkaOffset(int(it.Offset)))
	if it.Key != nil {
		span.SetAttributes(semconv.MessagingKafkaMessageKey(cleanText(string(it.Key))))
	}
	it.state.trace = &itemTrace{process: span}
}

func (t *tracing) attributes(operation string) []attribute.KeyValue {
	return []attribute.KeyValue{
		semconv.MessagingSystemKafka,
		attribute.String("messaging.operation.name", operation),
		attribute.String("messaging.operation.type", operation),
		attribute.String("messaging.consumer.group.name", t.cfg.Group),
	}
}

// batch makes the run's span: a root that links to its members.
func (t *tracing) batch(items []*Item, reason DispatchReason) {
	if t == nil {
		return
	}
	var links []trace.Link
	for _, it := range items {
		if it.state.trace != nil {
			links = append(links, trace.Link{SpanContext: it.state.trace.process.SpanContext()})
		}
	}
	if len(links) == 0 {
		return
	}
	_, span := t.tracer.Start(root(trace.SpanContext{}), "infer "+t.cfg.ModelName,
		trace.WithNewRoot(), trace.WithLinks(links...), at(items[0].state.inferAt),
		trace.WithAttributes(semconv.MessagingBatchMessageCount(len(items)),
			attribute.String("sluice.batch.reason", string(reason)), attribute.Int("sluice.batch.rows", rowsOf(items)),
			attribute.String("sluice.model.name", t.cfg.ModelName), attribute.String("sluice.model.version", t.cfg.ModelVersion)))
	for _, it := range items {
		if it.state.trace != nil {
			it.state.trace.batch = span.SpanContext()
		}
	}
	span.End(at(items[0].state.inferredAt))
}

// send starts the send span: its context goes into the outcome's headers.
func (t *tracing) send(it *Item) {
	if t == nil || it.state.trace == nil {
		return
	}
	name, topic := "send", ""
	if t.cfg.Destination != nil {
		topic = t.cfg.Destination(it)
		name += " " + topic
	}
	_, span := t.tracer.Start(root(it.state.trace.process.SpanContext()), name,
		trace.WithSpanKind(trace.SpanKindProducer), at(it.state.sentAt))
	span.SetAttributes(t.attributes("send")...)
	if topic != "" {
		span.SetAttributes(semconv.MessagingDestinationName(topic))
	}
	it.setContext(span.SpanContext())
	it.state.trace.send = span
}

// end makes the children of a recorded item from its stamps and ends its spans.
func (t *tracing) end(it *Item, outcome Outcome) {
	tr := it.state.trace
	if t == nil || tr == nil {
		return
	}
	st := &it.state
	last := max(it.FetchedAt, st.decodedAt, st.inferredAt, st.encodedAt, st.sentAt, it.ProducedAt)
	if outcome == Abandoned {
		last = now()
	}
	t.child(tr, "decode", st.decodeAt, st.decodedAt)
	if st.inferAt > 0 {
		t.child(tr, "batch", st.decodedAt, st.readyAt)
		t.child(tr, "queue", max(st.decodedAt, st.readyAt), st.inferAt)
		if tr.batch.IsValid() {
			t.child(tr, "infer", st.inferAt, st.inferredAt, trace.WithLinks(trace.Link{SpanContext: tr.batch}))
		}
		t.child(tr, "encode", st.inferredAt, st.encodedAt)
	}
	tr.process.SetAttributes(attribute.String("sluice.outcome", outcome.String()))
	if it.Err != nil {
		tr.process.SetAttributes(semconv.ErrorTypeKey.String(string(it.Err.Class)))
		tr.process.SetStatus(codes.Error, it.Err.Message)
	}
	if tr.send != nil {
		tr.send.End(at(last))
	}
	tr.process.End(at(last))
}

// child is a span between two stamps; without the first the stage was not passed.
func (t *tracing) child(tr *itemTrace, name string, from, to int64, opts ...trace.SpanStartOption) {
	if from == 0 {
		return
	}
	opts = append(opts, at(from))
	_, span := t.tracer.Start(root(tr.process.SpanContext()), name, opts...)
	span.End(at(max(from, to)))
}
