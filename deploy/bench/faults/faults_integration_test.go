//go:build integration

package main

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestEachKindOfHarmHolds is the short form of the campaigns: one seed a kind, few
// records, exactly once, on a broker of its own, for that is killed, too.
func TestEachKindOfHarmHolds(t *testing.T) {
	if os.Getenv("KAFKA_JARS") == "" {
		t.Skip("this test starts a broker of its own from KAFKA_JARS, which is not set")
	}
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	script, folder, bin := filepath.Join(root, "deploy/kafka/broker.sh"), t.TempDir(), t.TempDir()
	// One build for all: its places to die do nothing unless they are named.
	service := filepath.Join(bin, "sluice")
	command(t, root, "go", "build", "-tags", "failpoint", "-o", service, "./cmd/sluice")
	t.Setenv("KAFKA_BROKERS", "")
	t.Cleanup(func() { _ = exec.Command("bash", script, "stop", folder).Run() })
	for line := range strings.Lines(command(t, root, "bash", script, "start", "-d", folder)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			t.Setenv(name, value)
		}
	}
	harmed := func(t *testing.T, kind string, seed uint64, records, harms int) {
		t.Helper()
		c := &campaign{
			records: records, rate: 300, harms: harms, poison: 97, delivery: exactlyOnce, work: t.TempDir(),
			restart: script + " restart " + folder, failing: service,
		}
		c.Bin, c.Zoo, c.Dir = service, filepath.Join(root, "pipeline/onnx/testdata/zoo"), t.TempDir()
		if err := c.Open(); err != nil {
			t.Fatal(err)
		}
		defer c.Close(t.Context())
		chosen, err := kindsNamed([]string{kind})
		if err != nil {
			t.Fatal(err)
		}
		res := &result{Kind: kind, Title: chosen[0].title, Delivery: c.delivery, Seed: seed, Records: c.records, Rate: c.rate}
		if err := c.record(t.Context(), chosen[0], res); err != nil {
			t.Error(err)
		}
		if res.Verdict != held || res.Harmed == 0 || res.Outcomes != c.records {
			t.Errorf("%s, %d harms, %d outcomes of %d", res.Verdict, res.Harmed, res.Outcomes, c.records)
		}
		if codes := slices.Collect(maps.Keys(res.Codes)); !slices.Equal(codes, []int{0}) {
			t.Errorf("exit codes of processes that were asked to end: %v", res.Codes)
		}
		if !res.finished(c.work) {
			t.Error("the run left no file")
		}
	}
	t.Run("side by side", func(t *testing.T) { // most of their time they wait
		for _, k := range []struct {
			kind    string
			seed    uint64
			records int
		}{{"kill", 1, 1800}, {"term", 1, 1800}, {"freeze", 1, 1800}, {"churn", 1, 1800}, {"cut", cutSeed, 2400}, {"steps", 1, 1800}, {"crash", 1, 1800}} {
			t.Run(k.kind, func(t *testing.T) {
				t.Parallel()
				harmed(t, k.kind, k.seed, k.records, 3)
			})
		}
	})
	t.Run("broker", func(t *testing.T) { harmed(t, "broker", 1, 900, 1) })
}

// cutSeed begins with a delay, half-open connections and a cut, not with 10 s of silence.
const cutSeed = 10

func command(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}
