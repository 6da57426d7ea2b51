package onnx

import (
	"fmt"

	ort "github.com/yalue/onnxruntime_go"
)

// session is the model on one device, shared by that device's workers: the
// runtime's Run is thread-safe and a session per worker would cost about twice
// the weights each. It must outlive every run: destroying it under one is a
// crash that Go cannot recover.
type session struct {
	device device
	ort    *ort.DynamicAdvancedSession
	host   *hostAllocator // of the memory for inputs and outputs; nil: ordinary memory
}

// newSession loads the model. On the CPU that many threads run one batch, usually
// one, and none spins between runs: two workers with two threads each were
// measured up to twice slower than two with one, and spinning burns a core while
// idle.
func newSession(path string, inputs []port, outputs []port, dev device, threads int) (*session, error) {
	opts, err := ort.NewSessionOptions()
	if err != nil {
		return nil, fmt.Errorf("make session options: %w", err)
	}
	defer func() { _ = opts.Destroy() }() // it exists; the session keeps a copy
	for _, set := range []func() error{
		func() error { return opts.SetIntraOpNumThreads(threads) },
		func() error { return opts.SetInterOpNumThreads(1) },
		func() error { return opts.AddSessionConfigEntry("session.intra_op.allow_spinning", "0") },
		func() error { return opts.AddSessionConfigEntry("session.inter_op.allow_spinning", "0") },
		func() error { return opts.AddSessionConfigEntry("session.use_env_allocators", "1") },
	} {
		if err := set(); err != nil {
			return nil, fmt.Errorf("set session options: %w", err)
		}
	}
	inNames, outNames := make([]string, len(inputs)), make([]string, len(outputs))
	for i := range inputs {
		inNames[i] = inputs[i].name
	}
	for i := range outputs {
		outNames[i] = outputs[i].name
	}
	s := &session{device: dev}
	create := func() error {
		if err := dev.appendTo(opts); err != nil {
			return err
		}
		s.ort, err = ort.NewDynamicAdvancedSession(path, inNames, outNames, opts)
		return err
	}
	if dev.cuda {
		err = keepSignalHandlers(create)
	} else {
		err = create()
	}
	if err != nil {
		return nil, fmt.Errorf("load %s on %s: %w", path, dev, err)
	}
	return s, nil
}

// openHost makes the session's inputs and outputs lie in memory of the runtime's
// own allocator: pinned on CUDA.
func (s *session) openHost() (err error) {
	memory := memoryCPU
	if s.device.cuda {
		memory = memoryPinned
	}
	s.host, err = newHostAllocator(s.ort, memory, s.device.id)
	return err
}

func (s *session) destroy() error {
	if s.host != nil {
		s.host.close()
	}
	return s.ort.Destroy()
}
