package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/trace"
)

func TestRepeatedErrorsAreLimitedPerKind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log, err := NewLogger(&out, LogConfig{Format: "json", Level: "info"})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 5 {
			log.Warn("partition stopped", "partition", 1, "error", errors.New(strings.Repeat("x", i)))
			log.With("component", "sink").Warn("partition stopped", "partition", 1)
			log.Info("said each time")
		}
		log.Warn("partition stopped", "partition", 2)
		time.Sleep(repeatEvery)
		log.Warn("partition stopped", "partition", 1)

		if got := strings.Count(out.String(), "partition stopped"); got != 4 {
			t.Errorf("%d lines, want the first of three kinds and one a minute later:\n%s", got, out.String())
		}
		if strings.Count(out.String(), "said each time") != 5 {
			t.Error("information was limited")
		}
		if !strings.Contains(out.String(), `"repeated":4`) {
			t.Errorf("the later line does not say how many it stands for:\n%s", out.String())
		}
	})
}

func TestManyKindsDoNotGrowWithoutBound(t *testing.T) {
	t.Parallel()
	s := &seen{kinds: map[string]*repeat{}}
	for i := range 10 * repeatKinds {
		s.admit(strings.Repeat("k", i%4096), time.Now())
	}
	if len(s.kinds) > repeatKinds {
		t.Errorf("%d kinds kept", len(s.kinds))
	}
}

func TestLogIsJSONWithTraceAwayFromATerminal(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log, err := NewLogger(&out, LogConfig{Format: "auto", Level: "warn"})
	if err != nil {
		t.Fatal(err)
	}
	ctx := trace.ContextWithSpanContext(context.Background(), trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}}))
	log.Info("below the level")
	log.WarnContext(ctx, "w")
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%v in %s", err, out.String())
	}
	if line["level"] != "WARN" || line["msg"] != "w" || line["trace_id"] != "01000000000000000000000000000000" {
		t.Errorf("line %v", line)
	}
	out.Reset()
	text, err := NewLogger(&out, LogConfig{Format: "text", Level: "info"})
	if err != nil {
		t.Fatal(err)
	}
	text.Info("plain")
	if !strings.Contains(out.String(), "msg=plain") {
		t.Errorf("text is %q", out.String())
	}
	if _, err := NewLogger(&out, LogConfig{Level: "loud"}); err == nil {
		t.Error("level loud was accepted")
	}
}
