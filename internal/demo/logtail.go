package demo

import (
	"bytes"
	"io"
	"log/slog"
	"strings"
	"sync"
)

// logKept is how many of the service's log lines are kept for the view and for an
// explanation when it fails.
const logKept = 20

// logTail keeps the service's last log lines and passes warnings on. Safe for
// concurrent use.
type logTail struct {
	mu    sync.Mutex
	lines []string
}

// Write takes one log line.
func (l *logTail) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lines) == logKept {
		l.lines = append(l.lines[:0], l.lines[1:]...)
	}
	l.lines = append(l.lines, string(bytes.TrimSpace(line)))
	return len(line), nil
}

func (l *logTail) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.lines) == 0 {
		return ""
	}
	return l.lines[len(l.lines)-1]
}

func (l *logTail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines, "\n")
}

// logger keeps everything in the tail; where there is no live view, warnings go
// to out as well.
func (l *logTail) logger(out io.Writer) *slog.Logger {
	short := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	tail := slog.NewTextHandler(l, &slog.HandlerOptions{ReplaceAttr: short})
	if out == nil {
		return slog.New(tail)
	}
	return slog.New(slog.NewMultiHandler(tail, slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelWarn, ReplaceAttr: short})))
}
