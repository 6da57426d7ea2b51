// Command sluice pulls work items from Kafka into a bounded worker pool that
// runs an ONNX model, and writes the predictions back to Kafka. Each command has
// a file of its name; service.go is what `run` runs.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// version is set at build time (-X main.version=...).
var version = "dev"

func main() {
	ctx, stop := interruptible(context.Background())
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Environ())
	stop()
	os.Exit(code)
}

// oneSignal is how long repeats of the first signal are taken for the same one:
// timeout(1) and some supervisors signal the process and then its whole group.
const oneSignal = 200 * time.Millisecond

// interruptible ends the context at the first SIGINT or SIGTERM; a later second
// one ends the process at once.
func interruptible(parent context.Context) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 2) // both signals may come before we look
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() { // ends with the process
		cancel(interruption{<-signals})
		began := time.Now()
		for range signals {
			if time.Since(began) > oneSignal {
				break
			}
		}
		fmt.Fprintln(os.Stderr, "second signal: stopped at once; what was in flight is not committed and comes again")
		os.Exit(exitFailure)
	}()
	return ctx, func() { signal.Stop(signals); cancel(nil) }
}

// interruption is why a context ended: somebody asked for it.
type interruption struct{ signal os.Signal }

// Error implements error.
func (i interruption) Error() string { return "received " + i.signal.String() }
