package lab

import (
	"bytes"
	"encoding/json"
	"math"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestPayloadsHaveTheirIDAndSize(t *testing.T) {
	t.Parallel()
	sizes := map[string][2]int{"json": {7800, 8900}, "raw": {3136, 3136}, "event": {1000, 1400}, "tokens": {150, 1024}, "crayfish": {7800, 9000}}
	for _, p := range Payloads {
		small := *p
		small.Distinct = 101
		l := &Lab{rows: map[string]*rows{}}
		value := l.Rows(&small)
		for _, i := range []int{0, 7, 100, 101 * 3} {
			v := value(i)
			if limits := sizes[p.Name]; len(v) < limits[0] || len(v) > limits[1] {
				t.Errorf("%s: %d bytes, want %v", p.Name, len(v), limits)
			}
			if p.Name == "raw" {
				continue
			}
			var doc map[string]any
			if err := json.Unmarshal(v, &doc); err != nil {
				t.Fatalf("%s: %v: %s", p.Name, err, v)
			}
			if p.Name != "crayfish" && doc["id"] != string(Key(i)) {
				t.Errorf("%s %d: id %v", p.Name, i, doc["id"])
			}
			if p.Name == "event" && len(doc) != 60 {
				t.Errorf("an event of %d fields", len(doc))
			}
		}
		if p.Name != "raw" && bytes.Equal(value(3), value(4)) {
			t.Errorf("%s: rows are not distinct", p.Name)
		}
	}
}

func TestKeysReadBack(t *testing.T) {
	t.Parallel()
	if Index(string(Key(1234))) != 1234 || Index("r") != -1 || Index("x1") != -1 || Index("r1x") != -1 {
		t.Error("keys do not read back")
	}
}

func TestNumbersAreReadHoweverNested(t *testing.T) {
	t.Parallel()
	event, _ := PayloadNamed("event")
	for _, text := range []string{
		`{"id":"r5","outputs":{"label":1,"probabilities":[0.25,7.5e-1]}}`,
		`{"outputs":{"probabilities":[[0.25, 0.75]],"label":[1]},"id":"r5","model":"m2"}`,
	} {
		id, got, err := jsonNumbers(event, &kgo.Record{Key: []byte("r5"), Value: []byte(text)}, nil)
		if err != nil || id != "r5" || len(got) != 3 || got[0] != 1 || got[1] != 0.25 || got[2] != 0.75 {
			t.Errorf("%s: %v %v %v", text, id, got, err)
		}
	}
	if _, _, err := jsonNumbers(event, &kgo.Record{Key: []byte("r6"), Value: []byte(`{"id":"r5"}`)}, nil); err == nil {
		t.Error("an id that is not the key was taken")
	}
	crayfish, _ := PayloadNamed("crayfish")
	for _, prediction := range []string{`"[-0.5, 1e-3]"`, `[-0.5,0.001]`, `"-0.5,0.001,"`} {
		_, got, err := crayfishNumbers(crayfish, &kgo.Record{Value: []byte(`{"dataPoint":"1,2,","prediction":` + prediction + `}`)}, nil)
		if err != nil || len(got) != 2 || got[0] != -0.5 || got[1] != 0.001 {
			t.Errorf("%s: %v %v", prediction, got, err)
		}
	}
}

func TestTallyFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	floats := Payloads[0]
	for _, c := range []struct {
		name      string
		got, want []float64
		wrong     int
	}{
		{"equal", []float64{1, -200}, []float64{1, -200}, 0},
		{"within", []float64{1.0001, -200.01}, []float64{1, -200}, 0},
		{"beyond", []float64{1.001, -200}, []float64{1, -200}, 1},
		{"not a number", []float64{math.NaN(), -200}, []float64{1, -200}, 1},
		{"too few", []float64{1}, []float64{1, -200}, 1},
	} {
		tally := &Tally{}
		if tally.compare(floats, c.got, c.want, 1e-4); tally.Wrong != c.wrong {
			t.Errorf("%s: %d wrong, want %d", c.name, tally.Wrong, c.wrong)
		}
	}
	event, _ := PayloadNamed("event")
	either, clear := &Tally{}, &Tally{}
	either.compare(event, []float64{0, 0.5, 0.5}, []float64{1, 0.49999, 0.50001}, 1e-4)
	clear.compare(event, []float64{0, 0.4, 0.6}, []float64{1, 0.4, 0.6}, 1e-4)
	if either.Wrong != 0 || clear.Wrong != 1 {
		t.Errorf("labels: %d where either is right, %d where one is", either.Wrong, clear.Wrong)
	}
}

func TestRateLeavesOutTheFirstQuarterAndRepeats(t *testing.T) {
	t.Parallel()
	// Four slow ids, then twelve, one a millisecond.
	tally := &Tally{counts: []int32{1, 1, 3, 0}, first: []int64{0, 1000, 2000, 3000, 4000, 4001, 4002, 4003, 4004, 4005, 4006, 4007, 4008, 4009, 4010, 4012}}
	if got := tally.Rate(); got != 1000 {
		t.Errorf("%v ids a second, want 1000", got)
	}
	tally.sum()
	if tally.Lost != 1 || tally.Extra != 2 || tally.Maximum != 3 || tally.Void() == "" {
		t.Errorf("%+v", tally)
	}
}
