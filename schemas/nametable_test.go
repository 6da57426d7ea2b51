package schemas

import (
	"fmt"
	"testing"
)

// Every name is found and no other, with and without collisions.
func TestNameTable(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 30, 60, 1000} {
		root := newPointers()
		for i := range n {
			for _, form := range []string{"f%d", "f%d_sixteen_or_so", "a_name_of_more_than_16_bytes_%d_and_an_end"} {
				if i%3 == 0 && n > 40 || form == "f%d" {
					root.kidFast(fmt.Sprintf(form, i))
				}
			}
		}
		root.root.freeze()
		if n == 30 && !root.root.names.perfect {
			t.Error("thirty names have no table without collisions")
		}
		if n == 1000 && root.root.names.perfect {
			t.Error("a thousand names were to collide")
		}
		for _, k := range root.root.kids {
			name := []byte(k.token)
			if got := root.root.find(name, 0, len(name)); got != k {
				t.Fatalf("%d names: %s is not found", n, name)
			}
			for _, other := range []string{k.token + "x", "x" + k.token, k.token[1:]} {
				if got := root.root.find([]byte(other), 0, len(other)); got != nil && got.token != other {
					t.Fatalf("%d names: %s found as %s", n, other, got.token)
				}
			}
		}
	}
}

// kidFast is kid for names known to be new.
func (p *pointers) kidFast(token string) {
	k := &node{id: p.count, path: pointerTo(token), token: token, key: keyOf([]byte(token), 0, len(token))}
	p.count++
	p.root.kids = append(p.root.kids, k)
}
