package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-ml/sluice/deploy/bench/lab"
)

// poison gives the value of record i of point 3: one in 50 is bad, in turn of
// five kinds; kind 0 is mended later by another mapping.
func poison(i int, values []float32) (value []byte, kind int) {
	if i%50 != 7 {
		return jsonRow(make([]byte, 0, 9000), i, "h0", values), -1
	}
	id := fmt.Sprintf(`{"id":"r%d",`, i)
	switch kind = i / 50 % 5; kind {
	case 0:
		return jsonRow(make([]byte, 0, 9000), i, "pixels", values), kind
	case 1:
		return append(jsonRow(nil, i, "h0", values)[:4000], 0xff, 0xfe), kind
	case 2:
		return jsonRow(nil, i, "h0", values[:width-1]), kind
	case 3:
		return []byte(id + `"h0":"` + strings.Repeat("x", 100) + `"}`), kind
	default:
		return []byte(id + `"h0":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`), kind
	}
}

// poisoned is point 3.
func poisoned(ctx context.Context, l *campaign) ([]fact, error) {
	in, out, dlq, err := l.Topics(ctx, "p3", "")
	if err != nil {
		return nil, err
	}
	values := make([]float32, width)
	bad, mendable := map[string][]byte{}, 0
	if err := l.Load(ctx, in, l.records, func(i int) []byte {
		row(i, values)
		v, kind := poison(i, values)
		if kind >= 0 {
			bad[string(lab.Key(i))] = v
		}
		if kind == 0 {
			mendable++
		}
		return v
	}); err != nil {
		return nil, err
	}
	s := l.mlp("p3", in, out, dlq)
	both, err := l.pair(ctx, s, false)
	defer lab.KillAll(both)
	if err != nil {
		return nil, err
	}
	if err := l.CaughtUp(ctx, s.Group, in); err != nil {
		return nil, err
	}
	facts := stopAll(both)
	facts = append(facts, l.deadLetters(ctx, dlq, bad)...)
	t, err := l.tally(ctx, out)
	if err != nil {
		return facts, err
	}
	facts = append(facts, fact{
		"predicted before the mend", fmt.Sprintf("%d, twice %d, unlike the reference %d", t.Records, t.Extra, t.Wrong),
		t.Records == l.records-len(bad) && t.Extra == 0 && t.Wrong == 0,
	})
	more, err := l.mend(ctx, s, mendable, len(bad))
	l.Drop(ctx, in, out, dlq)
	return append(facts, more...), err
}

// deadLetters compares a dead-letter topic with the records that belong there.
func (l *campaign) deadLetters(ctx context.Context, dlq string, bad map[string][]byte) []fact {
	missing, strange, classes := len(bad), 0, map[string]int{}
	err := l.ReadAll(ctx, dlq, func(r *kgo.Record) error {
		if want, ok := bad[string(r.Key)]; !ok || !bytes.Equal(want, r.Value) {
			strange++
			return nil
		}
		missing--
		for _, h := range r.Headers {
			if h.Key == "x-error-class" {
				classes[string(h.Value)]++
			}
		}
		return nil
	})
	return []fact{{
		"dead letters with their original bytes", fmt.Sprintf("%d of %d, others %d, classes %v", len(bad)-missing, len(bad), strange, classes),
		err == nil && missing == 0 && strange == 0,
	}}
}

// mend replays the class that another mapping cures and counts again.
func (l *campaign) mend(ctx context.Context, s lab.Setup, mendable, bad int) ([]fact, error) {
	before, err := l.End(ctx, s.Input)
	if err != nil {
		return nil, err
	}
	text, err := lab.Command(ctx, l.Bin, "dlq", "replay", "-b", l.Brokers[0], "-t", s.DLQ, "--class", "wrong_name")
	if err != nil {
		return nil, err
	}
	after, err := l.End(ctx, s.Input)
	if err != nil {
		return nil, err
	}
	facts := []fact{{"sluice dlq replay --class wrong_name", fmt.Sprintf("%d of %d dead letters went back: %s", after-before, bad, strings.TrimSpace(text)), after-before == int64(mendable)}}
	s.Name, s.Sets = "p3-mended", []string{"model.inputs.h0=/pixels"}
	v, err := l.Start(ctx, s, "")
	if err != nil {
		return facts, err
	}
	defer v.Kill()
	if err := l.CaughtUp(ctx, s.Group, s.Input); err != nil {
		return facts, err
	}
	facts = append(facts, stopAll([]*lab.Process{v})...)
	t, err := l.tally(ctx, s.Output)
	if err != nil {
		return facts, err
	}
	return append(facts, fact{
		"predicted after the mend", fmt.Sprintf("%d, twice %d, unlike the reference %d", t.Records, t.Extra, t.Wrong),
		t.Records == l.records-bad+mendable && t.Extra == 0 && t.Wrong == 0,
	}), nil
}
