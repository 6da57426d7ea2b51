//go:build !linux

package onnx

// keepSignalHandlers: CUDA runs on Linux only, elsewhere no handler is touched.
func keepSignalHandlers(create func() error) error { return create() }
