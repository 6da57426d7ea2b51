package onnx

import (
	"debug/elf"
	"os"
	"path/filepath"
	"strings"
)

// The CUDA provider's libraries; the runtime looks for them beside itself.
var providerLibraries = []string{"libonnxruntime_providers_shared.so", "libonnxruntime_providers_cuda.so"}

// loaderFolders are where the dynamic loader looks without a configuration.
var loaderFolders = []string{
	"/lib", "/usr/lib", "/lib64", "/usr/lib64", "/usr/local/lib", "/usr/local/cuda/lib64",
	"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu", "/usr/lib/aarch64-linux-gnu",
}

// missingProviderLibraries names every library that the CUDA provider in this
// folder needs and that is not there: the provider's own, else what they need.
func missingProviderLibraries(folder string) (missing []string) {
	for _, name := range providerLibraries {
		if regularFile(filepath.Join(folder, name)) != nil {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return missing
	}
	seen := map[string]bool{}
	for _, name := range providerLibraries {
		missing = append(missing, missingNeeds(filepath.Join(folder, name), seen)...)
	}
	return missing
}

// missingNeeds follows the needed libraries of a file (DT_NEEDED) as the loader
// does, and names those it cannot find. What is not readable is left to the
// loader, whose own error then tells.
func missingNeeds(path string, seen map[string]bool) (missing []string) {
	f, err := elf.Open(path)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }() // only read
	needed, err := f.ImportedLibraries()
	if err != nil {
		return nil
	}
	folders := searchFolders(f, filepath.Dir(path))
	for _, name := range needed {
		if seen[name] {
			continue
		}
		seen[name] = true
		if found := findLibrary(name, folders); found != "" {
			missing = append(missing, missingNeeds(found, seen)...)
		} else if !mapped(name) {
			missing = append(missing, name)
		}
	}
	return missing
}

func searchFolders(f *elf.File, origin string) (folders []string) {
	for _, tag := range []elf.DynTag{elf.DT_RPATH, elf.DT_RUNPATH} {
		values, _ := f.DynString(tag) // absent: none
		for _, v := range values {
			folders = append(folders, strings.Split(strings.ReplaceAll(v, "$ORIGIN", origin), ":")...)
		}
	}
	folders = append(folders, filepath.SplitList(os.Getenv("LD_LIBRARY_PATH"))...)
	folders = append(folders, loaderFolders...)
	return append(folders, configuredFolders("/etc/ld.so.conf.d")...)
}

// configuredFolders reads the loader's configuration, one folder a line.
func configuredFolders(dir string) (folders []string) {
	files, _ := filepath.Glob(filepath.Join(dir, "*.conf")) // the pattern is well formed
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(data)) {
			if line = strings.TrimSpace(line); strings.HasPrefix(line, "/") {
				folders = append(folders, line)
			}
		}
	}
	return folders
}

func findLibrary(name string, folders []string) string {
	for _, folder := range folders {
		if path := filepath.Join(folder, name); regularFile(path) == nil {
			return path
		}
	}
	return ""
}

// mapped says that this process has the library loaded already.
func mapped(name string) bool {
	maps, err := os.ReadFile("/proc/self/maps")
	return err == nil && strings.Contains(string(maps), "/"+name)
}
