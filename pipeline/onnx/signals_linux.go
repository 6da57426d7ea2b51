package onnx

import (
	"fmt"
	"runtime"
	"syscall"
	"unsafe"
)

// signalAction is the kernel's struct sigaction, which is the same on amd64 and
// arm64: handler, flags, restorer, mask. It is carried, not read.
type signalAction [4]uint64

// lastSignal is the highest signal number on Linux.
const lastSignal = 64

// keepSignalHandlers calls create and puts every signal handler back as it was
// before. CUDA replaces Go's handlers by ones that do not run on the alternate
// stack: a later SIGTERM or SIGURG on a goroutine's small stack then crashes the
// process (onnxruntime_go issue 140). The system call is made directly because
// os/signal can neither read a handler nor set one of C's.
func keepSignalHandlers(create func() error) error {
	runtime.LockOSThread() // one thread for reading and writing; handlers are per process
	defer runtime.UnlockOSThread()
	var saved [lastSignal + 1]signalAction
	for sig := 1; sig <= lastSignal; sig++ {
		if err := sigaction(sig, nil, &saved[sig]); err != nil {
			return fmt.Errorf("read the handler of signal %d: %w", sig, err)
		}
	}
	err := create()
	for sig := 1; sig <= lastSignal; sig++ {
		if syscall.Signal(sig) == syscall.SIGKILL || syscall.Signal(sig) == syscall.SIGSTOP {
			continue // not ours to set
		}
		var now signalAction
		if e := sigaction(sig, nil, &now); e == nil && now == saved[sig] {
			continue
		}
		if e := sigaction(sig, &saved[sig], nil); e != nil && err == nil {
			err = fmt.Errorf("restore the handler of signal %d: %w", sig, e)
		}
	}
	return err
}

func sigaction(sig int, set, old *signalAction) error {
	_, _, errno := syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(set)), uintptr(unsafe.Pointer(old)), 8, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
