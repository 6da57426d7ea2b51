package onnx

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	ort "github.com/yalue/onnxruntime_go"
)

const (
	// LibraryVersion is the ONNX Runtime that `make build` fetches.
	LibraryVersion = "1.27.0"
	// oldestMinor: onnxruntime_go v1.31.0 asks for C API 26, which ONNX Runtime
	// serves from 1.26 on.
	oldestMinor = 26
	libraryName = "libonnxruntime.so"
	libraryCure = "run `make build` or deploy/onnxruntime/fetch.sh, or set runtime.library"
)

// ErrNoLibrary says that the runtime's shared library is missing or unusable.
var ErrNoLibrary = errors.New("no usable ONNX Runtime library")

// loaded is the one runtime of this process. ONNX Runtime has one environment
// per process, and unloading it while sessions live is a crash: it stays.
var loaded struct {
	sync.Mutex
	path, version string
}

// FindLibrary returns the path of the runtime's shared library: the explicit
// path, else SLUICE_RUNTIME_LIBRARY, else the cache that `make build` fills. It
// never downloads.
func FindLibrary(explicit string) (path string, err error) {
	if explicit == "" {
		explicit = os.Getenv("SLUICE_RUNTIME_LIBRARY")
	}
	if explicit != "" {
		if err := regularFile(explicit); err != nil {
			return "", fmt.Errorf("%w: %w; correct the path, or leave it out and %s", ErrNoLibrary, err, libraryCure)
		}
		return explicit, nil
	}
	path, err = cachedLibrary()
	if err != nil {
		return "", err
	}
	if err := regularFile(path); err != nil {
		return "", fmt.Errorf("%w: looked for %s: %w; %s", ErrNoLibrary, path, err, libraryCure)
	}
	return path, nil
}

func cachedLibrary() (string, error) {
	cache := os.Getenv("SLUICE_CACHE")
	if cache == "" {
		base := os.Getenv("XDG_CACHE_HOME")
		if base == "" {
			home, err := os.UserHomeDir()
			if err != nil {
				return "", fmt.Errorf("%w: find the cache folder: %w; set SLUICE_CACHE", ErrNoLibrary, err)
			}
			base = filepath.Join(home, ".cache")
		}
		cache = filepath.Join(base, "sluice")
	}
	return filepath.Join(cache, "onnxruntime", LibraryVersion, libraryName), nil
}

func regularFile(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a file", path)
	}
	return nil
}

// Init loads the runtime's shared library, once per process, and returns its
// version. A second call with the same path is a no-op. Telemetry, which newer
// runtimes send by default, is switched off before the runtime starts.
func Init(libraryPath string) (version string, err error) {
	loaded.Lock()
	defer loaded.Unlock()
	if loaded.version != "" {
		if libraryPath != loaded.path {
			return "", fmt.Errorf("load %s: this process already runs ONNX Runtime %s from %s", libraryPath, loaded.version, loaded.path)
		}
		return loaded.version, nil
	}
	if err := os.Setenv("ORT_DISABLE_TELEMETRY", "1"); err != nil {
		return "", fmt.Errorf("switch the runtime's telemetry off: %w", err)
	}
	ort.SetSharedLibraryPath(libraryPath)
	// The runtime prints to stderr in a format of its own what it also returns
	// as an error: fatal keeps our logs clean.
	if err := ort.InitializeEnvironment(ort.WithLogLevelFatal()); err != nil {
		return "", fmt.Errorf("%w: load %s (ONNX Runtime 1.%d or newer is needed): %w; %s", ErrNoLibrary, libraryPath, oldestMinor, err, libraryCure)
	}
	version = ort.GetVersion()
	if err := checkVersion(version); err != nil {
		return "", errors.Join(fmt.Errorf("%w: %s: %w; %s", ErrNoLibrary, libraryPath, err, libraryCure), ort.DestroyEnvironment())
	}
	if err := shareArena(); err != nil {
		return "", errors.Join(err, ort.DestroyEnvironment())
	}
	loaded.path, loaded.version = libraryPath, version
	return version, nil
}

func checkVersion(version string) error {
	parts := strings.Split(version, ".")
	if len(parts) >= 2 {
		major, err1 := strconv.Atoi(parts[0])
		minor, err2 := strconv.Atoi(parts[1])
		if err1 == nil && err2 == nil && (major > 1 || major == 1 && minor >= oldestMinor) {
			return nil
		}
	}
	return fmt.Errorf("this is ONNX Runtime %q, 1.%d or newer is needed", version, oldestMinor)
}

// shareArena gives all sessions one CPU arena: with an arena each, four sessions
// were measured at 275 MiB against 117 MiB.
func shareArena() error {
	info, err := ort.GetMemoryInfo()
	if err != nil {
		return fmt.Errorf("describe CPU memory: %w", err)
	}
	cfg, err := ort.NewArenaCfg(0, -1, -1, -1) // the runtime's defaults
	if err != nil {
		return fmt.Errorf("configure the CPU arena: %w", err)
	}
	defer cfg.Destroy()
	if err := ort.CreateAndRegisterAllocator(info, cfg); err != nil {
		return fmt.Errorf("register the shared CPU arena: %w", err)
	}
	return nil
}

// RuntimeVersion is the version of the loaded runtime, "" before Init.
func RuntimeVersion() string {
	loaded.Lock()
	defer loaded.Unlock()
	return loaded.version
}

// libraryPath is the path by which the runtime was loaded.
func libraryPath() string {
	loaded.Lock()
	defer loaded.Unlock()
	return loaded.path
}

// libraryFolder is where the loaded runtime looks for its providers.
func libraryFolder() string { return filepath.Dir(libraryPath()) }
