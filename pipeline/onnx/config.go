package onnx

import (
	"encoding/hex"
	"fmt"
	"time"
)

// The values of Config.Independent.
const (
	independentProbe = "probe"
	independentTrue  = "true"
	independentFalse = "false"
)

// The values of Config.HostMemory.
const (
	hostPinned   = "pinned"
	hostPageable = "pageable"
)

// Config says which model to load and how to run it.
type Config struct {
	// Path is one .onnx file, or a folder <name>/ of Triton's layout
	// <name>/<version>/model.onnx.
	Path string
	// Version is "latest" (or "") or the number of a version folder. A single
	// file has version 1.
	Version string
	// Name goes into results and metrics; default: the file's or folder's name.
	Name string
	// SHA256 of the model file in hex; checked when given.
	SHA256 string
	// Device is cpu (or ""), cuda, cuda:0,1, or auto: without a GPU the CPU.
	Device string
	// CUDAFallback runs on the CPU when CUDA was asked for and cannot start.
	CUDAFallback bool
	// HostMemory is where inputs and outputs lie: pinned (the device's; on the CPU
	// the runtime's own), pageable, or "": pinned for CUDA. For measuring and tests.
	HostMemory string
	// Workers is how many runs go on at once; 0: GOMAXPROCS on the CPU, one for
	// each device on CUDA.
	Workers int
	// IntraOp is how many threads share one run on the CPU, default 1; for
	// measuring: two workers with one each beat one with two (session.go).
	IntraOp int
	// MaxRows is the most rows of one run, default 256.
	MaxRows int
	// RunTimeout bounds each run of the probe and the warm-up; 0 means none.
	// The pipeline bounds its runs by their context.
	RunTimeout time.Duration
	// Independent says whether rows may share a batch: probe (or ""), true or
	// false.
	Independent string
	// Labels is the path of a file with one class label per line; default: what
	// config.pbtxt names.
	Labels string
}

const defaultMaxRows = 256

// Validate names the first key that cannot be used.
func (c *Config) Validate() error {
	switch {
	case c.Path == "":
		return fmt.Errorf("model.path is empty: give an .onnx file or a model folder")
	case c.Workers < 0:
		return fmt.Errorf("model.workers is %d: 0 (as many as cores) or more", c.Workers)
	case c.IntraOp < 0:
		return fmt.Errorf("threads of one run: %d: 0 (one) or more", c.IntraOp)
	case c.MaxRows < 0:
		return fmt.Errorf("model.batch.max_rows is %d: 1 or more", c.MaxRows)
	case c.RunTimeout < 0:
		return fmt.Errorf("model.run_timeout is %s: 0 (none) or more", c.RunTimeout)
	}
	if raw, err := hex.DecodeString(c.SHA256); c.SHA256 != "" && (err != nil || len(raw) != 32) {
		return fmt.Errorf("model.sha256 %q is not a SHA-256 in 64 hex digits", c.SHA256)
	}
	switch c.Independent {
	case "", independentProbe, independentTrue, independentFalse:
	default:
		return fmt.Errorf("model.independent is %q: probe, true or false", c.Independent)
	}
	switch c.HostMemory {
	case "", hostPinned, hostPageable:
	default:
		return fmt.Errorf("host memory %q: %s or %s", c.HostMemory, hostPinned, hostPageable)
	}
	_, err := parseDevice(c.Device)
	return err
}

func (c Config) withDefaults() Config {
	if c.MaxRows == 0 {
		c.MaxRows = defaultMaxRows
	}
	if c.IntraOp == 0 {
		c.IntraOp = 1
	}
	if c.Independent == "" {
		c.Independent = independentProbe
	}
	return c
}
