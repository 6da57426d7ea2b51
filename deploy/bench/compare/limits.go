package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/sluice-ml/sluice/deploy/bench/lab"
	"github.com/sluice-ml/sluice/deploy/bench/stats"
)

// limit is what one part of the work could do alone, on all cores.
type limit struct {
	Rate float64 `json:"rate"` // messages a second
	// Of inference: the best batch, and the fit t(n) = a + b n of a run's time.
	Batch  int     `json:"batch,omitempty"`
	FixedA float64 `json:"a_us,omitempty"`
	RowB   float64 `json:"b_us,omitempty"`
}

func (l *limit) line() string {
	text := fmt.Sprintf("%.0f msg/s", l.Rate)
	if l.Batch > 0 {
		text += fmt.Sprintf(" at batch %d, t(n) = %.1f us + %.2f us n", l.Batch, l.FixedA, l.RowB)
	}
	return text
}

// The parts of the work, as contenders of the point limits.
const (
	partORT    = "onnxruntime alone"
	partDecode = "decode alone"
	partEncode = "encode alone"
	// partKafka is the service's own Kafka path without decoding and model.
	partKafka = "nullsluice"
)

// planLimits measures the parts beside the whole, round by round.
func planLimits(b *bench) (steps []step) {
	for round := range b.rounds {
		for _, p := range b.payloads {
			if p.Codec == "" {
				continue // sluice does not do crayfish
			}
			for _, name := range []string{"sluice", partKafka, "nullworker"} {
				if c := b.contender(name); c != nil {
					steps = append(steps, b.drainStep(key{"limits", p.Name, name, "", round}, lab.Task{Contender: c, Payload: p, Records: p.Records(b.records)}))
				}
			}
			alone := map[string]func(context.Context, *lab.Payload) (*limit, error){partORT: b.ortAlone, partDecode: b.decodeAlone, partEncode: b.encodeAlone}
			for _, name := range []string{partORT, partDecode, partEncode} {
				steps = append(steps, step{key: key{"limits", p.Name, name, "", round}, guess: 10 * time.Second, do: func(ctx context.Context, g *leg) (err error) {
					g.Limit, err = alone[name](ctx, p)
					return err
				}})
			}
		}
	}
	return steps
}

// ortAlone sweeps the batch size with inputs bound beforehand.
func (b *bench) ortAlone(ctx context.Context, p *lab.Payload) (*limit, error) {
	model, err := b.ModelPath(ctx, p)
	if err != nil {
		return nil, err
	}
	text, err := lab.Command(ctx, b.Python, filepath.Join("deploy", "bench", "raw_ort.py"), model, fmt.Sprint(runtime.NumCPU()))
	if err != nil {
		return nil, err
	}
	best := &limit{}
	var rows, took []float64
	lines := json.NewDecoder(strings.NewReader(text))
	for lines.More() {
		var l struct {
			Batch int
			Rate  float64
			RunS  float64 `json:"run_s"`
		}
		if err := lines.Decode(&l); err != nil {
			return nil, fmt.Errorf("raw_ort.py: %w", err)
		}
		if l.Rate > best.Rate {
			best.Rate, best.Batch = l.Rate, l.Batch
		}
		rows, took = append(rows, float64(l.Batch)), append(took, l.RunS*1e6)
	}
	if len(rows) < 2 {
		return nil, errors.New("raw_ort.py printed too little")
	}
	best.FixedA, best.RowB = stats.Line(rows, took)
	return best, nil
}

// additive is what all parts one after another on the same cores could do:
// CPU costs add.
func additive(parts ...float64) float64 {
	sum := 0.0
	for _, r := range parts {
		sum += 1 / r
	}
	return 1 / sum
}

// bounds is the additive limit of each round, NaN where a part is missing.
func (s *store) bounds(payload string) []float64 {
	part := func(name string, figure func(*leg) float64) []float64 {
		return s.series(key{"limits", payload, name, "", 0}, figure)
	}
	alone := func(g *leg) float64 { return g.Limit.Rate }
	kafka, ort := part(partKafka, rate), part(partORT, alone)
	decode, encode := part(partDecode, alone), part(partEncode, alone)
	out := make([]float64, min(len(kafka), len(ort), len(decode), len(encode)))
	for i := range out {
		if out[i] = additive(kafka[i], decode[i], ort[i], encode[i]); math.IsInf(out[i], 0) {
			out[i] = math.NaN()
		}
	}
	return out
}
