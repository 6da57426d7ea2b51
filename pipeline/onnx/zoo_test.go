package onnx

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-ml/sluice/pipeline"
	"github.com/sluice-ml/sluice/schemas"
)

func zooNames(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(zooFile("*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no model in testdata/zoo: %v", err)
	}
	for i := range files {
		files[i] = strings.TrimSuffix(filepath.Base(files[i]), ".onnx")
	}
	return files
}

func TestEveryZooFileHasAnExpectation(t *testing.T) {
	t.Parallel()
	names := zooNames(t)
	for _, name := range names {
		if _, ok := zooCases[name]; !ok {
			t.Errorf("testdata/zoo/%s.onnx has no entry in zooCases", name)
		}
	}
	for name := range zooCases {
		if !slices.Contains(names, name) {
			t.Errorf("zooCases has %s, testdata/zoo has not", name)
		}
	}
}

func TestZooFilesAreTheScriptsOwn(t *testing.T) {
	t.Parallel()
	sums, err := os.ReadFile("testdata/zoo/SHA256SUMS")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(sums)), "\n")
	if len(lines) != len(zooNames(t)) {
		t.Errorf("SHA256SUMS has %d lines for %d files", len(lines), len(zooNames(t)))
	}
	for _, line := range lines {
		sum, name, _ := strings.Cut(line, "  ")
		if _, err := digest(filepath.Join("testdata", "zoo", name), sum); err != nil {
			t.Error(err)
		}
	}
}

func TestZooVerdicts(t *testing.T) {
	t.Parallel()
	startRuntime(t)
	for name, c := range zooCases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := Inspect(t.Context(), Config{Path: zooFile(name)})
			if err != nil {
				t.Fatal(err)
			}
			if r.Verdict != c.verdict || !strings.HasPrefix(r.Reason, c.reason) || c.reason == "" && r.Reason != "" {
				t.Errorf("verdict %q, reason %q; want %q, %q", r.Verdict, r.Reason, c.verdict, c.reason)
			}
			if r.FixedRows != c.fixedRows {
				t.Errorf("fixed rows %d, want %d", r.FixedRows, c.fixedRows)
			}
			if c.verdict == VerdictBatched && r.Varying != c.varying {
				t.Errorf("varying %v, want %v", r.Varying, c.varying)
			}
			if _, err := Load(t.Context(), Config{Path: zooFile(name)}, nil); c.verdict == VerdictRefused && !errors.Is(err, ErrRefused) {
				t.Errorf("Load() = %v, want ErrRefused", err)
			}
		})
	}
}

// TestZooAnswers runs every model with batches below, at and above what one run
// takes (8 rows), and with messages of several rows.
func TestZooAnswers(t *testing.T) {
	t.Parallel()
	startRuntime(t)
	for name, c := range zooCases {
		if c.verdict == VerdictRefused {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := load(t, name)
			for _, n := range []int{1, 2, 3, 8, 21} {
				items := make([]*pipeline.Item, n)
				for r := range items {
					items[r] = item(1, c.row(r)...)
				}
				// twice: the second run reuses the items' memory
				for range 2 {
					if err := run(t.Context(), m, items...); err != nil {
						t.Fatalf("Run(%d items) = %v", n, err)
					}
					for r, it := range items {
						checkAnswer(t, fmt.Sprintf("item %d of %d", r, n), it, c.want(c.row(r)), c.tolerance)
					}
				}
			}
			if c.verdict == VerdictBatched || c.fixedRows > 0 {
				checkManyRows(t, m, c)
			}
		})
	}
}

// checkManyRows sends messages of 3, 1 and 10 rows: 14 rows in runs of at most 8.
func checkManyRows(t *testing.T, m *Model, c zooCase) {
	t.Helper()
	var items []*pipeline.Item
	r := 0
	for _, rows := range []int{3, 1, 10} {
		parts := make([][]schemas.Tensor, rows)
		for i := range parts {
			parts[i] = c.row(6 * r) // of equal shape
			r++
		}
		items = append(items, item(rows, join(parts, make([]int, len(parts[0])))...))
	}
	if err := run(t.Context(), m, items...); err != nil {
		t.Fatalf("Run(many rows) = %v", err)
	}
	r = 0
	for _, it := range items {
		for i := range it.Req.Rows {
			want := c.want(c.row(6 * r))
			for o := range want {
				got := &it.Res.Outputs[o]
				if !want[o].HasRows {
					compare(t, "many rows", got, &want[o], c.tolerance)
					continue
				}
				one := rowOf(got, i, it.Req.Rows)
				compare(t, fmt.Sprintf("row %d of %d", i, it.Req.Rows), &one, &want[o], c.tolerance)
			}
			r++
		}
	}
}

// rowOf cuts row i out of an output.
func rowOf(o *schemas.Output, i, rows int) schemas.Output {
	one := *o
	if o.Maps != nil {
		one.Maps = o.Maps[i : i+1]
		return one
	}
	one.Shape = slices.Clone(o.Shape)
	if one.Shape[0] != int64(rows) {
		return one // the comparison will tell
	}
	one.Shape[0] = 1
	if per := len(o.Data) / rows; per > 0 {
		one.Data = o.Data[i*per : (i+1)*per]
	}
	if per := len(o.Strings) / rows; per > 0 {
		one.Strings = o.Strings[i*per : (i+1)*per]
	}
	return one
}

func checkAnswer(t *testing.T, what string, it *pipeline.Item, want []schemas.Output, tolerance float64) {
	t.Helper()
	if it.Err != nil {
		t.Fatalf("%s: Err = %v", what, it.Err)
	}
	if len(it.Res.Outputs) != len(want) {
		t.Fatalf("%s: %d outputs, want %d", what, len(it.Res.Outputs), len(want))
	}
	for o := range want {
		compare(t, what, &it.Res.Outputs[o], &want[o], tolerance)
	}
	if it.Device != "cpu" || it.BatchRows < 1 {
		t.Errorf("%s: ran on %q in a batch of %d rows", what, it.Device, it.BatchRows)
	}
}

func compare(t *testing.T, what string, got, want *schemas.Output, tolerance float64) {
	t.Helper()
	if got.Name != want.Name || got.Type != want.Type || got.HasRows != want.HasRows || !slices.Equal(got.Shape, want.Shape) && want.Maps == nil {
		t.Fatalf("%s: output %q %s %v rows %v, want %q %s %v rows %v", what,
			got.Name, got.Type, got.Shape, got.HasRows, want.Name, want.Type, want.Shape, want.HasRows)
	}
	if len(got.Maps) != len(want.Maps) {
		t.Fatalf("%s: %d maps, want %d", what, len(got.Maps), len(want.Maps))
	}
	for i := range want.Maps {
		if !sameMap(&got.Maps[i], &want.Maps[i]) || got.Maps[i].Keys.Type != want.Maps[i].Keys.Type {
			t.Fatalf("%s: map %v, want %v", what, got.Maps[i], want.Maps[i])
		}
	}
	if !slices.Equal(got.Strings, want.Strings) {
		t.Fatalf("%s: output %q = %q, want %q", what, got.Name, got.Strings, want.Strings)
	}
	if want.Type == schemas.FP32 {
		compareFloats(t, what, got, want, tolerance)
	} else if !slices.Equal(got.Data, want.Data) {
		t.Fatalf("%s: output %q = %v, want %v", what, got.Name, got.Data, want.Data)
	}
}

func compareFloats(t *testing.T, what string, got, want *schemas.Output, tolerance float64) {
	t.Helper()
	g, w := floats(&got.Tensor), floats(&want.Tensor)
	if len(g) != len(w) {
		t.Fatalf("%s: output %q has %d numbers, want %d", what, got.Name, len(g), len(w))
	}
	for i := range w {
		if math.IsNaN(float64(w[i])) && math.IsNaN(float64(g[i])) || g[i] == w[i] {
			continue
		}
		if d := math.Abs(float64(g[i]) - float64(w[i])); !(d <= tolerance+tolerance*math.Abs(float64(w[i]))) {
			t.Fatalf("%s: output %q[%d] = %v, want %v", what, got.Name, i, g[i], w[i])
		}
	}
}
