package main

import (
	"errors"
	"testing"

	"pgregory.net/rapid"
)

func TestReplayPositionRemembersExactlyWhatWasMarked(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const base, size = 100, 60
		p, marked := &replayPosition{base: base}, map[int64]bool{}
		for range rapid.IntRange(0, 40).Draw(t, "marks") {
			from := rapid.Int64Range(base-5, base+size).Draw(t, "from")
			to := from + rapid.Int64Range(0, 6).Draw(t, "length")
			p.mark(from, to)
			for o := from; o < to; o++ {
				marked[o] = true
			}
		}
		text, err := p.metadata()
		if err != nil {
			t.Fatal(err)
		}
		again, err := parsePosition(p.base, text)
		if err != nil {
			t.Fatal(err)
		}
		for o := int64(base); o < base+size+10; o++ {
			if p.done(o) != marked[o] || again.done(o) != marked[o] {
				t.Fatalf("offset %d: marked %v, remembered %v, read back %v (%+v)", o, marked[o], p.done(o), again.done(o), p)
			}
		}
		if p.done(p.base) {
			t.Fatalf("the base %d is done: it must be the first that is not", p.base)
		}
	})
}

func TestTooScatteredPositionIsRefused(t *testing.T) {
	t.Parallel()
	p := &replayPosition{}
	for o, step := int64(1), int64(7); o < 2_000_000; o += 2 + step%97 {
		p.mark(o, o+1)
		step = step*31 + 11
	}
	if _, err := p.metadata(); !errors.Is(err, errPositionTooLong) {
		t.Errorf("err = %v", err)
	}
	if _, err := parsePosition(0, "somebody else's"); err == nil {
		t.Error("foreign metadata was taken")
	}
}
