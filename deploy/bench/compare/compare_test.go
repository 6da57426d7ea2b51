package main

import (
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sluice-ml/sluice/deploy/bench/lab"
	"github.com/sluice-ml/sluice/deploy/bench/stats"
)

func TestTheUnfavourableEndDecides(t *testing.T) {
	t.Parallel()
	wide := stats.Estimate{Median: 2.2, Low: 1.9, High: 2.5, N: 7}
	for _, c := range []struct {
		g    goal
		want string
	}{
		{goal{bound: 2, estimate: wide}, "NOT MET"},
		{goal{bound: 1.9, estimate: wide}, "MET"},
		{goal{bound: 2.2, atMost: true, estimate: wide}, "NOT MET"},
		{goal{bound: 2.5, atMost: true, estimate: wide}, "MET"},
		{goal{bound: 2, estimate: none()}, "not measured"},
	} {
		if got := c.g.verdict(); got != c.want {
			t.Errorf("%+v: %s, want %s", c.g, got, c.want)
		}
	}
}

func drainLeg(contender string, round int, rate float64, void string) leg {
	return leg{key: key{"drain", "json", contender, "", round}, At: time.Now(), Drain: &lab.Drained{Rate: rate, CPU: 1e6 / rate, Void: void}}
}

func TestTheStoreResumes(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "legs.jsonl")
	s, err := openStore(path, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.begin("-points drain"); err != nil {
		t.Fatal(err)
	}
	for _, g := range []leg{drainLeg("sluice", 0, 100, ""), drainLeg("sluice", 2, 300, ""), drainLeg("python x1", 0, 50, "lost 1")} {
		if err := s.add(g); err != nil {
			t.Fatal(err)
		}
	}
	s.close()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = f.WriteString(`{"point":"drain","payl`) // killed in mid-line
	_ = f.Close()

	s, err = openStore(path, true)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if len(s.legs) != 3 || len(s.arguments) != 1 || s.arguments[0] != "-points drain" {
		t.Errorf("%d legs of runs with %q", len(s.legs), s.arguments)
	}
	if s.get(key{"drain", "json", "sluice", "", 2}) == nil || s.get(key{"drain", "json", "sluice", "", 1}) != nil {
		t.Error("the legs did not come back")
	}
	if got := s.series(key{"drain", "json", "sluice", "", 0}, rate); len(got) != 3 || got[0] != 100 || !math.IsNaN(got[1]) || got[2] != 300 {
		t.Errorf("series %v", got)
	}
	if !math.IsNaN(s.median(key{"drain", "json", "python x1", "", 0}, rate)) {
		t.Error("a void leg has a speed")
	}
	if name := s.best("drain", "json", "", rate, false); name != "" {
		t.Errorf("%q is the best rival though it is void", name)
	}
}

func TestTheBestRivalIsNoLimitAndNotOurselves(t *testing.T) {
	t.Parallel()
	s := &store{index: map[key]int{}}
	for name, r := range map[string]float64{"sluice": 1000, "python x1": 50, "python x2": 80} {
		s.put(drainLeg(name, 0, r, ""))
	}
	if name := s.best("drain", "json", "", rate, false); name != "python x2" {
		t.Errorf("best %q", name)
	}
	if name := s.best("drain", "json", "", cpu, true); name != "python x2" {
		t.Errorf("most frugal %q", name)
	}
	if e := s.against("drain", "json", "", "python x2", rate); e.Median != 12.5 || e.N != 1 {
		t.Errorf("%+v", e)
	}
}

func TestAdditiveLimit(t *testing.T) {
	t.Parallel()
	if got := additive(100, 100); got != 50 {
		t.Errorf("%v, want 50", got)
	}
	if got := additive(1000, math.NaN()); !math.IsNaN(got) {
		t.Errorf("%v with a part missing", got)
	}
}

func TestEveryContenderLeadsARound(t *testing.T) {
	t.Parallel()
	b := &bench{contenders: lab.Contenders, payloads: lab.Payloads[:1], options: options{rounds: 2, records: 1000}}
	able := b.rotated("json", 0)
	first := map[string]bool{}
	for round := range able {
		order := b.rotated("json", round)
		if len(order) != len(able) {
			t.Fatalf("round %d has %d contenders, want %d", round, len(order), len(able))
		}
		first[order[0].Name] = true
	}
	if len(first) != len(able) {
		t.Errorf("%d of %d lead a round", len(first), len(able))
	}
	b.points = "drain,memory"
	if steps := b.plan(); len(steps) != 2*len(able) {
		t.Errorf("%d steps: those of two points must be done once", len(steps))
	}
}

func TestTheCodecAloneAgreesWithTheReferencesShape(t *testing.T) {
	t.Parallel()
	for _, p := range lab.Payloads {
		if p.Codec == "" {
			continue
		}
		if _, err := codecOf(p); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
		row := make([]float64, p.Width)
		size := 0
		for _, o := range resultOf(signatures[p.Model], row).Outputs {
			size += len(o.Data) / o.Type.Size()
		}
		if size != p.Width {
			t.Errorf("%s: %d numbers, want %d", p.Name, size, p.Width)
		}
	}
}

func TestNumber(t *testing.T) {
	t.Parallel()
	for x, want := range map[float64]string{1234567: "1,234,567", 999.6: "1000", 123.4: "123", 12.34: "12.3", 1.234: "1.23", 0: "0", -12345: "-12,345"} {
		if got := number(x); got != want {
			t.Errorf("%v: %q, want %q", x, got, want)
		}
	}
}

func TestFlagsAreChecked(t *testing.T) {
	t.Parallel()
	good := options{points: "drain,latency", rates: "50,95", latencyPayload: "json", rounds: 1, records: 1000}
	if err := good.check(); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*options){
		"points": func(o *options) { o.points = "speed" }, "rates": func(o *options) { o.rates = "fast" }, "negative": func(o *options) { o.rates = "-5" },
		"payload": func(o *options) { o.latencyPayload = "xml" }, "rounds": func(o *options) { o.rounds = 0 }, "records": func(o *options) { o.records = 10 },
	} {
		bad := good
		if spoil(&bad); bad.check() == nil {
			t.Errorf("%s: nothing is wrong with %+v", name, bad)
		}
	}
}
