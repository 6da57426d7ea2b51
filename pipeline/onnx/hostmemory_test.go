package onnx

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-ml/sluice/pipeline"
)

// pinned makes inputs and outputs lie where the runtime says: on the CPU in its own
// memory, by the very calls that give pinned memory on a GPU.
func pinned(c *Config) { c.HostMemory = hostPinned }

// lentBuffers takes one worker's buffers out of the free list for a look.
func lentBuffers(tb testing.TB, m *Model, look func(w *workerBuffers)) {
	tb.Helper()
	w := <-m.buffers
	defer m.give(w)
	look(w)
}

// TestPlacesInTheRuntimesTable holds the numbers in hostmemory.go against the
// binding's header, which the compiler counts out.
func TestPlacesInTheRuntimesTable(t *testing.T) {
	t.Parallel()
	folder, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/yalue/onnxruntime_go").Output()
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("hostmemory.go")
	if err != nil {
		t.Fatal(err)
	}
	enum, _, _ := strings.Cut(string(source), "typedef")
	program := "#include <stddef.h>\n#include \"onnxruntime_c_api.h\"\n"
	places := regexp.MustCompile(`\b([a-z]\w+) = (\d+)`).FindAllStringSubmatch(enum, -1)
	for _, p := range places {
		switch p[1] {
		case "deviceAllocator":
			program += fmt.Sprintf("_Static_assert(OrtDeviceAllocator == %s, \"\");\n", p[2])
		case "memTypeDefault":
			program += fmt.Sprintf("_Static_assert(OrtMemTypeDefault == %s, \"\");\n", p[2])
		default:
			name := strings.ToUpper(p[1][:1]) + p[1][1:]
			program += fmt.Sprintf("_Static_assert(offsetof(OrtApi, %s) == %s * sizeof(void *), \"%s\");\n", name, p[2], name)
		}
	}
	program += fmt.Sprintf("_Static_assert(ORT_API_VERSION == %d, \"\");\n", apiVersion)
	if len(places) != 13 {
		t.Fatalf("%d numbers found in hostmemory.go, want 13: %q", len(places), places)
	}
	file := filepath.Join(t.TempDir(), "places.c")
	writeFile(t, file, program)
	cc := os.Getenv("CC")
	if cc == "" {
		cc = "cc"
	}
	if out, err := exec.CommandContext(t.Context(), cc, "-fsyntax-only", "-I", strings.TrimSpace(string(folder)), file).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// Not parallel: the runtime's count is of all that its shared arena has given out.
func TestHostMemoryIsFreed(t *testing.T) {
	keep := load(t, "affine", pinned)
	used := func() int64 {
		n, err := keep.sessions[0].host.inUse()
		if err != nil || n < 0 {
			t.Fatalf("inUse() = %d, %v", n, err)
		}
		return n
	}
	before := used()

	m, err := Load(t.Context(), Config{Path: zooFile("mlp_784_32x4_10"), MaxRows: 64, Workers: 2, HostMemory: hostPinned}, nil)
	if err != nil {
		t.Fatal(err)
	}
	stage := m.NewStage(64)
	const least = 3 * 64 * 784 * 4 // two workers and a stage
	if grown := used() - before; grown < least {
		t.Errorf("the model's memory is %d bytes of the runtime's, want at least %d", grown, least)
	}
	host := m.sessions[0].host
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	copy(stage.Row(0, 63)[:4], "last") // a stage may outlive its model
	stage.Close()

	if after := used(); after != before {
		t.Errorf("the runtime's memory in use went from %d to %d bytes", before, after)
	}
	if host.allocator != nil || host.blocks != 0 {
		t.Errorf("the allocator is kept: %d blocks", host.blocks)
	}
}

func TestHostMemoryGivesTheSameAnswers(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"affine", "mlp_784_32x4_10", "mixed_io", "float16", "fixed_batch4", "string_input", "tokens_dyn", "rank0_input"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rows := func() (items []*pipeline.Item) {
				for i := range 5 {
					items = append(items, item(1, zooCases[name].row(i)...))
				}
				return items
			}
			want, got := rows(), rows()
			pageable := load(t, name)
			ours := load(t, name, pinned)
			if err := run(t.Context(), pageable, want...); err != nil {
				t.Fatal(err)
			}
			if err := run(t.Context(), ours, got...); err != nil {
				t.Fatal(err)
			}
			for i := range want {
				for o := range want[i].Res.Outputs {
					x, y := &want[i].Res.Outputs[o], &got[i].Res.Outputs[o]
					if !bytes.Equal(x.Data, y.Data) || !slices.Equal(x.Strings, y.Strings) || !slices.Equal(x.Shape, y.Shape) {
						t.Errorf("row %d, output %s: % x, want % x", i, x.Name, y.Data, x.Data)
					}
				}
			}
			hosted := func(w *workerBuffers) bool {
				return slices.ContainsFunc(w.inputs, func(b tensorBuffer) bool { return b.hosted })
			}
			lentBuffers(t, pageable, func(w *workerBuffers) {
				if hosted(w) {
					t.Error("ordinary memory is the runtime's")
				}
			})
			lentBuffers(t, ours, func(w *workerBuffers) {
				if !hosted(w) {
					t.Error("no input lies in the runtime's memory")
				}
			})
		})
	}
}

func TestHostMemoryOfAStage(t *testing.T) {
	t.Parallel()
	m := load(t, "affine", pinned)
	items := []*pipeline.Item{item(1, f32("x", dims(1, 4), 1, 2, 3, 4)), item(1, f32("x", dims(1, 4), 5, 6, 7, 8))}
	batch := staged(t, m, items)
	if err := m.Run(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	if got := floats(&items[1].Res.Outputs[0].Tensor); !slices.Equal(got, []float32{11, 13, 15, 17}) {
		t.Errorf("y = %v", got)
	}
	if st := batch.Stage.(*stage); !st.inputs[0].hosted {
		t.Error("the stage does not lie in the runtime's memory")
	}
}

// Where the runtime has no such memory, or none left, ordinary memory does.
func TestWithoutHostMemory(t *testing.T) {
	t.Parallel()
	m := load(t, "affine", pinned)

	var logged bytes.Buffer
	s := &session{device: device{name: "cuda:0", cuda: true}, ort: m.sessions[0].ort} // which has no CUDA
	openHosts([]*session{s}, "", slog.New(slog.NewTextHandler(&logged, nil)))
	// The runtime knows pinned memory by this name: only this session has none.
	if s.host != nil || !strings.Contains(logged.String(), memoryPinned+" memory: No requested allocator") {
		t.Errorf("host = %v, logged %q, want none and a warning that the session has no %s", s.host, logged.String(), memoryPinned)
	}

	none, err := newHostAllocator(m.sessions[0].ort, memoryCPU, 0)
	if err != nil {
		t.Fatal(err)
	}
	none.close()
	b := tensorBuffer{typ: m.plan.inputs[0].typ, byRows: true, host: none}
	defer b.free()
	if _, err := b.value(dims(3, 4)); err != nil || b.hosted || len(b.mem) < 48 {
		t.Errorf("value() = %v, %d bytes, hosted %t", err, len(b.mem), b.hosted)
	}
}
