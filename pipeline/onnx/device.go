package onnx

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	ort "github.com/yalue/onnxruntime_go"
)

// ErrNoDevice says that the device that was asked for cannot be used.
var ErrNoDevice = errors.New("device not usable")

// device is where a session runs.
type device struct {
	name string // cpu, cuda:0
	cuda bool
	id   int
}

// String is the device's name.
func (d device) String() string { return d.name }

var cpuDevice = device{name: "cpu"}

// deviceRequest is a parsed model.device.
type deviceRequest struct {
	auto bool
	cuda []int // the ids, nil for the CPU
}

func parseDevice(s string) (deviceRequest, error) {
	switch s {
	case "", "cpu":
		return deviceRequest{}, nil
	case "auto":
		return deviceRequest{auto: true, cuda: []int{0}}, nil
	case "cuda":
		return deviceRequest{cuda: []int{0}}, nil
	}
	list, ok := strings.CutPrefix(s, "cuda:")
	if !ok {
		return deviceRequest{}, fmt.Errorf("model.device is %q: cpu, cuda, cuda:0,1 or auto", s)
	}
	var r deviceRequest
	for part := range strings.SplitSeq(list, ",") {
		id, err := strconv.Atoi(part)
		if err != nil || id < 0 {
			return deviceRequest{}, fmt.Errorf("model.device is %q: %q is not the number of a device", s, part)
		}
		r.cuda = append(r.cuda, id)
	}
	return r, nil
}

// gpuPresent says that the machine has an NVIDIA GPU that this process may see.
func gpuPresent() bool {
	gpus, _ := filepath.Glob("/dev/nvidia[0-9]*") // the pattern is well formed
	_, wsl := os.Stat("/dev/dxg")
	return len(gpus) > 0 || wsl == nil
}

// openSessions loads the model on each device of the request. An `auto` without
// a GPU is the CPU; a GPU that fails is an error unless fallback is set.
func openSessions(path string, inputs []port, outputs []port, cfg *Config, log *slog.Logger) (sessions []*session, fellBack bool, err error) {
	request, err := parseDevice(cfg.Device)
	if err != nil {
		return nil, false, err
	}
	if request.auto && !gpuPresent() {
		log.Info("no GPU here, running on the CPU", "device", cfg.Device)
		request.cuda = nil
	}
	devices := []device{cpuDevice}
	if request.cuda != nil {
		devices = devices[:0]
		for _, id := range request.cuda {
			devices = append(devices, device{name: "cuda:" + strconv.Itoa(id), cuda: true, id: id})
		}
	}
	for _, d := range devices {
		s, err := newSession(path, inputs, outputs, d, cfg.IntraOp)
		if err != nil {
			destroyAll(sessions)
			if d.cuda && cfg.CUDAFallback {
				log.Warn("CUDA cannot start, falling back to the CPU", "device", cfg.Device, "error", err)
				s, err := newSession(path, inputs, outputs, cpuDevice, cfg.IntraOp)
				if err != nil {
					return nil, true, err
				}
				return []*session{s}, true, nil
			}
			return nil, false, err
		}
		sessions = append(sessions, s)
	}
	openHosts(sessions, cfg.HostMemory, log)
	return sessions, false, nil
}

// openHosts gives the sessions the memory that the configuration names. Without it
// they work, too.
func openHosts(sessions []*session, memory string, log *slog.Logger) {
	for _, s := range sessions {
		if memory == hostPageable || memory == "" && !s.device.cuda {
			continue
		}
		if err := s.openHost(); err != nil {
			log.Warn("no pinned memory, copies go through ordinary memory", "device", s.device.name, "error", err)
		}
	}
}

func destroyAll(sessions []*session) {
	for _, s := range sessions {
		_ = s.destroy() // the binding returns nil always
	}
}

// appendTo adds the device's execution provider to the options of a session.
func (d device) appendTo(opts *ort.SessionOptions) error {
	if !d.cuda {
		return nil
	}
	// Looked for beforehand: the runtime names at most the first one missing.
	if missing := missingProviderLibraries(libraryFolder()); len(missing) > 0 {
		return fmt.Errorf("%w: CUDA needs %s, not found beside the runtime in %s or on the loader's path; fetch the CUDA build with deploy/onnxruntime/fetch.sh --cuda, install CUDA 13 and cuDNN 9, and put their folders into LD_LIBRARY_PATH; or use device: cpu",
			ErrNoDevice, strings.Join(missing, ", "), libraryFolder())
	}
	cuda, err := ort.NewCUDAProviderOptions()
	if err != nil {
		return fmt.Errorf("%w: make CUDA options: %w", ErrNoDevice, err)
	}
	defer func() { _ = cuda.Destroy() }() // it exists; the session options keep a copy
	if err := cuda.Update(map[string]string{"device_id": strconv.Itoa(d.id)}); err != nil {
		return fmt.Errorf("%w: set CUDA options: %w", ErrNoDevice, err)
	}
	if err := opts.AppendExecutionProviderCUDA(cuda); err != nil {
		return fmt.Errorf("%w: load the CUDA provider: %w", ErrNoDevice, err)
	}
	return nil
}

// fault says that a run failed because of the device, not of a row. The binding
// passes on the runtime's text and drops its code, so the text is all there is:
// these are the prefixes with which the CUDA provider reports failed calls
// (onnxruntime/core/providers/cuda/cuda_call.cc). A lack of memory is left out:
// a smaller batch may fit.
func (d device) fault(err error) bool {
	if !d.cuda || err == nil {
		return false
	}
	text := err.Error()
	if strings.Contains(text, "out of memory") || strings.Contains(text, "Failed to allocate memory") {
		return false
	}
	for _, mark := range []string{"CUDA failure", "CUDNN failure", "CUBLAS failure", "CURAND failure", "CUFFT failure", "CUDA error"} {
		if strings.Contains(text, mark) {
			return true
		}
	}
	return false
}
