package onnx

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sluice-ml/sluice/pipeline"
)

// noCUDA fails the test where the runtime has CUDA's provider: there the tests
// of its absence mean nothing, and TestCUDA tests its presence.
func noCUDA(t *testing.T) {
	t.Helper()
	if len(missingProviderLibraries(libraryFolder())) == 0 {
		t.Skip("this runtime has a working CUDA provider")
	}
}

func TestParseDevice(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]deviceRequest{
		"": {}, "cpu": {}, "cuda": {cuda: []int{0}}, "cuda:1": {cuda: []int{1}}, "cuda:0,1": {cuda: []int{0, 1}}, "auto": {auto: true, cuda: []int{0}},
	} {
		got, err := parseDevice(s)
		if err != nil || got.auto != want.auto || !slices.Equal(got.cuda, want.cuda) {
			t.Errorf("parseDevice(%q) = %+v, %v; want %+v", s, got, err, want)
		}
	}
	for _, s := range []string{"gpu", "cuda:", "cuda:x", "cuda:-1", "cuda:0,", "CPU"} {
		if _, err := parseDevice(s); err == nil {
			t.Errorf("parseDevice(%q) = nil error", s)
		}
	}
}

func TestCUDAThatCannotLoadNamesTheMissingLibrary(t *testing.T) {
	t.Parallel()
	startRuntime(t)
	noCUDA(t)
	_, err := Load(t.Context(), Config{Path: zooFile("affine"), Device: "cuda"}, nil)
	if !errors.Is(err, ErrNoDevice) {
		t.Fatalf("Load(cuda) = %v, want ErrNoDevice", err)
	}
	for _, want := range []string{"libonnxruntime_providers_shared.so", "libonnxruntime_providers_cuda.so", "fetch.sh --cuda", "device: cpu"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\ndoes not name %s", err, want)
		}
	}
}

func TestAutoWithoutGPUIsTheCPU(t *testing.T) {
	t.Parallel()
	if gpuPresent() {
		t.Skip("this machine has a GPU: TestCUDA tests it")
	}
	if m := load(t, "affine", func(c *Config) { c.Device = "auto" }); m.Device != "cpu" {
		t.Errorf("auto runs on %s", m.Device)
	}
}

// needCUDA skips the test where there is no GPU, or no provider for it.
func needCUDA(t *testing.T) {
	t.Helper()
	startRuntime(t)
	if !gpuPresent() {
		t.Skip("no NVIDIA GPU on this machine")
	}
	if missing := missingProviderLibraries(libraryFolder()); len(missing) > 0 {
		t.Skipf("the CUDA provider needs %s: deploy/onnxruntime/fetch.sh --cuda and SLUICE_RUNTIME_LIBRARY", strings.Join(missing, ", "))
	}
}

func TestCUDA(t *testing.T) {
	t.Parallel()
	needCUDA(t)
	m := load(t, "affine", func(c *Config) { c.Device = "cuda" })
	it := item(1, f32("x", dims(1, 4), 1, 2, 3, 4))
	if err := run(t.Context(), m, it); err != nil {
		t.Fatal(err)
	}
	if got := floats(&it.Res.Outputs[0].Tensor); !slices.Equal(got, []float32{3, 5, 7, 9}) || it.Device != "cuda:0" {
		t.Errorf("y = %v on %s", got, it.Device)
	}
	lentBuffers(t, m, func(w *workerBuffers) {
		if !w.inputs[0].hosted || !w.outputs[0].hosted {
			t.Error("inputs and outputs do not lie in pinned memory")
		}
	})
}

// TestCUDARunsSideBySide: workers of one session, each with a stream and pinned memory of its own, do not mix up rows.
func TestCUDARunsSideBySide(t *testing.T) {
	t.Parallel()
	needCUDA(t)
	m := load(t, "affine", func(c *Config) { c.Device, c.Workers, c.MaxRows = "cuda", 4, 64 })
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() { // ends with its runs
			for n := range 64 {
				var items []*pipeline.Item
				for r := range n + 1 {
					items = append(items, item(1, f32("x", dims(1, 4), float32(worker), float32(n), float32(r), 1)))
				}
				if err := run(t.Context(), m, items...); err != nil {
					t.Error(err)
					return
				}
				for r, it := range items {
					want := []float32{float32(2*worker + 1), float32(2*n + 1), float32(2*r + 1), 3}
					if got := floats(&it.Res.Outputs[0].Tensor); !slices.Equal(got, want) {
						t.Errorf("row %d of %d: %v, want %v", r, n+1, got, want)
					}
				}
			}
		})
	}
	all.Wait()
}

func TestMissingNeedsFollowsTheLoader(t *testing.T) {
	t.Parallel()
	startRuntime(t)
	path, err := FindLibrary("")
	if err != nil {
		t.Fatal(err)
	}
	if missing := missingNeeds(path, map[string]bool{}); len(missing) > 0 {
		t.Errorf("missingNeeds(%s) = %v, but it is loaded", path, missing)
	}
	// A copy whose need of libdl is renamed to a library that does not exist.
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const need, absent = "libdl.so.2\x00", "libdl.so.9\x00"
	if !strings.Contains(string(data), need) {
		t.Fatalf("%s does not need libdl.so.2: choose another need for this test", path)
	}
	for i := strings.Index(string(data), need); i >= 0; i = strings.Index(string(data), need) {
		copy(data[i:], absent)
	}
	dir := t.TempDir()
	for _, name := range providerLibraries {
		writeFile(t, filepath.Join(dir, name), string(data))
	}
	if missing := missingProviderLibraries(dir); !slices.Equal(missing, []string{"libdl.so.9"}) {
		t.Errorf("missingProviderLibraries() = %v, want libdl.so.9", missing)
	}
}

func TestDeviceFaults(t *testing.T) {
	t.Parallel()
	cuda := device{name: "cuda:0", cuda: true}
	for text, want := range map[string]bool{
		"CUDA failure 700: an illegal memory access was encountered": true,
		"CUBLAS failure 14: CUBLAS_STATUS_INTERNAL_ERROR":            true,
		"CUDA failure 2: out of memory":                              false, // a smaller batch may fit
		"indices element out of data bounds, idx=9":                  false,
	} {
		if got := cuda.fault(errors.New(text)); got != want {
			t.Errorf("fault(%q) = %v", text, got)
		}
	}
	if cpuDevice.fault(errors.New("CUDA failure 700")) {
		t.Error("a fault of CUDA on the CPU")
	}
}
