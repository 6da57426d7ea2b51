package main

import (
	"fmt"
	"strconv"
	"time"
)

// parseMoment reads a time as Unix milliseconds: a number of them, RFC 3339, or
// a duration, which is that long ago.
func parseMoment(text string, now time.Time) (int64, error) {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= 0 {
		return n, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t.UnixMilli(), nil
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d).UnixMilli(), nil
	}
	return 0, fmt.Errorf("%q is no time; write 2026-01-31T12:00:00Z, Unix milliseconds, or 2h for two hours ago", text)
}
