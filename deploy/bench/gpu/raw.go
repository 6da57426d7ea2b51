package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-ml/sluice/deploy/bench/lab"
)

// spec is one way of running ONNX Runtime alone: how and where tensors lie, threads with a stream each, sessions, rows.
type spec struct {
	mode                    string
	streams, sessions, rows int
}

func (s spec) String() string {
	return fmt.Sprintf("%s/%d/%d/%d", s.mode, s.streams, s.sessions, s.rows)
}

// The modes of raw_ort. Those of hostModes copy in and out; the others are bounds.
var hostModes = []string{"pageable", "declared", "pinned", "bound"}

const (
	modeDevice = "device"
	modeGraph  = "graph"
)

// figure is what raw_ort prints of a spec.
type figure struct {
	spec spec
	Spec string  `json:"spec"`
	Rate float64 `json:"rate"`   // rows a second
	Run  float64 `json:"run_us"` // mean of a run
}

// transfers are copies between host and device: GB/s of 64 MiB, and microseconds of 128 KiB to the device.
type transfers struct {
	PinnedTo      float64 `json:"pinned_to"`
	PinnedFrom    float64 `json:"pinned_from"`
	PageableTo    float64 `json:"pageable_to"`
	PageableFrom  float64 `json:"pageable_from"`
	SmallPinned   float64 `json:"small_pinned_us"`
	SmallPageable float64 `json:"small_pageable_us"`
}

// sweep is what was found before the rounds; its best are the contenders of the rounds.
type sweep struct {
	figures   []figure
	graphs    []figure
	noGraph   string // why CUDA graphs could not be measured
	transfers transfers
}

// sweepSeconds is a spec's time in the sweep, which only chooses.
func (b *bench) sweepSeconds() float64 { return min(0.3, b.seconds) }

// callRaw runs raw_ort once on some specs, given as text.
func (b *bench) callRaw(ctx context.Context, seconds float64, specs ...string) (string, error) {
	device := strings.TrimPrefix(b.device, "cuda:")
	return lab.Command(ctx, b.raw, append([]string{b.library, b.model, device, fmt.Sprint(seconds)}, specs...)...)
}

// measureRaw runs ONNX Runtime alone in each of these ways, in one process.
func (b *bench) measureRaw(ctx context.Context, seconds float64, specs []spec) ([]figure, error) {
	var texts []string
	for _, s := range specs {
		texts = append(texts, s.String())
	}
	out, err := b.callRaw(ctx, seconds, texts...)
	if err != nil {
		return nil, err
	}
	figures := make([]figure, len(specs))
	lines := json.NewDecoder(strings.NewReader(out))
	for i := range figures {
		figures[i].spec = specs[i]
		if err := lines.Decode(&figures[i]); err != nil || figures[i].Spec != texts[i] || figures[i].Rate <= 0 {
			return nil, fmt.Errorf("raw_ort printed %q for %s: %w", out, texts[i], err)
		}
	}
	return figures, nil
}

// sweepRaw tries every batch size, memory, and one and two streams.
func (b *bench) sweepRaw(ctx context.Context) (*sweep, error) {
	s := &sweep{}
	var specs []spec
	for _, mode := range append(slices.Clone(hostModes), modeDevice) {
		for _, streams := range []spec{{streams: 1, sessions: 1}, {streams: 2, sessions: 1}, {streams: 2, sessions: 2}} {
			for _, rows := range b.batches {
				specs = append(specs, spec{mode, streams.streams, streams.sessions, rows})
			}
		}
	}
	b.log("sweep of ONNX Runtime alone: %d ways, about %.0f s and what they load", len(specs), b.sweepSeconds()*float64(len(specs)))
	var err error
	if s.figures, err = b.measureRaw(ctx, b.sweepSeconds(), specs); err != nil {
		return nil, err
	}
	for i, rows := range b.batches {
		if i%2 != 0 && i != len(b.batches)-1 { // a process each: every other will do
			continue
		}
		one, err := b.measureRaw(ctx, b.sweepSeconds(), []spec{{modeGraph, 1, 1, rows}})
		if err != nil {
			if ctx.Err() != nil {
				return nil, err
			}
			s.noGraph = err.Error()
			b.log("CUDA graphs: %v", err)
			break
		}
		s.graphs = append(s.graphs, one...)
	}
	out, err := b.callRaw(ctx, min(1, b.seconds), "transfer")
	if err != nil {
		return nil, err
	}
	return s, json.Unmarshal([]byte(out), &s.transfers)
}

// best is the fastest of the sweep among those that keep allows.
func (s *sweep) best(keep func(spec) bool) figure {
	best := figure{}
	for _, f := range s.figures {
		if keep(f.spec) && f.Rate > best.Rate {
			best = f
		}
	}
	return best
}

// limit is the rate that sluice is held against: all copies included.
func (s *sweep) limit() figure {
	return s.best(func(x spec) bool { return x.mode != modeDevice })
}

// resident is the upper bound, without copies.
func (s *sweep) resident() figure {
	return s.best(func(x spec) bool { return x.mode == modeDevice })
}
