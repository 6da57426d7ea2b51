package main

import (
	"runtime"
	"testing"
)

func TestSpareThreadLeavesAUsersSettingAlone(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(before)
	spareThread(func(string) string { return "7" })
	if n := runtime.GOMAXPROCS(0); n != before {
		t.Errorf("GOMAXPROCS went from %d to %d though the environment sets it", before, n)
	}
	spareThread(func(string) string { return "" })
	if n := runtime.GOMAXPROCS(0); n != before+1 {
		t.Errorf("GOMAXPROCS is %d, want one more than %d", n, before)
	}
}
