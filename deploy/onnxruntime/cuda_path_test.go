package onnxruntime

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestCUDAPathNamesTheFoldersOfPipsPackages(t *testing.T) {
	t.Parallel()
	packages, none := t.TempDir(), t.TempDir()
	cublas, cudnn := filepath.Join(packages, "nvidia", "cu13", "lib"), filepath.Join(packages, "nvidia", "cudnn", "lib")
	write(t, filepath.Join(cublas, "libcublas.so.13"), "", 0o644)
	write(t, filepath.Join(cudnn, "libcudnn.so.9"), "", 0o644)
	write(t, filepath.Join(packages, "nvidia", "cudnn", "include", "cudnn.h"), "", 0o644)
	python := filepath.Join(none, "python") // one that does not see what this machine has
	write(t, python, "#!/bin/sh\nexec python3 -S \"$@\"\n", 0o755)
	for _, c := range []struct{ python, before, want string }{
		{packages, "", cublas + ":" + cudnn},
		{packages, "/usr/local/cuda/lib64", cublas + ":" + cudnn + ":/usr/local/cuda/lib64"},
		{none, "/usr/local/cuda/lib64", "/usr/local/cuda/lib64"},
		{none, "", ""},
	} {
		cmd := exec.CommandContext(t.Context(), "./cuda-path.sh")
		cmd.Env = append(os.Environ(), "SLUICE_PYTHON="+python, "PYTHONPATH="+c.python, "LD_LIBRARY_PATH="+c.before)
		out, err := cmd.Output()
		if got := strings.TrimSuffix(string(out), "\n"); err != nil || got != c.want {
			t.Errorf("with packages in %s and LD_LIBRARY_PATH=%s: %q, %v; want %q", c.python, c.before, got, err, c.want)
		}
	}
}
