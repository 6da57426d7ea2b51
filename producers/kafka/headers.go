package kafka

import (
	"slices"
	"strconv"
	"sync"

	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/schemas"
)

// The headers of a prediction.
const (
	headerContentType = "content-type"
	headerTraceParent = "traceparent"
	headerTraceState  = "tracestate"
	headerRequestID   = "x-request-id"
	headerOutcomeID   = "x-outcome-id"
	headerModel       = "x-model"
	headerSource      = "x-source"
	headerRuntime     = "x-runtime"
	headerProvider    = "x-execution-provider"
	headerBatchRows   = "x-batch-rows"
)

// ours are the names that are never copied from an input.
var ours = []string{
	headerContentType, headerTraceParent, headerTraceState, headerOutcomeID, headerModel,
	headerSource, headerRuntime, headerProvider, headerBatchRows,
}

// writer is scratch memory for one record; pooled.
type writer struct {
	rec     Record
	headers []schemas.Header
	buf     []byte
}

var writers = sync.Pool{New: func() any { return new(writer) }}

// clear drops references, so that the pool keeps no item alive.
func (w *writer) clear() {
	w.rec = Record{}
	clear(w.headers[:cap(w.headers)])
}

// headerPlan is what is the same for every prediction.
type headerPlan struct {
	cfg            SinkConfig
	copied         []string
	model, runtime []byte
}

func newHeaderPlan(cfg SinkConfig) headerPlan {
	digest := cfg.ModelSHA256[:min(len(cfg.ModelSHA256), 16)]
	h := headerPlan{
		cfg:     cfg,
		model:   []byte(cfg.ModelName + ":" + cfg.ModelVersion + ":" + digest),
		runtime: []byte(cfg.Runtime),
	}
	for _, name := range append([]string{headerRequestID}, cfg.CopyHeaders...) {
		if !slices.Contains(ours, name) && !slices.Contains(h.copied, name) {
			h.copied = append(h.copied, name)
		}
	}
	return h
}

// prediction builds the headers: the copied ones first, then ours, so that the
// last value of a name is ours. Values alias w and the item.
func (h *headerPlan) prediction(w *writer, it *pipeline.Item) []schemas.Header {
	w.headers, w.buf = w.headers[:0], w.buf[:0]
	for i := range it.Headers {
		if in := &it.Headers[i]; slices.Contains(h.copied, in.Key) {
			value := in.Value[:min(len(in.Value), h.cfg.HeaderValueMax)]
			w.headers = append(w.headers, schemas.Header{Key: in.Key, Value: value})
		}
	}
	w.text(headerContentType, it.ContentType)
	w.text(headerTraceParent, it.TraceParent)
	w.text(headerTraceState, it.TraceState)
	if h.cfg.Lineage != LineageNone {
		h.lineage(w, it)
	}
	return w.headers
}

// lineage says what made the prediction of what.
func (h *headerPlan) lineage(w *writer, it *pipeline.Item) {
	at := len(w.buf)
	w.buf = schemas.OutcomeID(w.buf, h.cfg.ClusterID, it.TopicID, it.Partition, it.Offset, h.cfg.ModelName)
	w.since(headerOutcomeID, at)
	w.headers = append(w.headers, schemas.Header{Key: headerModel, Value: h.model})
	at = len(w.buf)
	w.buf = append(append(w.buf, it.Topic...), '/')
	w.buf = append(strconv.AppendInt(w.buf, int64(it.Partition), 10), '/')
	w.buf = strconv.AppendInt(w.buf, it.Offset, 10)
	w.since(headerSource, at)
	if h.cfg.Lineage == LineageFull {
		w.headers = append(w.headers, schemas.Header{Key: headerRuntime, Value: h.runtime})
		w.text(headerProvider, it.Device)
		at = len(w.buf)
		w.buf = strconv.AppendInt(w.buf, int64(it.BatchRows), 10)
		w.since(headerBatchRows, at)
	}
}

// text adds a header unless it is empty.
func (w *writer) text(key, value string) {
	if value == "" {
		return
	}
	at := len(w.buf)
	w.buf = append(w.buf, value...)
	w.since(key, at)
}

// since adds a header whose value was appended to buf from at on.
func (w *writer) since(key string, at int) {
	w.headers = append(w.headers, schemas.Header{Key: key, Value: w.buf[at:len(w.buf):len(w.buf)]})
}
