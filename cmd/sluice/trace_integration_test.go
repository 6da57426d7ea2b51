//go:build integration

package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// spans is an OTLP collector that keeps what it gets.
type spans struct {
	mu  sync.Mutex
	all []*trace.Span
}

func (s *spans) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var req collector.ExportTraceServiceRequest
	if err != nil || proto.Unmarshal(body, &req) != nil {
		http.Error(w, "no trace export", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rs := range req.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			s.all = append(s.all, ss.Spans...)
		}
	}
}

// traced are records of one trace each: the id tells which.
func (w *world) traced(n int) []*kgo.Record {
	records := w.rows(0, n)
	for i, r := range records {
		r.Headers = []kgo.RecordHeader{
			{Key: "traceparent", Value: fmt.Appendf(nil, "00-%032x-%016x-01", i+1, i+1)},
			{Key: "tracestate", Value: []byte("vendor=1")},
		}
	}
	return records
}

func TestOneTraceRunsFromProducerThroughToConsumer(t *testing.T) {
	t.Parallel()
	const n = 40
	w := newWorld(t, 2)
	w.put(w.traced(n)...)
	kept := &spans{}
	server := httptest.NewServer(kept)
	t.Cleanup(server.Close)
	cmd, r := processWith(t, []string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=" + server.URL, "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", "OTEL_TRACES_SAMPLER=parentbased_always_on",
	}, append([]string{"run"}, w.flags...)...)
	r.await("ready")
	w.settled()
	signalAnd(t, cmd, syscall.SIGTERM)
	if code := <-r.code; code != exitOK {
		t.Fatalf("exit code %d\n%s", code, r.log)
	}

	byTrace, batches := map[string]map[string]*trace.Span{}, map[string]*trace.Span{}
	for _, s := range kept.all {
		if s.Name == "infer affine" {
			batches[hex.EncodeToString(s.SpanId)] = s
			continue
		}
		id := hex.EncodeToString(s.TraceId)
		if byTrace[id] == nil {
			byTrace[id] = map[string]*trace.Span{}
		}
		byTrace[id][s.Name] = s
	}
	if len(byTrace) != n || len(batches) == 0 {
		t.Fatalf("%d traces and %d batch spans, want %d and some", len(byTrace), len(batches), n)
	}
	for id, of := range byTrace {
		checkTrace(t, w, id, of, batches)
	}
	for _, o := range w.outputs() {
		parent, _ := o.Header("traceparent")
		state, _ := o.Header("tracestate")
		parts := strings.Split(string(parent), "-")
		if len(parts) != 4 || byTrace[parts[1]] == nil || string(state) != "vendor=1" {
			t.Fatalf("output has traceparent %q and tracestate %q", parent, state)
		}
		if send := byTrace[parts[1]]["send "+w.out]; send == nil || hex.EncodeToString(send.SpanId) != parts[2] {
			t.Errorf("the output's parent %s is not the send span", parts[2])
		}
	}
}

// checkTrace holds one message's spans against the conventions.
func checkTrace(t *testing.T, w *world, id string, of map[string]*trace.Span, batches map[string]*trace.Span) {
	t.Helper()
	process := of["process "+w.in]
	if process == nil || process.Kind != trace.Span_SPAN_KIND_CONSUMER || hex.EncodeToString(process.ParentSpanId) != id[16:] || len(process.Links) != 1 {
		t.Fatalf("trace %s: no process span with the message as parent and link: %v", id, process)
	}
	for _, name := range []string{"decode", "queue", "batch", "infer", "encode", "send " + w.out} {
		if s := of[name]; s == nil || string(s.ParentSpanId) != string(process.SpanId) {
			t.Errorf("trace %s: no child %q of process: %v", id, name, s)
		}
	}
	infer := of["infer"]
	if infer == nil || len(infer.Links) != 1 {
		t.Fatalf("trace %s: infer has no link to its batch: %v", id, infer)
	}
	batch := batches[hex.EncodeToString(infer.Links[0].SpanId)]
	if batch == nil || len(batch.ParentSpanId) != 0 {
		t.Fatalf("trace %s: infer links to no root batch span", id)
	}
	for _, l := range batch.Links {
		if hex.EncodeToString(l.TraceId) == id {
			return
		}
	}
	t.Errorf("trace %s: its batch does not link back", id)
}

func TestDeadCollectorCostsNothing(t *testing.T) {
	t.Parallel()
	hole, err := net.Listen("tcp", "127.0.0.1:0") // accepts by its backlog, answers never
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = hole.Close() })
	w := newWorld(t, 2)
	w.put(w.traced(500)...)
	cmd, r := processWith(t, []string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + hole.Addr().String(), "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", "OTEL_TRACES_SAMPLER=always_on",
	}, append([]string{"run"}, w.flags...)...)
	r.await("ready")
	w.settled()
	began := time.Now()
	signalAnd(t, cmd, syscall.SIGTERM)
	// 2 s for the spans, and what a busy machine takes for the rest.
	if code := <-r.code; code != exitOK || time.Since(began) > 6*time.Second {
		t.Errorf("exit code %d after %v\n%s", code, time.Since(began), r.log)
	}
	if outputs := w.outputs(); len(outputs) != 500 {
		t.Errorf("%d outputs of 500", len(outputs))
	}
}
