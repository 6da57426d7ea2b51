package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sluice-ml/sluice/deploy/bench/lab"
)

// zooRecords is how many records each model of the zoo gets: enough to be
// batched, of differing lengths where the model has a second dimension.
const zooRecords = 400

// zooCase is a line of zoo_reference.py.
type zooCase struct {
	Model   string           `json:"model"`
	Refused bool             `json:"refused"`
	Record  json.RawMessage  `json:"record"`
	Outputs map[string][]any `json:"outputs"`
}

// everyModel is point 8: each model of the zoo as a service of its own.
func everyModel(ctx context.Context, l *campaign) ([]fact, error) {
	cases, order, err := l.zooCases(ctx)
	if err != nil {
		return nil, err
	}
	var facts []fact
	for _, file := range order {
		f, err := l.oneModel(ctx, file, cases[file])
		if err != nil {
			f = fact{file, err.Error(), false}
		}
		facts = append(facts, f)
	}
	return facts, nil
}

func (l *campaign) zooCases(ctx context.Context) (map[string][]zooCase, []string, error) {
	text, err := lab.Command(ctx, l.Python, filepath.Join("deploy", "bench", "accept", "zoo_reference.py"), l.Zoo, fmt.Sprint(zooRecords))
	if err != nil {
		return nil, nil, err
	}
	cases, order := map[string][]zooCase{}, []string(nil)
	scanner := bufio.NewScanner(strings.NewReader(text))
	scanner.Buffer(nil, 1<<22)
	for scanner.Scan() {
		var c zooCase
		if err := json.Unmarshal(scanner.Bytes(), &c); err != nil {
			return nil, nil, fmt.Errorf("zoo_reference.py: %w: %.200s", err, scanner.Text())
		}
		if _, seen := cases[c.Model]; !seen {
			order = append(order, c.Model)
		}
		cases[c.Model] = append(cases[c.Model], c)
	}
	return cases, order, scanner.Err()
}

func (l *campaign) oneModel(ctx context.Context, file string, cases []zooCase) (fact, error) {
	name := strings.TrimSuffix(file, ".onnx")
	if cases[0].Refused {
		return l.refused(ctx, file, name)
	}
	in, out, dlq, err := l.Topics(ctx, "zoo."+name, "")
	if err != nil {
		return fact{}, err
	}
	defer l.Drop(ctx, in, out, dlq)
	if err := l.Load(ctx, in, len(cases), func(i int) []byte { return cases[i].Record }); err != nil {
		return fact{}, err
	}
	s := lab.Setup{Name: "zoo-" + name, Input: in, Output: out, DLQ: dlq, Group: l.ID + ".zoo." + name, Model: l.Model(file), ModelName: name}
	v, err := l.Start(ctx, s, "")
	if err != nil {
		return fact{}, err
	}
	defer v.Kill()
	limit, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := l.CaughtUp(limit, s.Group, in); err != nil {
		return fact{}, err
	}
	if code, _, err := v.Stop(); err != nil || code != 0 {
		return fact{}, fmt.Errorf("exit %d: %w", code, err)
	}
	right, seen, first := 0, map[int]int{}, ""
	if err := l.ReadAll(ctx, out, func(r *kgo.Record) error {
		i := lab.Index(string(r.Key))
		seen[i]++
		if i < 0 || i >= len(cases) {
			return fmt.Errorf("key %q is none of ours", r.Key)
		}
		if wrong := cases[i].unlike(r.Value); wrong == "" {
			right++
		} else if first == "" {
			first = fmt.Sprintf("; first: %s: %s", r.Key, wrong)
		}
		return nil
	}); err != nil {
		return fact{}, err
	}
	return fact{file, fmt.Sprintf("%d of %d answers as if run alone%s", right, len(cases), first), right == len(cases) && len(seen) == len(cases)}, nil
}

// refused runs a model that must not be served.
func (l *campaign) refused(ctx context.Context, file, name string) (fact, error) {
	in, out, dlq, err := l.Topics(ctx, "zoo."+name, "")
	if err != nil {
		return fact{}, err
	}
	defer l.Drop(ctx, in, out, dlq)
	v, err := l.Start(ctx, lab.Setup{Name: "zoo-" + name, Input: in, Output: out, DLQ: dlq, Group: l.ID + ".zoo." + name, Model: l.Model(file), ModelName: name}, "")
	if err != nil {
		return fact{}, err
	}
	defer v.Kill()
	<-v.Waited
	log, err := os.ReadFile(filepath.Join(l.Dir, "zoo-"+name+".log"))
	said := bytes.Contains(log, []byte("rows_dropped"))
	return fact{file, fmt.Sprintf("refused: exit %d, the reason is in the log: %v", v.ExitCode(), said), said && v.ExitCode() != 0}, err
}

// unlike says how a result differs from what the record gives alone, "" when it
// does not.
func (c *zooCase) unlike(value []byte) string {
	var got struct {
		Outputs map[string]any `json:"outputs"`
	}
	if err := json.Unmarshal(value, &got); err != nil {
		return err.Error()
	}
	if len(got.Outputs) != len(c.Outputs) {
		return fmt.Sprintf("%d outputs, want %d", len(got.Outputs), len(c.Outputs))
	}
	for name, want := range c.Outputs {
		flat := flatten(nil, got.Outputs[name])
		if !slices.EqualFunc(flat, flatten(nil, want), same) {
			return fmt.Sprintf("%s is %v, want %v", name, flat, want)
		}
	}
	return ""
}

func flatten(dst []any, v any) []any {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			dst = flatten(dst, e)
		}
		return dst
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			dst = flatten(append(dst, k), v[k])
		}
		return dst
	}
	return append(dst, v)
}

// same compares numbers as the other points do, the rest exactly.
func same(a, b any) bool {
	x, ok := a.(float64)
	y, ok2 := b.(float64)
	if ok && ok2 {
		return math.Abs(x-y) <= 1e-5+1e-5*math.Abs(y)
	}
	return a == b
}
