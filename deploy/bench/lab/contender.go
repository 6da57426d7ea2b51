package lab

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// Job is what a contender is to do: predict a topic into another.
type Job struct {
	Name                string // of logs and of the group
	Payload             *Payload
	Model               string // path
	In, Out, DLQ, Group string
	Sets                []string // sluice only
}

// Contender is a program that does a job.
type Contender struct {
	Name string
	// Payloads it can do; nil is all but crayfish.
	Payloads []string
	// Null ones only consume and produce: they are a limit, not a rival, and their
	// outputs are no predictions.
	Null bool
	// Build prepares what it needs; nil is nothing.
	Build func(ctx context.Context, l *Lab) error
	Start func(ctx context.Context, l *Lab, j Job) ([]*Process, error)
}

// Can tells whether it does a payload.
func (c *Contender) Can(payload string) bool {
	if c.Payloads == nil {
		return payload != "crayfish"
	}
	return slices.Contains(c.Payloads, payload)
}

// ExactlyOnce is the contender with transactions, a commit every 100 ms (the default).
const ExactlyOnce = "sluice exactly-once"

// Contenders of the bench.
var Contenders = []*Contender{
	// The rivals write key and value only, so this one does, too; with the lineage
	// headers that sluice writes by default it is a contender of its own.
	{Name: "sluice", Start: startSluice("", "output.lineage=none")},
	{Name: "sluice with lineage", Start: startSluice("")},
	{Name: ExactlyOnce, Start: startSluice("", "output.lineage=none", "output.delivery=exactly-once")},
	python(1),
	python(2),
	rival("streams", nil, false, script("streams", "streams")),
	rival("benthos", nil, false, goProgram(filepath.Join(rivalsFolder, "benthos"))),
	rival("crayfish", []string{"crayfish"}, false, script("streams", "crayfish")),
	rival("nullworker", nil, true, goProgram(filepath.Join(rivalsFolder, "nullworker"))),
	rival("nullsluice", nil, true, goProgram(filepath.Join("deploy", "bench", "nullsluice"))),
}

// ContendersNamed finds some of them, in their order.
func ContendersNamed(names []string) ([]*Contender, error) {
	var found []*Contender
	for _, c := range Contenders {
		if slices.Contains(names, c.Name) {
			found = append(found, c)
		}
	}
	if len(found) != len(names) {
		var all []string
		for _, c := range Contenders {
			all = append(all, c.Name)
		}
		return nil, fmt.Errorf("contenders %q: there are %q", names, all)
	}
	return found, nil
}

// Variant is another build of the service, or the same with other settings, as a
// contender: NAME=BINARY [KEY=VALUE ...]. Its name begins with sluice, so that
// it is not taken for a rival.
func Variant(text string) (*Contender, error) {
	name, rest, _ := strings.Cut(text, "=")
	fields := strings.Fields(rest)
	if !strings.HasPrefix(name, "sluice ") || len(fields) == 0 {
		return nil, fmt.Errorf("%q: want 'sluice NAME=BINARY [KEY=VALUE ...]'", text)
	}
	return &Contender{Name: name, Start: startSluice(fields[0], slices.Concat([]string{"output.lineage=none"}, fields[1:])...)}, nil
}

// startSluice starts a build of the service, the lab's when bin is empty, with
// these settings beside the job's.
func startSluice(bin string, sets ...string) func(ctx context.Context, l *Lab, j Job) ([]*Process, error) {
	return func(ctx context.Context, l *Lab, j Job) ([]*Process, error) {
		v, err := l.Start(ctx, Setup{
			Name: j.Name, Input: j.In, Output: j.Out, DLQ: j.DLQ, Group: j.Group,
			Model: j.Model, ModelName: "bench", Codec: j.Payload.Codec, Bin: bin, Sets: slices.Concat(sets, j.Payload.Sets, j.Sets),
		}, "")
		if err != nil {
			return nil, err
		}
		return []*Process{v}, nil
	}
}

// spawnAll starts n processes of one program with the bench contract's arguments.
func (l *Lab) spawnAll(ctx context.Context, n int, j Job, program ...string) ([]*Process, error) {
	var all []*Process
	for i := range n {
		args := append(slices.Clone(program), strings.Join(l.Brokers, ","), j.In, j.Out, j.Group, j.Model, j.Payload.Name)
		v, err := l.Spawn(ctx, fmt.Sprintf("%s-%d", j.Name, i), args...)
		if err != nil {
			return all, errors.Join(err, StopAll(all))
		}
		all = append(all, v)
	}
	return all, nil
}
