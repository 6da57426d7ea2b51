package demo

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var update = flag.Bool("update", false, "rewrite the golden frames")

// sgr matches what takes no room on the screen.
var sgr = regexp.MustCompile("\x1b\\[[0-9;]*m")

func exampleSnapshot(t *testing.T) *snapshot {
	t.Helper()
	images, err := heldOut()
	if err != nil {
		t.Fatal(err)
	}
	snap := &snapshot{
		tally:   tally{published: 24_010, predicted: 24_000, correct: 23_680, deadLettered: 3},
		elapsed: 72 * time.Second, publishedRate: 2000, predictedRate: 1998.4,
		p50: 1900 * time.Microsecond, p90: 4 * time.Millisecond, p99: 12 * time.Millisecond,
		lag: 30 * time.Millisecond, batch: 7.25,
		stage: map[string]float64{"broker": 0.0005, "decode": 0.00001, "infer": 0.0004, "produce": 0.001},
	}
	for i := range recentKept {
		value := `{"outputs":{"probabilities":[0.9,0.98,0.97,0.96,0.95,0.94,0.93,0.92,0.91,1]}}`
		snap.recent = append(snap.recent, prediction{Image: &images[i], Label: images[i].Label, Value: []byte(value)})
	}
	snap.mistake = &prediction{Image: &images[40], Label: (images[40].Label + 1) % 10}
	return snap
}

func TestFramesLookAsTheyDid(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]screen{
		"small":       {width: 80, height: 24, colors: true},
		"large":       {width: 140, height: 40, colors: true},
		"monochrome":  {width: 80, height: 24},
		"very narrow": {width: 20, height: 10, colors: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := strings.Join(s.frame(exampleSnapshot(t), "127.0.0.1:8900", "level=INFO msg=ready"), "\n") + "\n"
			file := filepath.Join("testdata", strings.ReplaceAll(name, " ", "_")+".frame")
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("differs from %s (cat it in a terminal; -update rewrites it):\n%s", file, got)
			}
		})
	}
}

func TestFramesFitTheScreen(t *testing.T) {
	t.Parallel()
	snap := exampleSnapshot(t)
	for width := 40; width <= 200; width += 7 {
		for height := 1; height <= 60; height += 3 {
			for _, colors := range []bool{false, true} {
				s := screen{width, height, colors}
				lines := s.frame(snap, "127.0.0.1:8900", strings.Repeat("long ", 100))
				if len(lines) > height {
					t.Fatalf("%+v: %d lines", s, len(lines))
				}
				for _, line := range lines {
					if n := utf8.RuneCountInString(sgr.ReplaceAllString(line, "")); n > width {
						t.Fatalf("%+v: %d cells: %q", s, n, line)
					}
				}
			}
		}
	}
}

func TestColoursFollowTheEnvironment(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		environment map[string]string
		want        bool
	}{
		{map[string]string{"TERM": "xterm-256color"}, true},
		{map[string]string{"TERM": "xterm-256color", "NO_COLOR": "1"}, false},
		{map[string]string{"TERM": "vt100"}, false},
		{map[string]string{"TERM": "screen", "COLORTERM": "truecolor"}, true},
	} {
		if got := wantsColors(func(name string) string { return c.environment[name] }); got != c.want {
			t.Errorf("%v: colours %v", c.environment, got)
		}
	}
}

func TestNumbersAreReadable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ got, want string }{
		{count(0), "0"},
		{count(999), "999"},
		{count(1000), "1,000"},
		{count(1234567.6), "1,234,568"},
		{duration(120 * time.Microsecond), "120 us"},
		{duration(1234 * time.Microsecond), "1.23 ms"},
		{duration(56 * time.Millisecond), "56 ms"},
		{duration(2500 * time.Millisecond), "2.50 s"},
		{clock(61 * time.Second), "01:01"},
		{clock(2 * time.Hour), "120:00"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}
