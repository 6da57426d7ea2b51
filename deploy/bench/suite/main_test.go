package main

import (
	"strings"
	"testing"
)

func TestEventsAreCounted(t *testing.T) {
	t.Parallel()
	events := `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"pass","Package":"p","Test":"TestA/one"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestB","Output":"    b_test.go:7: needs a GPU\n"}
{"Action":"output","Package":"p","Test":"TestB","Output":"--- SKIP: TestB (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestB"}
{"Action":"output","Package":"p","Test":"TestC","Output":"    c_test.go:9: got 1, want 2\n"}
{"Action":"fail","Package":"p","Test":"TestC"}
{"Action":"pass","Package":"q"}
`
	got, err := count(strings.NewReader(events))
	if err != nil {
		t.Fatal(err)
	}
	notes := got.notes("3.9.1")
	for _, want := range []string{"Failed on 3.9.1: p.TestC: c_test.go:9: got 1, want 2", "Skipped on 3.9.1: p.TestB: b_test.go:7: needs a GPU"} {
		if !strings.Contains(notes, want) {
			t.Errorf("the notes lack %q:\n%s", want, notes)
		}
	}
	if got.passed != 2 || len(got.failed) != 1 || len(got.skipped) != 1 {
		t.Errorf("%+v, want 2 passed, one failed, one skipped", got)
	}
	if _, err := count(strings.NewReader("no json")); err == nil {
		t.Error("what is no JSON counts as well")
	}
}
