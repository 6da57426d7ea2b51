// Command benthos is a rival of the bench: Benthos core with a franz-go input and
// output and an ONNX processor. See README.md of the rivals.
//
//	benthos BROKERS IN OUT GROUP MODEL.onnx json|raw|event|tokens [THREADS]
//
// It needs ONNX Runtime's library: SLUICE_RUNTIME_LIBRARY, else the one that
// deploy/onnxruntime/fetch.sh put into the cache. SIGTERM ends it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	_ "github.com/redpanda-data/benthos/v4/public/components/pure"
	"github.com/redpanda-data/benthos/v4/public/service"
	ort "github.com/yalue/onnxruntime_go"
)

// stream is the whole configuration: the components of this program, as many
// model sessions as threads, and nothing reported.
const stream = `
input: {kafka_batches: {}}
pipeline:
  threads: %d
  processors: [{onnx: {}}]
output: {kafka_batches: {}}
logger: {level: ERROR}
metrics: {none: {}}
shutdown_timeout: 10s
`

// arguments are the bench's.
type arguments struct {
	brokers               []string
	in, out, group, model string
	payload               string
	threads               int
}

func parse(args []string) (a arguments, err error) {
	if len(args) < 6 {
		return a, errors.New("usage: benthos BROKERS IN OUT GROUP MODEL.onnx json|raw|event|tokens [THREADS]")
	}
	a = arguments{brokers: strings.Split(args[0], ","), in: args[1], out: args[2], group: args[3], model: args[4], payload: args[5], threads: 2}
	if len(args) > 6 {
		a.threads, err = strconv.Atoi(args[6])
	}
	return a, err
}

func main() {
	a, err := parse(os.Args[1:])
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
		err = run(ctx, a)
		stop()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "benthos:", err)
		os.Exit(1)
	}
}

// run works until ctx ends or a record fails: as all contenders do, it stops then
// without committing the record.
func run(ctx context.Context, a arguments) error {
	ort.SetSharedLibraryPath(library())
	if err := ort.InitializeEnvironment(); err != nil {
		return err
	}
	failed := make(chan error, 1) // the first is enough
	env := service.NewEnvironment()
	err := errors.Join(
		env.RegisterBatchInput("kafka_batches", service.NewConfigSpec(), func(*service.ParsedConfig, *service.Resources) (service.BatchInput, error) {
			return &input{arguments: a, failed: failed}, nil
		}),
		env.RegisterBatchProcessor("onnx", service.NewConfigSpec(), func(*service.ParsedConfig, *service.Resources) (service.BatchProcessor, error) {
			return newProcessor(a.model, a.payload, a.threads)
		}),
		env.RegisterBatchOutput("kafka_batches", service.NewConfigSpec(), func(*service.ParsedConfig, *service.Resources) (service.BatchOutput, service.BatchPolicy, int, error) {
			return &output{arguments: a}, service.BatchPolicy{}, inFlight, nil
		}),
	)
	if err != nil {
		return err
	}
	builder := env.NewStreamBuilder()
	if err := builder.SetYAML(fmt.Sprintf(stream, a.threads)); err != nil {
		return err
	}
	s, err := builder.Build()
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(context.WithoutCancel(ctx)) }() // ends with Stop, or by itself with an error
	select {
	case err := <-ended:
		return err
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	if err := s.StopWithin(15 * time.Second); err != nil {
		return err
	}
	return <-ended
}

// library is where the runtime lies.
func library() string {
	if path := os.Getenv("SLUICE_RUNTIME_LIBRARY"); path != "" {
		return path
	}
	cache := os.Getenv("SLUICE_CACHE")
	if cache == "" {
		user, _ := os.UserCacheDir()
		cache = filepath.Join(user, "sluice")
	}
	return filepath.Join(cache, "onnxruntime", "1.27.0", "libonnxruntime.so")
}
