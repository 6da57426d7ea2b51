package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-ml/sluice/internal/bench"
	"github.com/sluice-ml/sluice/internal/config"
	"github.com/sluice-ml/sluice/internal/synthetic"
	"github.com/sluice-ml/sluice/pipeline/onnx"
	"github.com/sluice-ml/sluice/schemas"
)

// recordFlags say what is published.
type recordFlags struct {
	file        string
	format      string
	recordBytes int
	headers     []string
	model       string
	codec       string
	made        madeFlags
}

// madeFlags say what a signature leaves open.
type madeFlags struct{ dims, ranges []string }

func (f *madeFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.dims, "dim", nil, "length of a dimension that may vary: name=32 (repeatable)")
	cmd.Flags().StringArrayVar(&f.ranges, "range", nil, "values of an input: input=0..30000 (repeatable; default floats 0..1, whole numbers 0 and 1)")
}

func (f *recordFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.file, "records", "", "file to publish, again and again; - is standard input")
	flags.StringVar(&f.format, "format", "lines", "of the file: lines (a value each), envelope (as publish --json) or raw")
	flags.IntVar(&f.recordBytes, "record-bytes", 0, "length of a record of a raw file")
	flags.StringArrayVar(&f.headers, "header", nil, "header of each record: name=value (repeatable)")
	flags.StringVar(&f.model, "model", "", "make records up for this model: a .onnx file or a model folder (with -c: model.path)")
	flags.StringVar(&f.codec, "codec", "", "of made-up records: json, raw or oip-json (with -c: input.codec; default json)")
	f.made.register(cmd)
}

// benchRecords reads or makes up what is published.
func (a *app) benchRecords(ctx context.Context, flags *benchFlags, cfg *config.Config) (*bench.Records, error) {
	headers, err := parseHeaders(flags.records.headers)
	if err != nil {
		return nil, err
	}
	f := &flags.records
	switch {
	case f.file != "" && f.model != "":
		return nil, usageErrorf("--records and --model are both given; keep one")
	case f.file != "":
		in, name, err := a.openInput([]string{f.file})
		if err != nil {
			return nil, err
		}
		defer in.Close() //nolint:errcheck // only read
		return a.readRecords(in, name, f, headers)
	case f.model != "":
		cfg.Model.Path, cfg.Model.Version = f.model, ""
	case flags.source.file == "":
		return nil, usageErrorf("no records; name a file with --records, a model to make them up for with --model, or a configuration with -c")
	}
	if f.codec != "" {
		cfg.Input.Codec = f.codec
	}
	return a.makeRecords(ctx, cfg, f, headers, flags.seed)
}

func (a *app) readRecords(in io.Reader, name string, f *recordFlags, headers []schemas.Header) (*bench.Records, error) {
	r := &bench.Records{Origin: "from " + filepath.Base(name)}
	add := func(rec bench.Record) bool {
		rec.Headers = append(rec.Headers, headers...)
		return r.Add(rec)
	}
	var all bool
	var err error
	switch f.format {
	case "lines", "envelope":
		all, err = readLines(in, f.format == "envelope", add)
	case "raw":
		if f.recordBytes <= 0 {
			return nil, usageErrorf("--format raw: say how long a record is with --record-bytes")
		}
		all, err = readRaw(in, f.recordBytes, add)
	default:
		return nil, usageErrorf("--format: unknown format %q; allowed: lines, envelope, raw", f.format)
	}
	switch {
	case err != nil:
		return nil, usageErrorf("%s: %w", name, err)
	case r.Count() == 0:
		return nil, usageErrorf("%s: there is no record in it", name)
	case !all:
		a.say("%s is longer than %v: its first %d records are used", name, config.Size(bench.RecordsLimit), r.Count())
	}
	return r, nil
}

// readLines calls add for each line until it is false; all says that it never
// was.
func readLines(in io.Reader, envelopes bool, add func(bench.Record) bool) (all bool, err error) {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 256<<10), longestLine)
	for number := 1; lines.Scan(); number++ {
		text := lines.Bytes()
		if len(bytes.TrimSpace(text)) == 0 {
			continue
		}
		rec := bench.Record{Value: text, Partition: -1}
		if envelopes {
			e, err := readEnvelope(text)
			if err != nil {
				return false, fmt.Errorf("line %d: %w", number, err)
			}
			rec = bench.Record{Key: e.Key, Value: e.Value, Headers: e.Headers, Partition: e.Partition}
		}
		if !add(rec) {
			return false, nil
		}
	}
	return true, lines.Err()
}

func readRaw(in io.Reader, size int, add func(bench.Record) bool) (all bool, err error) {
	buf := make([]byte, size)
	for {
		n, err := io.ReadFull(in, buf)
		switch {
		case errors.Is(err, io.EOF):
			return true, nil
		case errors.Is(err, io.ErrUnexpectedEOF):
			return false, fmt.Errorf("the last record has %d of %d bytes; see --record-bytes", n, size)
		case err != nil:
			return false, err
		}
		if !add(bench.Record{Value: buf, Partition: -1}) {
			return false, nil
		}
	}
}

// makeRecords makes records up from the model's signature.
func (a *app) makeRecords(ctx context.Context, cfg *config.Config, f *recordFlags, headers []schemas.Header, seed uint64) (*bench.Records, error) {
	opts, err := f.made.options()
	if err != nil {
		return nil, err
	}
	if _, _, err := loadRuntime(cfg); err != nil {
		return nil, err
	}
	model, err := onnx.Inspect(ctx, modelConfig(cfg))
	if err != nil {
		return nil, modelError(ctx, err)
	}
	inputs, err := syntheticInputs(model.Inputs)
	if err != nil {
		return nil, err
	}
	maker, err := synthetic.NewMaker(inputs, opts, seed)
	if err != nil {
		return nil, usageErrorf("make up records for %s: %w", model.File, err)
	}
	message, err := synthetic.NewMessage(cfg.Input.Codec, inputs, inputMappings(cfg.Model.Inputs), cfg.Model.Rows)
	if err != nil {
		return nil, usageErrorf("make up records for %s: %w", model.File, err)
	}
	return bench.MakeUp(fmt.Sprintf("made up for %s (%s)", filepath.Base(model.File), cfg.Input.Codec), maker, message, headers...)
}

// options reads --dim and --range.
func (f *madeFlags) options() (synthetic.Options, error) {
	opts := synthetic.Options{Dims: map[string]int64{}, Ranges: map[string]synthetic.Range{}}
	for _, text := range f.dims {
		name, size, err := synthetic.ParseDim(text)
		if err != nil {
			return opts, usageErrorf("--dim: %w", err)
		}
		opts.Dims[name] = size
	}
	for _, text := range f.ranges {
		name, r, err := synthetic.ParseRange(text)
		if err != nil {
			return opts, usageErrorf("--range: %w", err)
		}
		opts.Ranges[name] = r
	}
	return opts, nil
}

// syntheticInputs is a model's inputs as the maker of values takes them.
func syntheticInputs(infos []onnx.TensorInfo) ([]synthetic.Input, error) {
	inputs := make([]synthetic.Input, len(infos))
	for i, t := range infos {
		typ, err := schemas.ParseDataType(t.Datatype)
		if err != nil {
			return nil, fmt.Errorf("input %s: %w", t.Name, err)
		}
		inputs[i] = synthetic.Input{
			TensorSpec: schemas.TensorSpec{Name: t.Name, Type: typ, Shape: t.Shape, BatchAxis: t.BatchAxis}, DimNames: t.Dims,
		}
	}
	return inputs, nil
}

// parseHeaders reads name=value.
func parseHeaders(texts []string) ([]schemas.Header, error) {
	var headers []schemas.Header
	for _, text := range texts {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return nil, usageErrorf("--header: %q is no header; write name=value", text)
		}
		headers = append(headers, schemas.Header{Key: name, Value: []byte(value)})
	}
	return headers, nil
}

// createFile makes a file of a report and closes it when write has filled it.
func createFile(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return usageErrorf("write the report: %w", err)
	}
	out := bufio.NewWriter(f)
	if err := errors.Join(write(out), out.Flush(), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
