package demo

import (
	"bytes"
	"os"
	"strings"

	"golang.org/x/term"
)

// terminal draws frames on the alternate screen and gives the user's screen back
// as it was. For one goroutine.
type terminal struct {
	file   *os.File
	colors bool
	last   screen
}

func openTerminal(file *os.File) *terminal {
	t := &terminal{file: file, colors: wantsColors(os.Getenv)}
	_, _ = file.WriteString("\x1b[?1049h\x1b[?25l") // alternate screen, no cursor
	return t
}

// restore gives the user's screen back.
func (t *terminal) restore() { _, _ = t.file.WriteString("\x1b[?25h\x1b[?1049l") }

// wantsColors goes by the usual signs: NO_COLOR, and what TERM promises.
func wantsColors(getenv func(string) string) bool {
	if getenv("NO_COLOR") != "" {
		return false
	}
	name := getenv("TERM")
	return getenv("COLORTERM") != "" || strings.Contains(name, "256color") || strings.HasPrefix(name, "xterm")
}

// size asks each time: the window may have changed since the last frame.
func (t *terminal) size() screen {
	width, height, err := term.GetSize(int(t.file.Fd()))
	if err != nil || width < 1 || height < 1 {
		width, height = 80, 24
	}
	return screen{width: width, height: height, colors: t.colors}
}

// show draws one frame with a single write: each line over the old one, the rest
// cleared, so that nothing flickers.
func (t *terminal) show(s screen, lines []string) {
	var out bytes.Buffer
	if s != t.last {
		out.WriteString("\x1b[2J")
		t.last = s
	}
	out.WriteString("\x1b[H")
	for i, line := range lines {
		if i > 0 {
			out.WriteString("\r\n")
		}
		out.WriteString(line)
		out.WriteString("\x1b[K")
	}
	out.WriteString("\x1b[J")
	_, _ = t.file.Write(out.Bytes())
}
