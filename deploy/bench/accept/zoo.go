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
func everyModel(ctx context.Context, l *lab) ([]fact, error) {
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

func (l *lab) zooCases(ctx context.Context) (map[string][]zooCase, []string, error) {
	text, err := command(ctx, l.python, filepath.Join("deploy", "bench", "accept", "zoo_reference.py"), l.zoo, fmt.Sprint(zooRecords))
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

func (l *lab) oneModel(ctx context.Context, file string, cases []zooCase) (fact, error) {
	name := strings.TrimSuffix(file, ".onnx")
	if cases[0].Refused {
		return l.refused(ctx, file, name)
	}
	in, out, dlq, err := l.topics(ctx, "zoo."+name, "")
	if err != nil {
		return fact{}, err
	}
	defer l.drop(ctx, in, out, dlq)
	if err := l.load(ctx, in, len(cases), func(i int) []byte { return cases[i].Record }); err != nil {
		return fact{}, err
	}
	s := setup{name: "zoo-" + name, input: in, output: out, dlq: dlq, group: l.id + ".zoo." + name, model: l.model(file), modelName: name}
	v, err := l.start(ctx, s, "")
	if err != nil {
		return fact{}, err
	}
	defer v.kill()
	limit, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := l.caughtUp(limit, s.group, in); err != nil {
		return fact{}, err
	}
	if code, _, err := v.stop(); err != nil || code != 0 {
		return fact{}, fmt.Errorf("exit %d: %w", code, err)
	}
	right, seen, first := 0, map[int]int{}, ""
	if err := l.readAll(ctx, out, func(r *kgo.Record) error {
		i := index(string(r.Key))
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
func (l *lab) refused(ctx context.Context, file, name string) (fact, error) {
	in, out, dlq, err := l.topics(ctx, "zoo."+name, "")
	if err != nil {
		return fact{}, err
	}
	defer l.drop(ctx, in, out, dlq)
	v, err := l.start(ctx, setup{name: "zoo-" + name, input: in, output: out, dlq: dlq, group: l.id + ".zoo." + name, model: l.model(file), modelName: name}, "")
	if err != nil {
		return fact{}, err
	}
	defer v.kill()
	<-v.waited
	log, err := os.ReadFile(filepath.Join(l.dir, "zoo-"+name+".log"))
	said := bytes.Contains(log, []byte("rows_dropped"))
	return fact{file, fmt.Sprintf("refused: exit %d, the reason is in the log: %v", v.cmd.ProcessState.ExitCode(), said), said && v.cmd.ProcessState.ExitCode() != 0}, err
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
