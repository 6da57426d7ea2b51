// Command gpu holds sluice on one GPU against ONNX Runtime alone on the same GPU, in the same run; README.md beside it
// says what is measured and what to expect. `make bench-gpu` builds and calls it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sluice-ml/sluice/deploy/bench/lab"
	"github.com/sluice-ml/sluice/internal/modelbench"
	"github.com/sluice-ml/sluice/pipeline/onnx"
)

// bench is one run of the command.
type bench struct {
	*lab.Lab
	device    string // cpu or cuda:N
	library   string // libonnxruntime.so
	raw       string // the program of raw_ort/
	model     string
	reference string // file of the expected outputs, made where it is missing
	payload   *lab.Payload
	batches   []int
	workers   []int
	rounds    int
	seconds   float64 // of a leg
	inFlight  int     // requests outstanding where latency is measured
	tolerance float64 // of outputs, absolute and as a share
	out       string
	check     bool // only say whether it can be run
	kafka     bool // a broker is there: the whole service is measured, too

	values [][]byte    // the payload's distinct records
	want   [][]float64 // the outputs they must have
	models map[setup]*onnx.Model
	log    func(format string, args ...any)
}

func main() {
	if err := run(os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "gpu:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	b, err := parse(args)
	if err != nil || b.check {
		return err
	}
	return b.run(ctx)
}

func parse(args []string) (*bench, error) {
	b := &bench{Lab: &lab.Lab{}, log: func(format string, args ...any) { fmt.Fprintf(os.Stderr, "gpu: "+format+"\n", args...) }}
	var payload, batches, workers string
	f := flag.NewFlagSet("gpu", flag.ContinueOnError)
	f.StringVar(&b.device, "device", "cuda:0", "cuda:N, or cpu: a rehearsal of the whole command that says nothing of a GPU")
	f.StringVar(&b.library, "library", "", "libonnxruntime.so; default: what deploy/onnxruntime/fetch.sh gives for the device")
	f.StringVar(&b.raw, "raw", "bin/raw_ort", "the program that runs ONNX Runtime alone")
	f.StringVar(&b.Python, "python", "python3", "interpreter with deploy/bench/requirements.txt, to make model and reference where they are missing")
	f.StringVar(&b.Work, "work", "bin/bench", "folder that keeps model and reference")
	f.StringVar(&b.Bin, "bin", "bin/sluice", "the service, for the legs over Kafka; they are done where KAFKA_BROKERS names a broker")
	f.StringVar(&b.Zoo, "zoo", "pipeline/onnx/testdata/zoo", "folder of the model zoo")
	f.StringVar(&payload, "payload", "tokens", "tokens, json or raw")
	f.StringVar(&batches, "batches", "1..1024", "batch sizes of the sweep; the largest bounds sluice's batches, too")
	f.StringVar(&workers, "workers", "1,2,4", "model.workers of sluice, each a contender")
	f.IntVar(&b.rounds, "rounds", 7, "rounds that count")
	f.Float64Var(&b.seconds, "seconds", 3, "seconds of a leg")
	f.IntVar(&b.inFlight, "in-flight", 1024, "requests outstanding at all times where latency is measured")
	f.BoolVar(&b.check, "check", false, "only say whether this can be run here")
	f.StringVar(&b.out, "out", "", "page; default deploy/bench/results/gpu-DATE.md, of a rehearsal gpu-rehearsal.md in -work")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	var err error
	if b.payload, err = lab.PayloadNamed(payload); err != nil {
		return nil, err
	}
	if payload == "event" || b.payload.Codec == "" {
		return nil, fmt.Errorf("-payload %s: tokens, json or raw", payload)
	}
	if b.batches, err = modelbench.ParseBatches(batches); err != nil {
		return nil, err
	}
	for part := range strings.SplitSeq(workers, ",") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("-workers %q: want numbers from 1 on, such as 1,2,4", workers)
		}
		b.workers = append(b.workers, n)
	}
	if b.rounds < 1 || b.seconds <= 0 || b.inFlight < 1 {
		return nil, errors.New("-rounds, -seconds and -in-flight must be more than 0")
	}
	return b, b.place()
}

// place settles what depends on the device.
func (b *bench) place() error {
	b.tolerance, b.kafka = lab.Tolerance, os.Getenv("KAFKA_BROKERS") != ""
	number, cuda := strings.CutPrefix(b.device, "cuda:")
	if cuda {
		if _, err := strconv.ParseUint(number, 10, 8); err != nil {
			return fmt.Errorf("-device %q: cuda:0, cuda:1, ... or cpu", b.device)
		}
		if gpus, _ := filepath.Glob("/dev/nvidia[0-9]*"); len(gpus) == 0 { // the pattern is well formed
			return errors.New(`no NVIDIA GPU here (there is no /dev/nvidia0). Run this on a machine with one, its driver, CUDA 13 and cuDNN 9: ` +
				`the libraries on LD_LIBRARY_PATH or installed by pip (nvidia-cublas, nvidia-cudnn-cu13, nvidia-cufft, nvidia-curand, nvidia-cuda-runtime, nvidia-cuda-nvrtc). ` +
				`To rehearse the command on the CPU: make bench-gpu ARGS="-device cpu -batches 1..16 -rounds 3 -seconds 1 -in-flight 64 -workers 1,2"`)
		}
		b.tolerance = cudaTolerance
	} else if b.device != "cpu" {
		return fmt.Errorf("-device %q: cuda:0, cuda:1, ... or cpu", b.device)
	}
	if b.out == "" {
		b.out = filepath.Join("deploy", "bench", "results", "gpu-"+time.Now().UTC().Format(time.DateOnly)+".md")
		if !cuda {
			b.out = filepath.Join(b.Work, "gpu-rehearsal.md")
		}
	}
	return nil
}

// cudaTolerance is wider than the CPU's: matrix products round their factors to 10 bits there (TF32, the provider's
// default), 5e-4 of each.
const cudaTolerance = 1e-2

// close frees the models and what lies on the broker, or the temporary folder.
func (b *bench) close(ctx context.Context) {
	for _, m := range b.models {
		_ = m.Close() // returns nil
	}
	if b.kafka {
		b.Close(ctx)
		return
	}
	_ = os.RemoveAll(b.Dir) // a temporary folder
}

func (b *bench) cuda() bool { return b.device != "cpu" }

// run prepares, sweeps, does the rounds and writes the page.
func (b *bench) run(ctx context.Context) error {
	if err := b.prepare(ctx); err != nil {
		return err
	}
	defer b.close(ctx)
	p := &page{bench: b, began: time.Now()}
	var err error
	if p.sweep, err = b.sweepRaw(ctx); err != nil {
		return err
	}
	if err := p.measure(ctx); err != nil {
		return err
	}
	return p.write(ctx)
}

// prepare loads the runtime and makes model, records and reference.
func (b *bench) prepare(ctx context.Context) (err error) {
	open := b.Offline
	if b.kafka {
		open = b.Open
	}
	if err := open(); err != nil {
		return err
	}
	if b.library == "" {
		args := []string{"deploy/onnxruntime/fetch.sh"}
		if b.cuda() {
			args = append(args, "--cuda")
		}
		out, err := lab.Command(ctx, "sh", args...)
		if err != nil {
			return err
		}
		b.library = strings.TrimSpace(out)
	}
	if _, err := onnx.Init(b.library); err != nil {
		return err
	}
	b.models = map[setup]*onnx.Model{}
	if b.model == "" {
		b.model = filepath.Join(b.Work, "models", b.payload.Model)
		if _, missing := os.Stat(b.model); missing != nil || !b.payload.Made {
			if b.model, err = b.ModelPath(ctx, b.payload); err != nil {
				return err
			}
		}
	}
	value := b.Rows(b.payload)
	for i := range b.payload.Distinct {
		b.values = append(b.values, value(i))
	}
	b.want, err = b.expected(ctx)
	return err
}
