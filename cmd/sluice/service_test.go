package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// running is a service in process.
type running struct {
	t    *testing.T
	log  *syncBuffer
	stop context.CancelFunc
	code chan int
}

func start(t *testing.T, args ...string) *running {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r := &running{t: t, log: &syncBuffer{}, stop: stop, code: make(chan int, 1)}
	go func() { // ends with stop
		r.code <- run(ctx, append([]string{"run"}, args...), strings.NewReader(""), io.Discard, r.log, nil)
	}()
	t.Cleanup(stop)
	return r
}

// line is the last log line of a message, nil without one.
func (r *running) line(message string) map[string]any {
	var found map[string]any
	for text := range strings.Lines(r.log.String()) {
		var fields map[string]any
		if json.Unmarshal([]byte(text), &fields) == nil && fields["msg"] == message {
			found = fields
		}
	}
	return found
}

func (r *running) await(message string) map[string]any {
	r.t.Helper()
	defer func() {
		if r.t.Failed() {
			r.t.Log(r.log.String())
		}
	}()
	eventually(r.t, "log message "+message, func() bool { return r.line(message) != nil })
	return r.line(message)
}

func (r *running) end(want int) {
	r.t.Helper()
	r.stop()
	select {
	case code := <-r.code:
		if code != want {
			r.t.Errorf("exit code %d, want %d\n%s", code, want, r.log)
		}
	case <-time.After(30 * time.Second):
		r.t.Fatalf("did not end within 30 s\n%s", r.log)
	}
}

// fetch reads a page of the admin server.
func fetch(t *testing.T, url string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close() //nolint:errcheck // read to its end
	text, err := io.ReadAll(answer.Body)
	overhear(request.URL.Path, text)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

func TestServicePredictsDeadLettersAndDrains(t *testing.T) {
	t.Parallel()
	b := cluster(t, "in", "in.dlq", "out")
	var records []*kgo.Record
	for i := range 200 {
		records = append(records, &kgo.Record{Topic: "in", Partition: int32(i % 2), Key: fmt.Append(nil, "k", i), Value: fmt.Appendf(nil, `{"id":%d,"x":[1,2,3,%d]}`, i, i)})
	}
	records = append(records, &kgo.Record{Topic: "in", Value: []byte("poison")}, &kgo.Record{Topic: "in", Value: nil})
	produce(t, b, records...)

	s := start(t, "-c", configFile(t, b), "--set", "input.tombstones=skip", "--set", "admin.health_listen=127.0.0.1:0")
	ready := s.await("ready")
	if ready["group"] != "g" || ready["member"] == "" || ready["partitions"] != 2.0 {
		t.Errorf("ready says %v", ready)
	}
	ids := map[string]bool{}
	for _, rec := range consume(t, b, "out", 200) {
		var result struct {
			ID      int
			Outputs map[string][]float64
		}
		if err := json.Unmarshal(rec.Value, &result); err != nil {
			t.Fatal(err)
		}
		ids[string(rec.Key)] = true
		if y := result.Outputs["y"]; len(y) != 4 || y[0] != 3 || y[3] != 2*float64(result.ID)+1 {
			t.Errorf("id %d has %v, want 2x+1", result.ID, y)
		}
	}
	if len(ids) != 200 {
		t.Errorf("%d keys in the output, want 200", len(ids))
	}
	if dead := consume(t, b, "in.dlq", 1); string(dead[0].Value) != "poison" {
		t.Errorf("dead letter %q", dead[0].Value)
	}
	base := "http://" + s.await("admin listening")["addr"].(string)
	checkAdmin(t, base)
	checkHealth(t, "http://"+s.await("health listening")["addr"].(string))
	s.end(exitOK)
	stopped := s.line("stopped")
	for name, want := range map[string]float64{"predicted": 200, "dead_lettered": 1, "expired": 0, "skipped": 1, "abandoned": 0} {
		if stopped[name] != want {
			t.Errorf("stopped says %s = %v, want %v", name, stopped[name], want)
		}
	}
	for _, text := range []string{`"onnxruntime":"1.`, `"sha256":"f6c87688`} {
		if !strings.Contains(s.log.String(), text) {
			t.Errorf("no %s in the log", text)
		}
	}
}

func checkAdmin(t *testing.T, base string) {
	t.Helper()
	for path, want := range map[string]string{
		"/livez": "ok", "/readyz": `"ready":true`, "/readyz?strict=1": `"ready":true`,
		"/v2": `"name":"sluice"`, "/v2/health/live": `"live":true`, "/v2/health/ready": `"ready":true`,
		"/v2/models/affine":            `"inputs":[{"name":"x","datatype":"FP32","shape":[-1,4]}]`,
		"/v2/models/affine/versions/1": `"platform":"onnxruntime_onnx"`, "/v2/models/affine/ready": `"ready":true`,
		"/metrics": `sluice_items_total{outcome="predicted"} 200`, "/status": `"state":"ready"`,
		"/": "<title>sluice: ready</title>",
	} {
		if status, body := fetch(t, base+path); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d, no %s in %s", path, status, want, body)
		}
	}
	for _, path := range []string{"/v2/models/other", "/v2/models/affine/versions/2", "/nope", "/debug/pprof/"} {
		if status, _ := fetch(t, base+path); status != http.StatusNotFound {
			t.Errorf("%s: %d, want 404", path, status)
		}
	}
	for _, want := range []string{"in/0", "in/1", "affine", "publish", "predicted"} {
		if _, page := fetch(t, base+"/"); !strings.Contains(strings.ToLower(page), want) {
			t.Errorf("the page does not show %q", want)
		}
	}
}

func checkHealth(t *testing.T, base string) {
	t.Helper()
	for path, want := range map[string]int{"/livez": 200, "/readyz": 200, "/metrics": 200, "/": 404, "/status": 404, "/v2/models/affine": 404} {
		if status, _ := fetch(t, base+path); status != want {
			t.Errorf("health address %s: %d, want %d", path, status, want)
		}
	}
}

func TestStartRefusesWithTheCureAndTheExitCode(t *testing.T) {
	t.Parallel()
	b := cluster(t, "in", "in.dlq", "out")
	file := configFile(t, b)
	for set, c := range map[string]struct {
		code int
		text string
	}{
		"kafka.brokers=127.0.0.1:1":               {exitDependency, "check kafka.brokers"},
		"output.topic=nope":                       {exitDependency, "--create --topic nope --partitions 2"},
		"dead_letter.topic=nope":                  {exitDependency, `dead-letter topic \"nope\" does not exist`},
		"input.topics=nope":                       {exitDependency, `input topic \"nope\" does not exist`},
		"runtime.library=/nope.so":                {exitDependency, "make build"},
		"model.path=/nope.onnx":                   {exitUsage, "model not found"},
		"model.sha256=" + strings.Repeat("0", 64): {exitUsage, "sha256"},
		"model.inputs.other=/x":                   {exitUsage, `inputs maps`},
		"model.labels=nope":                       {exitUsage, "neither a file nor an output of the model; its outputs are y"},
		"output.raw=nope":                         {exitUsage, "raw"},
		"admin.listen=" + b:                       {exitFailure, "port 0 for a free one"},
	} {
		t.Run(strings.Split(set, "=")[0], func(t *testing.T) {
			t.Parallel()
			args := []string{"-c", file, "--set", "startup.wait=100ms", "--set", set}
			if strings.HasPrefix(set, "output.raw") {
				args = append(args, "--set", "output.codec=raw")
			}
			s := start(t, args...)
			code := <-s.code
			if code != c.code || !strings.Contains(s.log.String(), c.text) {
				t.Errorf("exit code %d, want %d with %q in\n%s", code, c.code, c.text, s.log)
			}
		})
	}
}

func TestStopDuringTheStartIsClean(t *testing.T) {
	t.Parallel()
	s := start(t, "-c", configFile(t, "127.0.0.1:1"), "--set", "startup.wait=1m")
	base := "http://" + s.await("admin listening")["addr"].(string)
	s.await("waiting for brokers and topics")
	if status, body := fetch(t, base+"/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "starting") {
		t.Errorf("readyz while starting: %d %s", status, body)
	}
	if status, _ := fetch(t, base+"/livez"); status != http.StatusOK {
		t.Errorf("livez while starting: %d", status)
	}
	if status, body := fetch(t, base+"/"); status != http.StatusOK || !strings.Contains(body, "sluice: starting") {
		t.Errorf("page while starting: %d %s", status, body)
	}
	s.end(exitOK)
	if s.line("stopped") == nil {
		t.Errorf("no stopped in the log\n%s", s.log)
	}
}

func TestTopicsMayComeWhileItWaits(t *testing.T) {
	t.Parallel()
	b := cluster(t, "in", "in.dlq")
	s := start(t, "-c", configFile(t, b), "--set", "startup.wait=30s")
	s.await("waiting for brokers and topics")
	createTopic(t, b, "out")
	s.await("ready")
	s.end(exitOK)
}

func TestDrainLimitExceededFailsAndSaysWhatIsLeft(t *testing.T) {
	t.Parallel()
	b := cluster(t, "in", "in.dlq", "out")
	model, err := filepath.Abs("../../pipeline/onnx/testdata/zoo/slow_loop.onnx")
	if err != nil {
		t.Fatal(err)
	}
	x := strings.TrimSuffix(strings.Repeat("0,", 256), ",")
	produce(t, b, &kgo.Record{Topic: "in", Value: []byte(`{"x":[` + x + `],"n":2000000000}`)})
	s := start(t, "-c", configFile(t, b), "--set", "model.path="+model, "--set", "model.name=slow",
		"--set", "shutdown.drain_timeout=100ms", "--set", "log.level=debug")
	base := "http://" + s.await("admin listening")["addr"].(string)
	s.await("ready")
	eventually(t, "one item in flight", func() bool {
		_, body := fetch(t, base+"/metrics")
		return strings.Contains(body, "sluice_in_flight_items 1")
	})
	s.end(exitFailure)
	if text := s.log.String(); !strings.Contains(text, "1 items are left uncommitted") || s.line("stopped")["abandoned"] != 1.0 {
		t.Errorf("does not say what is left:\n%s", text)
	}
}

func TestReplacedByAnotherOfItsNameFails(t *testing.T) {
	t.Parallel()
	b := cluster(t, "in", "in.dlq", "out")
	file := configFile(t, b)
	first := start(t, "-c", file, "--set", "input.instance=one", "--set", "input.session_timeout=6s")
	first.await("ready")
	second := start(t, "-c", file, "--set", "input.instance=one", "--set", "input.session_timeout=6s")
	second.await("ready")
	select {
	case code := <-first.code:
		if code != exitFailure || !strings.Contains(first.log.String(), "another process took the instance name") {
			t.Errorf("exit code %d\n%s", code, first.log)
		}
	case <-time.After(30 * time.Second):
		t.Errorf("the first goes on beside the second\n%s", first.log)
	}
	second.end(exitOK)
}

func TestNumbersAreReadable(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		groupDigits(int64(1234567)): "1,234,567", groupDigits(999): "999", groupDigits(-1000): "-1,000",
		readableSeconds(0): "0", readableSeconds(0.00025): "250 µs", readableSeconds(0.0125): "12.5 ms",
		readableSeconds(3): "3 s", readableSeconds(3725): "1h2m5s", readableRate(3.25): "3.2", readableRate(12345.6): "12,346",
		sparkline([]float64{0, 2}): "238,46.0 240,2.0 ", preview([]byte("a\x00é"), 3): `a\x00...`,
		preview([]byte{0xff, 0xfe}, 9): "base64://4=", preview(nil, 9): "null",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestAModelThatHangsDoesNotKeepTheProcess(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	hang := make(chan struct{})
	defer close(hang)
	if err := within(ctx, func() error { <-hang; return nil }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a close that hangs: %v", err)
	}
	failure := errors.New("failure")
	if err := within(t.Context(), func() error { return failure }); !errors.Is(err, failure) {
		t.Errorf("a close that fails: %v", err)
	}
}
