package plot

import (
	"bytes"
	"strings"
	"testing"
)

func TestBarsAreWellFormedAndToScale(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := WriteBars(&b, "Drain <& co>", "2026", Group{"json, msg/s", []Bar{{"sluice", 100_000, 90_000, 110_000, "100,000"}, {"python x1", 55_000, 0, 0, "55,000"}}},
		Group{"tokens", []Bar{{"sluice", 1000, 0, 0, ""}, {"none", 0, 0, 0, ""}}}, Group{"empty", nil}); err != nil {
		t.Fatal(err)
	}
	svg := b.String()
	wellFormed(t, svg)
	// 640 pixels for 110,000: half of the highest is half of them; each group has its own scale.
	for _, want := range []string{"Drain &lt;&amp; co&gt;", `width="581.8" height="14"`, `width="320.0" height="14"`, `width="640.0" height="14"`, "100,000", "python x1"} {
		if !strings.Contains(svg, want) {
			t.Errorf("%s is missing:\n%s", want, svg)
		}
	}
	if n := strings.Count(svg, "<path"); n != 1 {
		t.Errorf("%d intervals, want 1", n)
	}
	if strings.Count(svg, `fill="`+palette[0]+`"`) != 2 {
		t.Error("one name has two colours")
	}
}
