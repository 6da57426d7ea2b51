package main

import (
	"encoding/binary"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-ml/sluice/deploy/bench/lab"
	"github.com/sluice-ml/sluice/deploy/bench/stats"
	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/pipeline/onnx"
	"github.com/sluice-ml/sluice/schemas"
)

// rehearsal is a small bench on the CPU: a tiny model, few rows, short legs.
func rehearsal(t *testing.T) *bench {
	t.Helper()
	payload, err := lab.PayloadNamed("raw")
	if err != nil {
		t.Fatal(err)
	}
	small := *payload
	small.Distinct = 101
	library, err := onnx.FindLibrary("")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	return &bench{
		Lab:    &lab.Lab{Zoo: filepath.Join("..", "..", "..", "pipeline", "onnx", "testdata", "zoo"), Work: dir},
		device: "cpu", library: library, raw: buildRaw(t, dir), payload: &small, batches: []int{1, 4}, workers: []int{1, 2},
		rounds: 2, seconds: 0.05, inFlight: 8, tolerance: lab.Tolerance, out: filepath.Join(dir, "page.md"),
		reference: writeReference(t, &small, library), log: t.Logf,
	}
}

// buildRaw compiles raw_ort as the Makefile does.
func buildRaw(t *testing.T, dir string) string {
	t.Helper()
	header, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/yalue/onnxruntime_go").Output()
	if err != nil {
		t.Fatal(err)
	}
	cc := os.Getenv("CC")
	if cc == "" {
		cc = "cc"
	}
	raw := filepath.Join(dir, "raw_ort")
	out, err := exec.CommandContext(t.Context(), cc, "-O2", "-Wall", "-Wextra", "-Werror", "-I", strings.TrimSpace(string(header)),
		"-o", raw, "raw_ort/raw_ort.c", "raw_ort/transfer.c", "-ldl", "-lpthread", "-lm").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return raw
}

// writeReference makes what Python makes elsewhere: each row's outputs, run alone.
func writeReference(t *testing.T, p *lab.Payload, library string) string {
	t.Helper()
	if _, err := onnx.Init(library); err != nil {
		t.Fatal(err)
	}
	m, err := onnx.Load(t.Context(), onnx.Config{Path: filepath.Join("..", "..", "..", "pipeline", "onnx", "testdata", "zoo", p.Model), MaxRows: 1, Workers: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close() //nolint:errcheck // returns nil
	l := &lab.Lab{Dir: t.TempDir()}
	if err := l.Offline(); err != nil {
		t.Fatal(err)
	}
	var data []byte
	value := l.Rows(p)
	for i := range p.Distinct {
		it := &pipeline.Item{Req: schemas.Request{Rows: 1, Inputs: []schemas.Tensor{{Name: "h0", Type: schemas.FP32, Shape: []int64{1, 784}, Data: value(i)}}}}
		if err := m.Run(t.Context(), &pipeline.Batch{Items: []*pipeline.Item{it}, Rows: 1}); err != nil || it.Err != nil {
			t.Fatal(err, it.Err)
		}
		for out := it.Res.Outputs[0].Data; len(out) > 0; out = out[4:] {
			v := math.Float32frombits(binary.LittleEndian.Uint32(out))
			data = binary.LittleEndian.AppendUint64(data, math.Float64bits(float64(v)))
		}
	}
	path := filepath.Join(t.TempDir(), "reference")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestRehearsal is the whole command on the CPU, but for Kafka.
func TestRehearsal(t *testing.T) {
	t.Parallel()
	b := rehearsal(t)
	if err := b.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(b.out)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"A rehearsal on the CPU", "| no GPU |", rawCopies, rawResident, ours(1), ours(2), pageable, closedTuned, closedOne,
		"bound 2/2 | device 1/1", "Pinned over pageable memory in sluice: ", "2 rounds)", "Transfers of 64 MiB",
	} {
		if !strings.Contains(string(page), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, wrong := range []string{"NaN", "MET", "| 0 |"} {
		if strings.Contains(string(page), wrong) {
			t.Errorf("the page has %q", wrong)
		}
	}
	if t.Failed() {
		t.Log(string(page))
	}
}

func TestWrongOutputsHaveNoFigure(t *testing.T) {
	t.Parallel()
	b := rehearsal(t)
	if err := b.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer b.close(t.Context())
	s := setup{2, 4, hostPinned}
	d, err := b.drain(t.Context(), s, 16)
	if err != nil || d.rate <= 0 || d.p95 <= 0 || d.batch < 1 || d.batch > 4 {
		t.Fatalf("drain() = %+v, %v", d, err)
	}
	b.want[7][3] += 0.01
	if _, err := b.drain(t.Context(), s, 16); err == nil || !strings.Contains(err.Error(), "output of r7: number 3") {
		t.Errorf("drain() with another reference = %v", err)
	}
}

// A late batch lets the outcomes behind it come all at once.
func TestRateIsOfTheWholeTime(t *testing.T) {
	t.Parallel()
	s := newSink()
	if got := s.rate(); got != 0 {
		t.Errorf("rate() of nothing = %g", got)
	}
	for i := range int64(1000) {
		s.kept = append(s.kept, outcome{at: 2e9 + i - 999})
	}
	if got := s.rate(); got != 500 {
		t.Errorf("rate() of 1000 outcomes after 2 s = %g, want 500", got)
	}
}

func TestVerdictTakesTheUnfavourableEnd(t *testing.T) {
	t.Parallel()
	p := &page{bench: &bench{device: "cuda:0"}}
	e := stats.Estimate{Median: 0.95, Low: 0.91, High: 0.99, N: 7}
	for _, c := range []struct {
		bound  float64
		atMost bool
		want   string
	}{{0.92, false, "NOT MET"}, {0.9, false, "MET"}, {0.98, true, "NOT MET"}, {1, true, "MET"}} {
		if got := p.verdict(e, c.bound, c.atMost); got != c.want {
			t.Errorf("verdict(%v, %v, at most: %t) = %s", e, c.bound, c.atMost, got)
		}
	}
	p.device = "cpu"
	if got := p.verdict(e, 0.9, false); got != "no GPU" {
		t.Errorf("a rehearsal has the verdict %s", got)
	}
}

func TestWithoutGPUTheCureIsTold(t *testing.T) {
	t.Parallel()
	if gpus, _ := filepath.Glob("/dev/nvidia[0-9]*"); len(gpus) > 0 {
		t.Skip("this machine has a GPU")
	}
	_, err := parse(nil)
	if err == nil || !strings.Contains(err.Error(), "no NVIDIA GPU") || !strings.Contains(err.Error(), "-device cpu") {
		t.Errorf("parse() = %v", err)
	}
	b, err := parse([]string{"-device", "cpu", "-batches", "1,3"})
	if err != nil || !strings.HasSuffix(b.out, "gpu-rehearsal.md") || len(b.batches) != 2 {
		t.Errorf("parse(-device cpu) = %+v, %v", b, err)
	}
	if _, err := parse([]string{"-device", "gpu"}); err == nil {
		t.Error("parse(-device gpu) = nil error")
	}
}
