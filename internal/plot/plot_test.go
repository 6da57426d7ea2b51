package plot

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// sample has all that a chart can: log and linear axes, rings, marks, dashes,
// overlapping labels, what cannot be drawn, and text that must be escaped.
func sample() []Chart {
	curve := func(f float64) []Point {
		var points []Point
		for i, x := range []float64{500, 2000, 4000, 6000, 8000} {
			points = append(points, Point{X: x, Y: f * []float64{0.002, 0.0021, 0.003, 0.02, 3}[i], Hollow: i == 4, Text: `a <b> & "c"`})
		}
		return points
	}
	return []Chart{
		{
			Title: "latency & <throughput>", Note: "sluice", X: Axis{Label: "messages per second"}, Y: Axis{Label: "latency", Log: true, Format: Seconds},
			Series: []Series{{Name: "p50", Points: curve(1)}, {Name: "p99", Color: 1, Points: curve(1.05)}, {Name: "p99.9", Color: 2, Points: curve(1.1)}},
			Marks:  []Mark{{6000, "knee"}},
		},
		{
			Title: "rows", X: Axis{Label: "rows", Log: true, Ticks: []float64{1, 2, 4}}, Y: Axis{Label: "rows per second"},
			Series: []Series{
				{Name: "fit", Dashed: true, Points: []Point{{X: 1, Y: 1000, Bare: true}, {X: 4, Y: 9.1e5, Bare: true}}},
				{Name: "broken", Color: 3, Points: []Point{{X: 0, Y: 1}, {X: 2, Y: math.NaN()}, {X: 2, Y: math.Inf(1)}}},
			},
		},
		{Title: "nothing", X: Axis{Label: "x"}, Y: Axis{Label: "y", Log: true}},
	}
}

// wellFormed reads all of it as XML.
func wellFormed(t *testing.T, document string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(document))
	d.Strict = true
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("not well-formed: %v", err)
		}
	}
}

func TestChartsLookAsBefore(t *testing.T) {
	t.Parallel()
	var svg, htm bytes.Buffer
	if err := WriteSVG(&svg, sample()...); err != nil {
		t.Fatal(err)
	}
	if err := WriteHTML(&htm, Page{
		Title: "a & <b>", Facts: [][2]string{{"model", "<m>"}}, Head: []string{"rate"}, Rows: [][]string{{"<1>"}}, Notes: []string{"so & so"}, Charts: sample(),
	}); err != nil {
		t.Fatal(err)
	}
	wellFormed(t, svg.String())
	for name, got := range map[string]string{"sample.svg": svg.String(), "sample.html": htm.String()} {
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s is not as before; look at it, and run the test with -update where it is right", name)
		}
		if bad := regexp.MustCompile(`NaN|Inf|<b>|<m>|<1>`).FindString(got); bad != "" {
			t.Errorf("%s has %q", name, bad)
		}
	}
}

func TestEveryPointIsWithinTheFrame(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := WriteSVG(&b, sample()[0]); err != nil {
		t.Fatal(err)
	}
	var picture struct {
		Circles []struct {
			X float64 `xml:"cx,attr"`
			Y float64 `xml:"cy,attr"`
		} `xml:"g>circle"`
	}
	if err := xml.Unmarshal(b.Bytes(), &picture); err != nil {
		t.Fatal(err)
	}
	if len(picture.Circles) != 15 {
		t.Errorf("%d points", len(picture.Circles))
	}
	for _, c := range picture.Circles {
		if c.X < left || c.X > width-right || c.Y < above || c.Y > height-below {
			t.Errorf("point at %.0f, %.0f", c.X, c.Y)
		}
	}
}

func TestTicksAreRoundAndCoverTheValues(t *testing.T) {
	t.Parallel()
	for _, top := range []float64{1, 3.3, 7, 42, 999, 8000, 123_456} {
		ticks := linearTicks(top)
		if n := len(ticks); n < 4 || n > 9 || ticks[n-1] < top*0.98 || ticks[0] != 0 {
			t.Errorf("0..%v: %v", top, ticks)
		}
	}
	for _, pair := range [][2]float64{{0.002, 0.004}, {1, 1}, {0.0009, 31}, {1e-5, 100}} {
		ticks := logTicks(pair[0], pair[1])
		if n := len(ticks); n < 2 || n > 16 || ticks[0] > pair[0]*1.01 || ticks[n-1] < pair[1]*0.99 {
			t.Errorf("%v: %v", pair, ticks)
		}
	}
}

func TestNumbersForPeople(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		Digits(1500): "1500", Digits(12_000): "12k", Digits(2.5e6): "2.5M", Digits(0.05): "0.05",
		Seconds(0.0015): "1.5 ms", Seconds(0.9999): "1 s", Seconds(2e-6): "2 µs", Seconds(0.00099999): "1 ms",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
