package onnx

import (
	"errors"
	"os"
	"os/signal"
	"testing"
)

func TestSignalHandlersAreRestored(t *testing.T) {
	// Not parallel: signal handlers belong to the process.
	notified := make(chan os.Signal, 1)
	signal.Notify(notified, os.Interrupt)
	defer signal.Stop(notified)
	read := func() (a signalAction) {
		if err := sigaction(2, nil, &a); err != nil {
			t.Fatal(err)
		}
		return a
	}
	before := read()
	failure := errors.New("as CUDA might")
	err := keepSignalHandlers(func() error {
		without := before
		without[1] &^= 0x08000000 // SA_ONSTACK, which CUDA leaves out
		if err := sigaction(2, &without, nil); err != nil {
			return err
		}
		if read() == before {
			t.Error("the handler was not replaced: this test shows nothing")
		}
		return failure
	})
	if !errors.Is(err, failure) {
		t.Errorf("keepSignalHandlers() = %v, want the error of what it called", err)
	}
	if after := read(); after != before {
		t.Errorf("handler %x, want %x", after, before)
	}
}
