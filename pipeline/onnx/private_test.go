package onnx

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-ml/sluice/pipeline"
)

func TestFilesThatOthersMayWriteAreExposed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if exposed(dir) {
		t.Skip("others may write above the test's folder")
	}
	file := filepath.Join(dir, "models", "m.onnx")
	writeFile(t, file, "x")
	link := filepath.Join(dir, "link.onnx")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path          string
		file, folder  os.FileMode
		want, wantVia bool // itself, and by the link
	}{
		{file, 0o644, 0o755, false, false},
		{file, 0o600, 0o700, false, false},
		{file, 0o664, 0o755, true, true},
		{file, 0o646, 0o755, true, true},
		{file, 0o644, 0o777, true, true},
		{file, 0o644, 0o777 | os.ModeSticky, false, false},
		{file + ".none", 0o644, 0o755, true, false},
	} {
		if err := os.Chmod(file, c.file); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Dir(file), c.folder); err != nil {
			t.Fatal(err)
		}
		if got := exposed(c.path); got != c.want {
			t.Errorf("file %v in %v: exposed %v", c.file, c.folder, got)
		}
		if got := exposed(link); got != c.wantVia {
			t.Errorf("link to a file %v in %v: exposed %v", c.file, c.folder, got)
		}
	}
}

// What is checked is what is loaded, though another user changes the files in between.
func TestModelsThatOthersMayWriteAreLoadedFromACopy(t *testing.T) { //nolint:paralleltest // TMPDIR
	startRuntime(t)
	dir, temp := t.TempDir(), t.TempDir()
	w := f32("w", dims(4), 1, 2, 3, 4)
	writeFile(t, filepath.Join(dir, "..data", "weights.bin"), string(w.Data))
	if err := os.Symlink("..data/weights.bin", filepath.Join(dir, "weights.bin")); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "m.onnx")
	writeFile(t, file, string(modelOf(add(), externalTensor("w", "location", "weights.bin", "offset", "0", "length", "16"))))
	sum, err := digest(file, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil { //nolint:gosec // the point of the test
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", temp)

	o := &opened{cfg: Config{Path: file, SHA256: sum}.withDefaults(), log: slog.New(slog.DiscardHandler)}
	if err := o.find(); err != nil {
		t.Fatal(err)
	}
	defer o.disclose()
	if info, err := os.Stat(o.private); err != nil || info.Mode().Perm() != 0o700 {
		t.Fatalf("private folder %v, %v", info, err)
	}
	writeFile(t, file, "evil")
	writeFile(t, filepath.Join(dir, "..data", "weights.bin"), "evil")
	if again, err := digest(o.path, sum); err != nil {
		t.Errorf("the copy changed with the file: %s, %v", again, err)
	}
	if weights, err := os.ReadFile(filepath.Join(o.private, "weights.bin")); err != nil || !bytes.Equal(weights, w.Data) {
		t.Errorf("the copy's weights: %q, %v", weights, err)
	}
	o.disclose()

	// And as a whole; nothing stays behind.
	writeFile(t, file, string(modelOf(add(), externalTensor("w", "location", "weights.bin", "offset", "0", "length", "16"))))
	writeFile(t, filepath.Join(dir, "..data", "weights.bin"), string(w.Data))
	for _, where := range []string{temp, filepath.Join(temp, "none")} {
		t.Setenv("TMPDIR", where)
		var log bytes.Buffer
		m, err := Load(t.Context(), Config{Path: file, Workers: 1}, &pipeline.Telemetry{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
		row := item(1, f32("x", dims(1, 4), 10, 20, 30, 40))
		if err := run(t.Context(), m, row); err != nil {
			t.Fatal(err)
		}
		if got, want := floats(&row.Res.Outputs[0].Tensor), []float32{11, 22, 33, 44}; !slices.Equal(got, want) {
			t.Errorf("outputs %v, want %v", got, want)
		}
		if warned := strings.Contains(log.String(), "others may write"); warned != (where != temp) {
			t.Errorf("copies to %s: log %s", where, &log)
		}
		_ = m.Close()
	}
}
