package chart

import (
	"encoding/xml"
	"errors"
	"io"
	"strconv"
	"strings"
	"testing"
)

// elements parses an SVG and gives its elements by name; coordinates must be
// finite and lie within the picture.
func elements(t *testing.T, svg string) map[string]int {
	t.Helper()
	count, width, height := map[string]int{}, 0.0, 0.0
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return count
		}
		if err != nil {
			t.Fatalf("not well-formed: %v\n%s", err, svg)
		}
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		count[e.Name.Local]++
		for _, a := range e.Attr {
			v, err := strconv.ParseFloat(a.Value, 64)
			if err != nil {
				if strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") {
					t.Errorf("%s %s=%q", e.Name.Local, a.Name.Local, a.Value)
				}
				continue
			}
			switch name := a.Name.Local; {
			case name == "width" && width == 0:
				width = v
			case name == "height" && height == 0:
				height = v
			case strings.HasSuffix(name, "x") || strings.HasPrefix(name, "x"):
				if !(v >= 0 && v <= width) {
					t.Errorf("%s %s=%v is outside of %v", e.Name.Local, name, v, width)
				}
			case strings.HasSuffix(name, "y") || strings.HasPrefix(name, "y"):
				if !(v >= 0 && v <= height) {
					t.Errorf("%s %s=%v is outside of %v", e.Name.Local, name, v, height)
				}
			}
		}
	}
}

func TestBarsAreWellFormedAndToScale(t *testing.T) {
	t.Parallel()
	svg := Bars("Drain <& co>", "msg/s", []Group{
		{"json", []Bar{{"sluice", 100_000, 90_000, 110_000}, {"python x1", 50_000, 50_000, 50_000}}},
		{"tokens", []Bar{{"sluice", 1000, 0, 0}}},
	})
	count := elements(t, svg)
	if count["rect"] != 4 || count["line"] != 3 { // background and three bars; one interval of three strokes
		t.Errorf("%v", count)
	}
	for _, want := range []string{"Drain &lt;&amp; co&gt;", "100,000", "python x1", "json, msg/s"} {
		if !strings.Contains(svg, want) {
			t.Errorf("%q is missing", want)
		}
	}
	// 520 pixels for 110,000: half the value is half the bar.
	if !strings.Contains(svg, `width="472.7" height="14"`) || !strings.Contains(svg, `width="236.4" height="14"`) {
		t.Errorf("bars are not to scale:\n%s", svg)
	}
}

func TestCurvesAreWellFormed(t *testing.T) {
	t.Parallel()
	svg := Curves("p99", "msg/s", "ms", []Curve{{"a", []float64{1000, 20_000}, []float64{3, 400}}, {"b", []float64{1000}, []float64{7}}})
	if count := elements(t, svg); count["circle"] != 3 || count["polyline"] != 2 {
		t.Errorf("%v", count)
	}
	elements(t, Curves("nothing", "", "", nil))
	elements(t, Curves("one point on a power of ten", "", "", []Curve{{"a", []float64{10}, []float64{10}}}))
}

func TestNumber(t *testing.T) {
	t.Parallel()
	for x, want := range map[float64]string{1234567: "1,234,567", 999.6: "1000", 123.4: "123", 12.34: "12.3", 1.234: "1.23", 0: "0", -12345: "-12,345"} {
		if got := Number(x); got != want {
			t.Errorf("%v: %q, want %q", x, got, want)
		}
	}
}
