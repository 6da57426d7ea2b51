package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-ml/sluice/internal/config"
	"github.com/sluice-ml/sluice/internal/modelbench"
	"github.com/sluice-ml/sluice/internal/synthetic"
	"github.com/sluice-ml/sluice/pipeline/onnx"
	"github.com/sluice-ml/sluice/schemas"
)

const zooFolder = "../../pipeline/onnx/testdata/zoo"

func TestModelBenchMeasuresWhatIsAsked(t *testing.T) {
	t.Parallel()
	curve := filepath.Join(t.TempDir(), "m.svg")
	r := sluice(t, "model", "bench", zooFolder+"/affine.onnx", "--batch", "1,4,16", "--threads", "1x1,2x1,1x2", "--time", "20ms", "--json", "--curve", curve)
	r.want(t, exitOK)
	var report modelbench.Report
	if err := json.Unmarshal([]byte(r.out), &report); err != nil {
		t.Fatalf("%v\n%s", err, r.out)
	}
	if len(report.Cells) != 9 || len(report.Fits) != 3 || report.Recommendation == nil || report.Verdict != "rows share a run" || report.RowBytes != 16 {
		t.Errorf("%+v", report)
	}
	knees := 0
	for _, c := range report.Cells {
		if c.Runs < 3 || c.P50 <= 0 || c.P99 < c.P50 || c.RowsPerSecond <= 0 {
			t.Errorf("%+v", *c)
		}
		if c.Knee {
			knees++
		}
	}
	if knees != 3 {
		t.Errorf("%d knees for three choices of threads", knees)
	}
	if data, err := os.ReadFile(curve); err != nil || !bytes.Contains(data, []byte("rows in a batch")) {
		t.Errorf("the curve: %v", err)
	}
	sluice(t, "model", "bench", zooFolder+"/affine.onnx", "--batch", "1", "--threads", "1x1", "--time", "20ms").
		want(t, exitOK, "rows/s", "recommended: model.workers: 1 and model.batch.max_rows: 1")
	sluice(t, "model", "bench", zooFolder+"/batch_coupled.onnx", "--batch", "1,2", "--threads", "1x1", "--time", "20ms").
		want(t, exitOK, "each row is run alone")
}

func TestModelBenchSaysWhatToDo(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"":                                     "name its path",
		"nowhere.onnx":                         "nowhere.onnx",
		zooFolder + "/tokens_dyn.onnx":         "--dim ",
		zooFolder + "/affine.onnx --dim seq=3": "no input has a dimension of that name",
		zooFolder + "/affine.onnx --range z=1..2": "no such input; there are: x",
		zooFolder + "/affine.onnx --range z":      "write input=0..30000",
		zooFolder + "/affine.onnx --batch few":    "write 1..1024",
		zooFolder + "/affine.onnx --threads 2":    "write WORKERSxTHREADS",
		zooFolder + "/affine.onnx --time 1ms":     "at least 10ms",
		zooFolder + "/affine.onnx --curve m.png":  "must end in",
		zooFolder + "/affine.onnx --device tpu":   "tpu",
	} {
		sluice(t, append([]string{"model", "bench"}, strings.Fields(args)...)...).want(t, exitUsage, want)
	}
	sluice(t, "model", "bench", zooFolder+"/gather_fails.onnx", "--batch", "1", "--threads", "1x1", "--time", "20ms", "--range", "id=900..901").
		want(t, exitFailure, "run 1 rows", "see --range")
}

// For every model of the zoo and every codec that can carry its inputs, what is
// made up for it is what its codec reads.
func TestMadeUpRecordsFitEveryModel(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	if _, _, err := loadRuntime(cfg); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(zooFolder + "/*.onnx")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d models, %v", len(files), err)
	}
	fitted := 0
	for _, file := range files {
		m, err := onnx.Load(t.Context(), onnx.Config{Path: file, MaxRows: 4, Workers: 1}, nil)
		if errors.Is(err, onnx.ErrRefused) {
			continue
		} else if err != nil {
			t.Fatal(err)
		}
		inputs, err := syntheticInputs(m.Inputs())
		if err != nil {
			t.Fatal(err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		maker, err := synthetic.NewMaker(inputs, synthetic.Options{Dims: allDims(inputs)}, 1)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		for _, name := range []string{schemas.CodecJSON, schemas.CodecOIPJSON, schemas.CodecRaw} {
			codec, err := schemas.NewCodec(schemas.CodecConfig{Signature: m.Signature(), ModelName: m.Name, Name: name})
			message, errMessage := synthetic.NewMessage(name, inputs, nil, "")
			if err != nil || errMessage != nil {
				continue // raw takes one input of fixed dimensions
			}
			value, err := message.Append(nil, maker.Row(nil))
			if err != nil {
				continue // FP16 has no form in oip-json
			}
			rec := schemas.Record{Key: []byte("k"), Value: value}
			if err := codec.Decode(&rec, &schemas.Request{}); err != nil {
				t.Errorf("%s, %s: %v\n%.300s", file, name, err, value)
				continue
			}
			fitted++
		}
	}
	if fitted < 2*len(files) {
		t.Errorf("only %d codecs of %d models", fitted, len(files))
	}
}

// allDims gives each dimension that may vary three places, by input and axis.
func allDims(inputs []synthetic.Input) map[string]int64 {
	dims := map[string]int64{}
	for _, in := range inputs {
		for axis, d := range in.Shape {
			if d < 0 && axis != in.BatchAxis {
				dims[in.Name+"."+string(rune('0'+axis))] = 3
			}
		}
	}
	return dims
}
