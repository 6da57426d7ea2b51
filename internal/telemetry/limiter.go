package telemetry

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

const (
	// repeatEvery: one line a minute tells that something is still so.
	repeatEvery = time.Minute
	// repeatKinds bounds the memory; a program has some dozens of messages.
	repeatKinds = 1024
)

// kinds are the attributes that make two records of one message different
// things: a partition, a class. The error's text is none of them.
var kinds = map[string]bool{
	"class": true, "reason": true, "topic": true, "partition": true, "code": true,
	"stage": true, "broker": true, "cause": true, "kind": true, "path": true,
}

// limiter lets the first warning or error of a kind through and then one a
// minute, which says how many it stands for. Lower levels all pass. Safe for
// concurrent use.
type limiter struct {
	slog.Handler
	seen  *seen
	scope string // attributes and groups of With
}

type seen struct {
	mu    sync.Mutex
	kinds map[string]*repeat
}

type repeat struct {
	last    time.Time
	skipped int
}

func newLimiter(h slog.Handler) *limiter {
	return &limiter{Handler: h, seen: &seen{kinds: map[string]*repeat{}}}
}

// Handle implements slog.Handler.
func (l *limiter) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelWarn {
		return l.Handler.Handle(ctx, r)
	}
	skipped, pass := l.seen.admit(l.kind(r), r.Time)
	if !pass {
		return nil
	}
	if skipped > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("repeated", skipped))
	}
	return l.Handler.Handle(ctx, r)
}

// kind is the message with the attributes that tell causes apart.
func (l *limiter) kind(r slog.Record) string {
	var b strings.Builder
	b.WriteString(r.Message + l.scope)
	r.Attrs(func(a slog.Attr) bool {
		if kinds[a.Key] {
			b.WriteString("\x00" + a.String())
		}
		return true
	})
	return b.String()
}

func (s *seen) admit(kind string, now time.Time) (skipped int, pass bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k, ok := s.kinds[kind]; ok {
		if now.Sub(k.last) < repeatEvery {
			k.skipped++
			return 0, false
		}
		skipped = k.skipped
		*k = repeat{last: now}
		return skipped, true
	}
	if len(s.kinds) >= repeatKinds {
		clear(s.kinds) // forgetting costs a repeated line, not memory
	}
	s.kinds[kind] = &repeat{last: now}
	return 0, true
}

// WithAttrs implements slog.Handler.
func (l *limiter) WithAttrs(attrs []slog.Attr) slog.Handler {
	scope := l.scope
	for _, a := range attrs {
		scope += "\x00" + a.String()
	}
	return &limiter{Handler: l.Handler.WithAttrs(attrs), seen: l.seen, scope: scope}
}

// WithGroup implements slog.Handler.
func (l *limiter) WithGroup(name string) slog.Handler {
	return &limiter{Handler: l.Handler.WithGroup(name), seen: l.seen, scope: l.scope + "\x00" + name}
}
