package onnxruntime

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// version does not exist: its digest comes from the environment.
const version = "9.9.9"

const library = "this stands for a shared library\n"

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// box is a cache of its own and the environment of the script.
type box struct {
	cache string
	env   []string
}

func newBox(t *testing.T, env ...string) *box {
	t.Helper()
	b := &box{cache: t.TempDir()}
	b.env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + b.cache, "SLUICE_CACHE=" + b.cache, "SLUICE_RUNTIME_ARCH=x86_64", "no_proxy=*"}, env...)
	return b
}

func (b *box) path(name string) string { return filepath.Join(b.cache, "onnxruntime", name) }

// fetch runs the script: what it prints, what it says, whether it worked.
func (b *box) fetch(t *testing.T, args ...string) (out, said string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "./fetch.sh", args...)
	cmd.Env = b.env
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	return strings.TrimSpace(stdout.String()), stderr.String(), err
}

func (b *box) mustFetch(t *testing.T, args ...string) string {
	t.Helper()
	out, said, err := b.fetch(t, args...)
	if err != nil {
		t.Fatalf("fetch.sh %v = %v\n%s", args, err, said)
	}
	return out
}

func write(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

func mustHold(t *testing.T, path, want string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("%s = %.60q, %v; want %.60q", path, got, err, want)
	}
}

// archive packs files as a release archive does, with a link to the library.
func archive(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var buf bytes.Buffer
	gz := gzip.NewWriter(&buf)
	tw := tar.NewWriter(gz)
	for name, content := range files {
		h := &tar.Header{Name: "ort/lib/" + name, Typeflag: tar.TypeReg, Size: int64(len(content)), Mode: 0o644}
		if err := tw.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	link := &tar.Header{Name: "ort/lib/libonnxruntime.so", Typeflag: tar.TypeSymlink, Linkname: "libonnxruntime.so." + version}
	if err := tw.WriteHeader(link); err != nil {
		t.Fatal(err)
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	if err := gz.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// serve is a local stand-in for the release server.
func serve(t *testing.T, path string, data []byte) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(data) })
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return "SLUICE_RUNTIME_BASE_URL=" + s.URL
}

const cpuArchive = "/v" + version + "/onnxruntime-linux-x64-" + version + ".tgz"

func TestExplicitPathIsUsedAsItIs(t *testing.T) {
	t.Parallel()
	b := newBox(t)
	lib := filepath.Join(t.TempDir(), "mine.so")
	write(t, lib, "x", 0o600)
	if got := b.mustFetch(t, "--library", lib); got != lib {
		t.Errorf("printed %q, want %q", got, lib)
	}
	b.env = append(b.env, "SLUICE_RUNTIME_LIBRARY="+lib)
	if got := b.mustFetch(t); got != lib {
		t.Errorf("printed %q, want the environment's %q", got, lib)
	}
	out, said, err := b.fetch(t, "--library", "/absent.so")
	if err == nil || out != "" || !strings.Contains(said, "/absent.so") || !strings.Contains(said, "cure:") {
		t.Errorf("an absent path printed %q and said %q", out, said)
	}
}

func TestArchiveIsVerifiedUnpackedAndCached(t *testing.T) {
	t.Parallel()
	data := archive(t, map[string]string{"libonnxruntime.so." + version: library})
	b := newBox(t, serve(t, cpuArchive, data), "SLUICE_RUNTIME_SHA256="+digest(data))
	want := b.path(version + "/libonnxruntime.so")
	if got := b.mustFetch(t, "--source", "archive", version); got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
	mustHold(t, want, library)

	// once cached it needs neither server nor digest
	offline := &box{cache: b.cache, env: newBox(t).env}
	offline.env = append(offline.env, "SLUICE_CACHE="+b.cache, "SLUICE_RUNTIME_BASE_URL=http://127.0.0.1:1")
	if got := offline.mustFetch(t, "--source", "archive", version); got != want {
		t.Errorf("printed %q, want %q from the cache", got, want)
	}

	// a damaged file in the cache is fetched again
	write(t, want, "damaged", 0o600)
	b.mustFetch(t, "--source", "archive", version)
	mustHold(t, want, library)
	if left, err := filepath.Glob(b.path(".fetch.*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestWrongDigestInstallsNothing(t *testing.T) {
	t.Parallel()
	data := archive(t, map[string]string{"libonnxruntime.so." + version: library})
	b := newBox(t, serve(t, cpuArchive, data), "SLUICE_RUNTIME_SHA256="+digest([]byte("another")))
	out, said, err := b.fetch(t, "--source", "archive", version)
	if err == nil || out != "" || !strings.Contains(said, digest(data)) || !strings.Contains(said, "cure:") {
		t.Errorf("printed %q and said %q, %v; want the digest named", out, said, err)
	}
	if _, err := os.Stat(b.path(version)); err == nil {
		t.Error("an unverified library was installed")
	}
}

func TestPinnedArchiveDigestRefusesAnotherFile(t *testing.T) {
	t.Parallel()
	for _, v := range []string{"1.27.0", "1.30.0"} {
		b := newBox(t, serve(t, "/v"+v+"/onnxruntime-linux-x64-"+v+".tgz", []byte("not the release")))
		if _, said, err := b.fetch(t, "--source", "archive", v); err == nil || !strings.Contains(said, "expected") {
			t.Errorf("version %s from a false archive: %v\n%s", v, err, said)
		}
	}
}

func TestUnknownVersionNeedsADigest(t *testing.T) {
	t.Parallel()
	b := newBox(t, serve(t, cpuArchive, []byte("x")))
	if _, said, err := b.fetch(t, "--source", "archive", version); err == nil || !strings.Contains(said, "SLUICE_RUNTIME_SHA256") {
		t.Errorf("fetch.sh = %v\n%s\nwant the variable named", err, said)
	}
}

func TestCUDAArchiveBringsThreeLibraries(t *testing.T) {
	t.Parallel()
	data := archive(t, map[string]string{
		"libonnxruntime.so." + version: library, "libonnxruntime_providers_shared.so": "shared", "libonnxruntime_providers_cuda.so": "cuda",
	})
	b := newBox(t, serve(t, "/v"+version+"/onnxruntime-linux-x64-gpu_cuda13-"+version+".tgz", data), "SLUICE_RUNTIME_SHA256="+digest(data))
	got := b.mustFetch(t, "--cuda", "--source", "archive", version)
	folder := b.path(version + "-cuda13")
	if got != filepath.Join(folder, "libonnxruntime.so") {
		t.Errorf("printed %q", got)
	}
	mustHold(t, filepath.Join(folder, "libonnxruntime_providers_shared.so"), "shared")
	mustHold(t, filepath.Join(folder, "libonnxruntime_providers_cuda.so"), "cuda")
}

// fakePython answers as python3 and pip would: pip's download copies the wheel,
// the script's own unpacking runs on the real python3 where there is one.
func fakePython(t *testing.T, wheel []byte) string {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "onnxruntime.whl"), string(wheel), 0o600)
	write(t, filepath.Join(dir, "library"), library, 0o600)
	script := `#!/bin/sh
here=` + dir + `
case "$*" in
"-m pip --version") exit 0 ;;
*download*) while [ "$1" != --dest ]; do shift; done
	mkdir -p "$2" && cp "$here/onnxruntime.whl" "$2/"
	[ "$3" = onnxruntime==` + version + ` ] ;;
"- "*) if command -v python3 >/dev/null; then exec python3 "$@"; fi; cp "$here/library" "$3/libonnxruntime.so" ;;
*) exit 1 ;;
esac
`
	path := filepath.Join(dir, "python")
	write(t, path, script, 0o700)
	return "SLUICE_PYTHON=" + path
}

func wheel(t *testing.T) []byte {
	t.Helper()
	var buf bytes.Buffer
	zw := zip.NewWriter(&buf)
	for name, content := range map[string]string{"onnxruntime/capi/libonnxruntime.so." + version: library, "onnxruntime/__init__.py": ""} {
		w, err := zw.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestWheelComesByPip(t *testing.T) {
	t.Parallel()
	b := newBox(t, fakePython(t, wheel(t)), "SLUICE_RUNTIME_SHA256="+digest([]byte(library)), "SLUICE_RUNTIME_BASE_URL=http://127.0.0.1:1")
	mustHold(t, b.mustFetch(t, version), library)

	b = newBox(t, fakePython(t, wheel(t)), "SLUICE_RUNTIME_SHA256="+digest([]byte("another")))
	if _, said, err := b.fetch(t, version); err == nil || !strings.Contains(said, "libonnxruntime.so from the wheel") {
		t.Errorf("a wheel with another library: %v\n%s", err, said)
	}
}

func TestArchiveStandsInForTheWheel(t *testing.T) {
	t.Parallel()
	data := archive(t, map[string]string{"libonnxruntime.so." + version: library})
	b := newBox(t, serve(t, cpuArchive, data), "SLUICE_PYTHON=/absent/python", "SLUICE_RUNTIME_SHA256="+digest(data))
	out, said, err := b.fetch(t, version)
	if err != nil || !strings.Contains(said, "no pip") {
		t.Fatalf("fetch.sh = %v\n%s", err, said)
	}
	mustHold(t, out, library)
}

func TestNoSourceSaysTheCure(t *testing.T) {
	t.Parallel()
	b := newBox(t, "SLUICE_PYTHON=/absent/python", serve(t, "/elsewhere", nil))
	out, said, err := b.fetch(t, "1.27.0")
	if err == nil || out != "" || !strings.Contains(said, "none of its sources") || !strings.Contains(said, "SLUICE_RUNTIME_LIBRARY") {
		t.Errorf("printed %q and said %q, %v", out, said, err)
	}
}

func TestConcurrentRunsAgree(t *testing.T) {
	t.Parallel()
	data := archive(t, map[string]string{"libonnxruntime.so." + version: library})
	b := newBox(t, serve(t, cpuArchive, data), "SLUICE_RUNTIME_SHA256="+digest(data))
	var runs sync.WaitGroup
	for range 4 {
		runs.Go(func() {
			if out, said, err := b.fetch(t, "--source", "archive", version); err != nil {
				t.Errorf("fetch.sh = %q, %v\n%s", out, err, said)
			}
		})
	}
	runs.Wait()
	mustHold(t, b.path(version+"/libonnxruntime.so"), library)
}

func TestMisuseIsExitCode2(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--what"}, {"--source", "elsewhere"}, {"../1"}, {"--library"}} {
		_, said, err := newBox(t).fetch(t, args...)
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(said, "fetch.sh [--cuda]") {
			t.Errorf("fetch.sh %v = %v\n%s", args, err, said)
		}
	}
}
