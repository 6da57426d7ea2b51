package schemas

import (
	"encoding/json"
	"strings"
	"testing"
)

// jsonSeeds are documents at the edges of the grammar.
var jsonSeeds = []string{
	`{}`, `[]`, `null`, ` true `, `[1,2,{"a":null}]`, `"\ud800"`, `"\ud83d\ude00"`, `01`, `-`, `-0`, `1e+`, `1E5`, `.5`, `1.`, "\"\xff\"",
	strings.Repeat("[", 50), strings.Repeat("[", 50) + strings.Repeat("]", 50), `{"a":1,}`, `[1,]`, ` [ ] x`, `"a\u12"`, "\"\x01\"", `{"a" 1}`, `{1:2}`,
	`nul`, `tru`, `"12345678\n12345678"`, `{"a":{"b":[{"c":"d"}]}}`, "\ufeff{}", ``, ` `, `[1 2]`, `{"a":1}{"a":1}`, `NaN`, `[1,2}`, "[\x00]",
}

func FuzzValid(f *testing.F) {
	for _, s := range jsonSeeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var s skipper
		if got, want := s.document(b, 10000) >= 0, json.Valid(b); got != want {
			t.Fatalf("valid(%q) = %v, encoding/json says %v", b, got, want)
		}
	})
}

func TestNestingBelowTheLimitIsReadAndAboveItIsTooDeep(t *testing.T) {
	t.Parallel()
	nest := func(n int) []byte { return []byte(strings.Repeat("[", n) + strings.Repeat("]", n)) }
	var s skipper
	if end := s.document(nest(64), 64); end != 128 {
		t.Errorf("64 levels: %d", end)
	}
	if end := s.document(nest(65), 64); end != tooDeep {
		t.Errorf("65 levels: %d", end)
	}
	bomb := []byte(strings.Repeat("[", 8<<20))
	if end := s.document(bomb, 64); end != tooDeep || cap(s.open) > 128 {
		t.Errorf("bomb: %d, stack of %d bytes", end, cap(s.open))
	}
	if n := 10000; json.Valid(nest(n)) != (s.document(nest(n), n) > 0) || json.Valid(nest(n+1)) != (s.document(nest(n+1), n) > 0) {
		t.Error("the deepest nesting differs from encoding/json's")
	}
}

// FuzzUnquote holds the text of strings against encoding/json's.
func FuzzUnquote(f *testing.F) {
	for _, s := range jsonSeeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		b = append(append([]byte{'"'}, b...), '"')
		var want string
		if json.Unmarshal(b, &want) != nil {
			return
		}
		end, plain := skipString(b, 0)
		if end != len(b) {
			t.Fatalf("%q ends at %d", b, end)
		}
		var n interner
		got := n.unquote(b, plain)
		if got != want {
			t.Fatalf("%q is %q, encoding/json says %q", b, got, want)
		}
		var back string
		if err := json.Unmarshal(appendQuoted(nil, got), &back); err != nil || back != got {
			t.Fatalf("%q is quoted as %s: %v", got, appendQuoted(nil, got), err)
		}
	})
}
