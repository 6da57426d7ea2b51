package pipeline

import (
	"slices"
	"testing"
)

func TestPartThatMeetsItsDeadlines(t *testing.T) {
	t.Parallel()
	took := line{fixed: 1e6, perRow: 1e6} // 1 ms + 1 ms a row
	for _, tt := range []struct {
		name      string
		deadlines []int64 // ms from now, 0 for none
		took      line
		want      []int64 // of the part that runs first
	}{
		{"no deadlines", []int64{0, 0, 0, 0}, took, []int64{0, 0, 0, 0}},
		{"all are met", []int64{9, 5, 0, 7}, took, []int64{9, 5, 0, 7}},
		{"none can be met", []int64{1, 1, 0, 1}, took, []int64{1, 1, 0, 1}},
		{"the first of a queue", []int64{3, 3, 9, 9}, took, []int64{3, 3}},
		{"the pressing one goes first, others fill up", []int64{0, 9, 4, 0, 0}, took, []int64{4, 9, 0}},
		{"nothing is known yet", []int64{3, 3, 9, 9}, line{}, []int64{3, 3, 9, 9}},
	} {
		var all []*Item
		for _, d := range tt.deadlines {
			it := &Item{}
			it.Req.Rows = 1
			if d > 0 {
				it.Req.Deadline = 1000 + d
			}
			all = append(all, it)
		}
		before := slices.Clone(all)

		n, moved := inTime(all, tt.took, nanos(1000))

		var got []int64
		for _, it := range all[:n] {
			got = append(got, max(0, it.Req.Deadline-1000))
		}
		if !slices.Equal(got, tt.want) || moved != !slices.Equal(before, all) {
			t.Errorf("%s: runs %v first (moved %t), want %v", tt.name, got, moved, tt.want)
		}
	}
}

func TestPartCountsRows(t *testing.T) {
	t.Parallel()
	var all []*Item
	for _, rows := range []int{2, 2, 2} {
		it := &Item{}
		it.Req.Rows, it.Req.Deadline = rows, 1005
		all = append(all, it)
	}
	// 4 ms for rows: two items of two rows each, not three.
	if n, _ := inTime(all, line{fixed: 1e6, perRow: 1e6}, nanos(1000)); n != 2 {
		t.Errorf("inTime() = %d items, want 2", n)
	}
}
