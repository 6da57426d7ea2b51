package onnx

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-ml/sluice/internal/metrics"
	"github.com/sluice-ml/sluice/pipeline"
)

func TestFindLibrary(t *testing.T) {
	dir := t.TempDir()
	lib := filepath.Join(dir, "onnxruntime", LibraryVersion, libraryName)
	t.Setenv("SLUICE_RUNTIME_LIBRARY", "")
	t.Setenv("SLUICE_CACHE", dir)

	if _, err := FindLibrary(""); !errors.Is(err, ErrNoLibrary) || !strings.Contains(err.Error(), "make build") || !strings.Contains(err.Error(), lib) {
		t.Errorf("FindLibrary() in an empty cache = %v; want the path and the cure", err)
	}
	writeFile(t, lib, "")
	if got, err := FindLibrary(""); err != nil || got != lib {
		t.Errorf("FindLibrary() = %q, %v; want the cache's", got, err)
	}
	env := filepath.Join(dir, "env.so")
	writeFile(t, env, "")
	t.Setenv("SLUICE_RUNTIME_LIBRARY", env)
	if got, err := FindLibrary(""); err != nil || got != env {
		t.Errorf("FindLibrary() = %q, %v; want the environment's", got, err)
	}
	if got, err := FindLibrary(lib); err != nil || got != lib {
		t.Errorf("FindLibrary(explicit) = %q, %v", got, err)
	}
	if _, err := FindLibrary(filepath.Join(dir, "absent.so")); !errors.Is(err, ErrNoLibrary) {
		t.Errorf("FindLibrary(absent) = %v: an explicit path is not replaced by another", err)
	}
	if _, err := FindLibrary(dir); !errors.Is(err, ErrNoLibrary) {
		t.Errorf("FindLibrary(folder) = %v", err)
	}
	t.Setenv("SLUICE_RUNTIME_LIBRARY", "")
	t.Setenv("SLUICE_CACHE", "")
	t.Setenv("XDG_CACHE_HOME", filepath.Join(dir, "xdg"))
	want := filepath.Join(dir, "xdg", "sluice", "onnxruntime", LibraryVersion, libraryName)
	writeFile(t, want, "")
	if got, err := FindLibrary(""); err != nil || got != want {
		t.Errorf("FindLibrary() = %q, %v; want %q", got, err, want)
	}
}

func TestInitIsOncePerProcess(t *testing.T) {
	t.Parallel()
	startRuntime(t)
	path, err := FindLibrary("")
	if err != nil {
		t.Fatal(err)
	}
	if v, err := Init(path); err != nil || v != RuntimeVersion() || v == "" {
		t.Errorf("Init() again = %q, %v", v, err)
	}
	if _, err := Init("/another/library.so"); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("Init(another) = %v; want the loaded one named", err)
	}
	if os.Getenv("ORT_DISABLE_TELEMETRY") != "1" {
		t.Error("the runtime's telemetry is not switched off")
	}
}

func TestRuntimeVersionIsChecked(t *testing.T) {
	t.Parallel()
	for version, ok := range map[string]bool{"1.26.0": true, "1.27.0": true, "1.30.1": true, "2.0.0": true, "1.25.9": false, "1.9.0": false, "": false, "x.y": false} {
		if err := checkVersion(version); (err == nil) != ok {
			t.Errorf("checkVersion(%q) = %v", version, err)
		}
	}
}

func TestConfigNamesTheKey(t *testing.T) {
	t.Parallel()
	for key, cfg := range map[string]Config{
		"model.path":           {},
		"model.workers":        {Path: "x", Workers: -1},
		"model.batch.max_rows": {Path: "x", MaxRows: -1},
		"host memory":          {Path: "x", HostMemory: "gpu"},
		"model.run_timeout":    {Path: "x", RunTimeout: -1},
		"model.sha256":         {Path: "x", SHA256: "abc"},
		"model.independent":    {Path: "x", Independent: "perhaps"},
		"model.device":         {Path: "x", Device: "gpu"},
	} {
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("Validate() = %v, want %s named", err, key)
		}
	}
}

func TestLoadVerifiesTheDigest(t *testing.T) {
	t.Parallel()
	startRuntime(t)
	sum, err := digest(zooFile("affine"), "")
	if err != nil {
		t.Fatal(err)
	}
	m := load(t, "affine", func(c *Config) { c.SHA256 = strings.ToUpper(sum) })
	if m.SHA256 != sum || m.Name != "affine" || m.Version != "1" || m.Device != "cpu" || m.RuntimeVersion == "" || m.Workers() != 2 {
		t.Errorf("model %s:%s %s on %s by %s with %d workers", m.Name, m.Version, m.SHA256, m.Device, m.RuntimeVersion, m.Workers())
	}
	_, err = Load(t.Context(), Config{Path: zooFile("affine"), SHA256: strings.Repeat("00", 32)}, nil)
	if err == nil || !strings.Contains(err.Error(), sum) {
		t.Errorf("Load(wrong digest) = %v; want the file's own named", err)
	}
}

func TestLoadErrorsSayWhat(t *testing.T) {
	t.Parallel()
	startRuntime(t)
	dir := t.TempDir()
	empty, garbage := filepath.Join(dir, "empty.onnx"), filepath.Join(dir, "garbage.onnx")
	writeFile(t, empty, "")
	writeFile(t, garbage, "this is not a model")
	for path, want := range map[string]string{
		filepath.Join(dir, "absent.onnx"): "absent.onnx",
		dir:                               "no version folder",
		empty:                             "is empty",
		garbage:                           "not an ONNX file",
	} {
		if _, err := Load(t.Context(), Config{Path: path}, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Load(%s) = %v, want %q", path, err, want)
		}
	}
}

func TestLoadEndsWithItsContext(t *testing.T) {
	t.Parallel()
	startRuntime(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Load(ctx, Config{Path: zooFile("affine")}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Load() = %v, want context.Canceled", err)
	}
}

func TestIndependentOverridesTheProbe(t *testing.T) {
	t.Parallel()
	startRuntime(t)
	for _, c := range []struct{ model, independent, verdict, reason string }{
		{"affine", "false", VerdictAlone, "configured"},
		{"batch_coupled", "true", VerdictBatched, ""},
		{"rank0_input", "true", VerdictAlone, "shared_input"},
		{"row_dropped", "true", VerdictRefused, "rows_dropped"},
		{"detect_nms", "true", VerdictAlone, "data_dependent_rows"},
	} {
		r, err := Inspect(t.Context(), Config{Path: zooFile(c.model), Independent: c.independent})
		if err != nil {
			t.Fatal(err)
		}
		if r.Verdict != c.verdict || !strings.HasPrefix(r.Reason, c.reason) {
			t.Errorf("%s with independent: %s is %s (%s), want %s (%s)", c.model, c.independent, r.Verdict, r.Reason, c.verdict, c.reason)
		}
	}
}

// triton lays affine out as versions of a repository.
func triton(t *testing.T, config string, versions ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "fraud")
	data, err := os.ReadFile(zooFile("affine"))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range versions {
		writeFile(t, filepath.Join(dir, v, "model.onnx"), string(data))
	}
	if config != "" {
		writeFile(t, filepath.Join(dir, "config.pbtxt"), config)
	}
	return dir
}

func TestRepositoryVersions(t *testing.T) {
	t.Parallel()
	dir := triton(t, "", "1", "9", "10", "02", "notes")
	for version, want := range map[string]string{"": "10", "latest": "10", "9": "9"} {
		loc, err := locate(&Config{Path: dir, Version: version})
		if err != nil || loc.version != want || loc.name != "fraud" || loc.file != filepath.Join(dir, want, "model.onnx") {
			t.Errorf("locate(version %q) = %+v, %v; want %s", version, loc, err, want)
		}
	}
	for _, version := range []string{"2", "newest"} {
		if _, err := locate(&Config{Path: dir, Version: version}); err == nil {
			t.Errorf("locate(version %q) = nil error", version)
		}
	}
	if _, err := locate(&Config{Path: zooFile("affine"), Version: "3"}); !errors.Is(err, ErrNoModel) {
		t.Errorf("locate(version 3 of a file) = %v, want ErrNoModel", err)
	}
}

func TestModelConfigIsHonouredAndTheRestNamed(t *testing.T) {
	t.Parallel()
	startRuntime(t)
	dir := triton(t, `
name: "scorer"          # the name in results
platform: 'onnxruntime_onnx'
max_batch_size : 4
input [ { name: "x" data_type: TYPE_FP32 dims: [ 4 ] } ]
output [
  { name: "y", data_type: TYPE_FP32, dims: [4], label_filename: "labels.txt" }
]
dynamic_batching { preferred_batch_size: [ 2, 4 ] max_queue_delay_microseconds: 100 }
instance_group [ { count: 2 kind: KIND_CPU } ]
`, "1")
	writeFile(t, filepath.Join(dir, "labels.txt"), "ham\r\nspam\n")
	var logged bytes.Buffer
	tel := &pipeline.Telemetry{Logger: slog.New(slog.NewTextHandler(&logged, nil))}
	m, err := Load(t.Context(), Config{Path: dir, MaxRows: 100}, tel)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = m.Close() }()
	if m.Name != "scorer" || m.maxRows != 4 || !slices.Equal(m.Labels, []string{"ham", "spam"}) {
		t.Errorf("name %q, max rows %d, labels %q", m.Name, m.maxRows, m.Labels)
	}
	for _, want := range []string{"dynamic_batching", "instance_group", "sha256=" + m.SHA256, "version=1"} {
		if !strings.Contains(logged.String(), want) {
			t.Errorf("the log does not name %s:\n%s", want, logged.String())
		}
	}
}

func TestMaxBatchSizeZeroRunsAlone(t *testing.T) {
	t.Parallel()
	startRuntime(t)
	r, err := Inspect(t.Context(), Config{Path: triton(t, "max_batch_size: 0", "1")})
	if err != nil || r.Verdict != VerdictAlone || !strings.Contains(r.Reason, "max_batch_size") {
		t.Errorf("Inspect() = %+v, %v; want alone, because of max_batch_size", r, err)
	}
}

func TestModelConfigErrors(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"max_batch_size: many":          "max_batch_size",
		`platform: "tensorrt_plan"`:     "tensorrt_plan",
		"input [ {":                     "not closed",
		"name: \"a":                     "quote",
		"name:":                         "no value",
		"\n\n?":                         "line 3",
		strings.Repeat("a {", 200):      "nested too deep",
		`name: "\z"`:                    "quoted",
		"output { label_filename: [ }":  "no value",
		"a: 1 }":                        "not a field's name",
		"parameters { key: 'x' value: ": "no value",
	} {
		if _, err := parseModelConfig(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("parseModelConfig(%.30q) = %v, want %q", text, err, want)
		}
	}
}

func FuzzModelConfig(f *testing.F) {
	f.Add("name: \"a\" max_batch_size: 8 output { label_filename: 'l' }")
	f.Add("input [ { dims: [ 1, 2 ] } ] # c\nx < y: z >")
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := parseModelConfig(text); (c == nil) == (err == nil) {
			t.Errorf("parseModelConfig(%q) = %v, %v", text, c, err)
		}
	})
}

func FuzzModelFile(f *testing.F) {
	for _, name := range []string{"affine", "seq_of_maps", "mixed_io"} {
		data, err := os.ReadFile(zooFile(name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(_ *testing.T, data []byte) {
		_, _ = parseModel(data) // no panic
	})
}

func TestInspectTellsEverything(t *testing.T) {
	t.Parallel()
	startRuntime(t)
	r, err := Inspect(t.Context(), Config{Path: zooFile("mixed_io"), RunTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"name":"mixed_io"`, `"version":"1"`, `"sha256":"`, `"verdict":"batched"`, `"datatype":"FP64"`, `"shape":[-1,2]`, `"dims":["batch",""]`,
		`"batch_axis":0`, `"batch_axis":-1`, `"device":"cpu"`, `"CPUExecutionProvider"`, `"author":"sluice"`, `"producer":"sluice-zoo"`, `"model_version":"3"`, `"probe":"random values, 3 rounds"`,
	} {
		if !strings.Contains(string(data), want) {
			t.Errorf("the report lacks %s:\n%s", want, data)
		}
	}
	r, err = Inspect(t.Context(), Config{Path: zooFile("dynamic_int8")})
	if err != nil || len(r.Warnings) != 1 {
		t.Errorf("Inspect(dynamic_int8) warns %v, %v; want its activations named", r.Warnings, err)
	}
}

func TestFallbackIsCountedAndLogged(t *testing.T) {
	t.Parallel()
	startRuntime(t)
	noCUDA(t)
	var logged bytes.Buffer
	reg := metrics.NewRegistry()
	tel := &pipeline.Telemetry{Metrics: reg, Logger: slog.New(slog.NewTextHandler(&logged, nil))}
	m, err := Load(t.Context(), Config{Path: zooFile("affine"), Device: "cuda", CUDAFallback: true}, tel)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = m.Close() }()
	if n := reg.Counter("sluice_device_fallback", "").With().Count(); m.Device != "cpu" || n != 1 {
		t.Errorf("device %s, %d fallbacks; want cpu and 1", m.Device, n)
	}
	if !strings.Contains(logged.String(), "falling back") || !strings.Contains(logged.String(), "libonnxruntime_providers_cuda.so") {
		t.Errorf("the log does not tell why:\n%s", logged.String())
	}
}
