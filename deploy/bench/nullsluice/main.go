// Command nullsluice is sluice without decoding and without a model: what its Kafka path and its pipeline cost by
// themselves. It is called as every contender of the bench is (README.md beside the bench), ignores the model, and
// writes the key and a fixed output of ten numbers for each record.
//
//	nullsluice BROKERS IN OUT GROUP MODEL PAYLOAD [THREADS]
//
// CPU, heap, block and mutex profiles of the run go to the folder named by NULLSLUICE_PROFILE.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"time"

	consumer "github.com/sluice-ml/sluice/consumers/kafka"
	"github.com/sluice-ml/sluice/internal/kafkawire"
	"github.com/sluice-ml/sluice/pipeline"
	producer "github.com/sluice-ml/sluice/producers/kafka"
	"github.com/sluice-ml/sluice/schemas"
)

// The outputs, as large as a real model's of ten numbers.
const (
	jsonOutput = `{"id":"r000000","outputs":{"y":[0.123456,-0.23456,1.345678,-2.456789,0.567891,0.678912,-0.789123,0.891234,-0.912345,0.101112]}}`
	rawOutput  = "0123456789012345678901234567890123456789"
)

// nullCodec decodes nothing and encodes a constant.
type nullCodec struct{ output string }

func (nullCodec) Decode(_ *schemas.Record, req *schemas.Request) error { req.Rows = 1; return nil }

func (c nullCodec) Encode(dst []byte, _ *schemas.Record, _ *schemas.Request, _ *schemas.Result) ([]byte, string, error) {
	return append(dst, c.output...), "", nil
}

// nullModel runs nothing.
type nullModel struct{}

func (nullModel) Signature() *schemas.Signature              { return &schemas.Signature{} }
func (nullModel) Run(context.Context, *pipeline.Batch) error { return nil }
func (nullModel) Close() error                               { return nil }

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "nullsluice:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 6 {
		return fmt.Errorf("want BROKERS IN OUT GROUP MODEL PAYLOAD [THREADS], got %d arguments", len(args))
	}
	codec := nullCodec{jsonOutput}
	if args[5] == "raw" {
		codec.output = rawOutput
	}
	threads := 2
	if len(args) > 6 {
		n, err := strconv.Atoi(args[6])
		if err != nil || n < 1 {
			return fmt.Errorf("THREADS %q: want a number from 1 on", args[6])
		}
		threads = n
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if dir := os.Getenv("NULLSLUICE_PROFILE"); dir != "" {
		finish, err := profile(dir)
		if err != nil {
			return err
		}
		defer finish()
	}
	return carry(ctx, args[0], args[1], args[2], args[3], codec, threads)
}

// carry wires the parts as `sluice run` does, with the settings that the bench gives to every contender, and runs
// them until ctx ends.
func carry(ctx context.Context, brokers, in, out, group string, codec pipeline.Codec, threads int) error {
	tel := &pipeline.Telemetry{Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))}
	client, err := kafkawire.NewClient(kafkawire.Config{Brokers: strings.Split(brokers, ",")})
	if err != nil {
		return err
	}
	defer client.Close()
	budget := pipeline.NewBudget(256 << 20)
	sink, err := producer.NewSink(client, producer.SinkConfig{ //nolint:contextcheck // the producer lives until Close
		Topic: out, Lineage: producer.LineageNone, Linger: time.Millisecond, Group: group,
	}, tel)
	if err != nil {
		return err
	}
	source, err := consumer.NewSource(client, consumer.Config{
		Topics: []string{in}, Group: group, FetchWait: 50 * time.Millisecond, FetchBytes: 4 << 20, Budget: budget,
	}, tel)
	if err != nil {
		return err
	}
	pipe, err := pipeline.New(pipeline.Config{
		MaxInFlight: 16384, Budget: budget, Workers: threads, MaxRows: 256, RunTimeout: time.Minute, DrainTimeout: 10 * time.Second,
	}, source, codec, nullModel{}, sink, tel)
	if err != nil {
		return err
	}
	if err := source.Start(ctx); err != nil {
		return err
	}
	go func() { // ends with the first join, or with the process
		<-source.Joined()
		fmt.Fprintln(os.Stderr, "ready")
	}()
	err = pipe.Run(ctx)
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if cerr := source.Close(last, true); err == nil {
		err = cerr
	}
	if cerr := sink.Close(last); err == nil {
		err = cerr
	}
	return err
}

// profile records until finish, which writes what it can.
func profile(dir string) (finish func(), err error) {
	cpu, err := os.Create(filepath.Join(dir, "cpu.prof"))
	if err != nil {
		return nil, err
	}
	runtime.SetBlockProfileRate(int(10 * time.Microsecond))
	runtime.SetMutexProfileFraction(10)
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return nil, err
	}
	return func() {
		pprof.StopCPUProfile()
		errs := []error{cpu.Close()}
		for _, name := range []string{"allocs", "block", "mutex"} {
			errs = append(errs, write(filepath.Join(dir, name+".prof"), pprof.Lookup(name)))
		}
		if err := errors.Join(errs...); err != nil {
			fmt.Fprintln(os.Stderr, "nullsluice: profile:", err)
		}
	}, nil
}

func write(path string, p *pprof.Profile) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(p.WriteTo(f, 0), f.Close())
}
