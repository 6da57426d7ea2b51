//go:build integration

package main

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-ml/sluice/schemas"
)

// done runs the service over what is in the input topic.
func (w *world) done(sets ...string) (outputs []schemas.Record, log *running) {
	w.t.Helper()
	s := start(w.t, w.with(sets...)...)
	s.await("ready")
	w.settled()
	s.end(exitOK)
	return w.outputs(), s
}

func TestSixtyNamedFieldsFeedOneInput(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	var pointers []string
	for i := range 60 {
		pointers = append(pointers, fmt.Sprintf("/f%d", i))
	}
	var records []*kgo.Record
	want := map[string]float64{}
	for id := range 100 {
		fields, sum := []string{}, 0.0
		for i := 59; i >= 0; i-- { // in another order than the mapping
			v := float64((id+i*7)%50) / 4
			sum += v * float64(i+1)
			fields = append(fields, fmt.Sprintf(`"f%d":%v`, i, v))
		}
		want[strconv.Itoa(id)] = sum
		records = append(records, &kgo.Record{Partition: int32(id % 2), Key: fmt.Append(nil, id), Value: fmt.Appendf(nil,
			`{"id":"%d","customer":{"name":"c%d","vip":true},%s}`, id, id, strings.Join(fields, ","))})
	}
	w.put(records...)
	outputs, s := w.done(zoo(t, "tabular60"), "model.name=tabular", "model.inputs.features=["+strings.Join(pointers, ",")+"]",
		"output.include=/customer/name,/f3")
	if wantEach(t, outputs, 100) != 0 || len(outputs) != 100 {
		t.Fatalf("%d outputs of 100\n%s", len(outputs), s.log)
	}
	for _, r := range outputs {
		var got struct {
			ID, Model, Version string
			Outputs            struct{ Score []float64 }
			Include            map[string]any
		}
		if err := json.Unmarshal(r.Value, &got); err != nil {
			t.Fatalf("%s: %v", r.Value, err)
		}
		if got.ID != string(r.Key) || got.Model != "tabular" || got.Version != "1" || len(got.Outputs.Score) != 1 ||
			math.Abs(got.Outputs.Score[0]-want[got.ID]) > 1e-5+1e-5*want[got.ID] {
			t.Fatalf("%s, want the score %v", r.Value, want[got.ID])
		}
		if text, _ := json.Marshal(got.Include); !strings.Contains(string(text), `"c`+got.ID+`"`) || len(got.Include) != 2 {
			t.Fatalf("include is %s", text)
		}
	}
}

func TestRawAndOpenInferenceEndToEnd(t *testing.T) {
	t.Parallel()
	oip := `{"id":"q1","inputs":[{"name":"x","datatype":"FP32","shape":[1,4],"data":[1,2,3,4]}]}`
	floats := []float32{3, 5, 7, 9}
	for name, c := range map[string]struct {
		sets        []string
		value       []byte
		headers     []kgo.RecordHeader
		contentType string
		check       func(value []byte) bool
	}{
		"raw": {[]string{"input.codec=raw"}, little(1, 2, 3, 4), nil, "application/octet-stream", func(v []byte) bool {
			return string(v) == string(little(floats...))
		}},
		"raw in, JSON out": {[]string{"input.codec=raw", "output.codec=json"}, little(1, 2, 3, 4), nil, "application/json", func(v []byte) bool {
			return string(v) == `{"id":"0","model":"affine","version":"1","outputs":{"y":[3,5,7,9]}}`
		}},
		"JSON in, raw out": {[]string{"output.codec=raw"}, []byte(`{"x":[1,2,3,4]}`), nil, "application/octet-stream", func(v []byte) bool {
			return string(v) == string(little(floats...))
		}},
		"oip-json": {[]string{"input.codec=oip-json"}, []byte(oip), of("content-type", "application/json; charset=utf-8"), "", isOIP},
		"OIP by its header": {
			[]string{"input.codec=json", "output.codec=oip-json"},
			[]byte(oip), of("content-type", "application/vnd.oip+json"), "", isOIP,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1)
			w.put(&kgo.Record{Key: []byte("0"), Value: c.value, Headers: c.headers})
			outputs, s := w.done(c.sets...)
			if len(outputs) != 1 || !c.check(outputs[0].Value) {
				t.Fatalf("%d outputs\n%s", len(outputs), s.log)
			}
			if got, _ := header(&outputs[0], "content-type"); c.contentType != "" && got != c.contentType {
				t.Errorf("content-type %q, want %q", got, c.contentType)
			}
		})
	}
}

func isOIP(value []byte) bool {
	var got struct {
		ID        string `json:"id"`
		ModelName string `json:"model_name"`
		Outputs   []struct {
			Name, Datatype string
			Shape          []int
			Data           []float64
		}
	}
	err := json.Unmarshal(value, &got)
	return err == nil && got.ID == "q1" && got.ModelName == "affine" && len(got.Outputs) == 1 &&
		fmt.Sprint(got.Outputs[0]) == "{y FP32 [1 4] [3 5 7 9]}"
}

func TestLineageTimestampsAndPartitions(t *testing.T) {
	t.Parallel()
	lineage := []string{"x-outcome-id", "x-model", "x-source"}
	full := []string{"x-outcome-id", "x-model", "x-source", "x-runtime", "x-execution-provider", "x-batch-rows"}
	for _, c := range []struct {
		set         string
		there, gone []string
	}{
		{"output.lineage=short", lineage, full[3:]},
		{"output.lineage=full", full, nil},
		{"output.lineage=none", nil, full},
		{"output.partition=same", lineage, nil},
		{"output.timestamp=now", lineage, nil},
		{"output.order=none", lineage, nil},
	} {
		t.Run(c.set, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 3)
			records := w.rows(0, 60)
			at := time.UnixMilli(1700000000000)
			for _, r := range records {
				r.Timestamp = at
			}
			w.put(records...)
			outputs, _ := w.done(c.set)
			if wantEach(t, outputs, 60) != 0 {
				t.Error("outputs came twice")
			}
			seen := map[string]bool{}
			for i := range outputs {
				r := &outputs[i]
				for _, name := range c.there {
					if v, ok := header(r, name); !ok || v == "" {
						t.Fatalf("no %s", name)
					}
				}
				for _, name := range c.gone {
					if v, ok := header(r, name); ok {
						t.Fatalf("%s: %s", name, v)
					}
				}
				source, _ := header(r, "x-source")
				id, _ := header(r, "x-outcome-id")
				if seen[id] && id != "" || id != "" && len(id) != 32 {
					t.Errorf("outcome id %q is there twice or too short", id)
				}
				seen[id] = true
				n, _ := strconv.Atoi(string(r.Key))
				if source != "" && !strings.HasPrefix(source, fmt.Sprintf("%s/%d/", w.in, n%3)) {
					t.Errorf("key %s has the source %s", r.Key, source)
				}
				if strings.HasSuffix(c.set, "same") && r.Partition != int32(n%3) {
					t.Errorf("key %s is in partition %d", r.Key, r.Partition)
				}
				if now := strings.HasSuffix(c.set, "now"); now == (r.Timestamp == at.UnixMilli()) {
					t.Errorf("timestamp %d", r.Timestamp)
				}
			}
		})
	}
}
