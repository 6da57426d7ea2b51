package schemas

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"strings"
)

// parsePointer splits a JSON pointer (RFC 6901) into its unescaped tokens.
func parsePointer(pointer string) ([]string, error) {
	if pointer == "" {
		return nil, nil
	}
	if pointer[0] != '/' {
		return nil, fmt.Errorf("JSON pointer %q must start with a slash, as in %q", pointer, "/"+pointer)
	}
	tokens := strings.Split(pointer[1:], "/")
	for i, t := range tokens {
		if bad := strings.NewReplacer("~0", "", "~1", "").Replace(t); strings.Contains(bad, "~") {
			return nil, fmt.Errorf("JSON pointer %q: ~ must be followed by 0 (for ~) or 1 (for /)", pointer)
		}
		tokens[i] = strings.ReplaceAll(strings.ReplaceAll(t, "~1", "/"), "~0", "~")
	}
	return tokens, nil
}

// pointerTo is the JSON pointer to a field of the document.
func pointerTo(field string) string {
	return "/" + strings.ReplaceAll(strings.ReplaceAll(field, "~", "~0"), "/", "~1")
}

// use is one thing that a value found by a pointer is for.
type use struct {
	kind    useKind
	input   int // index of the input
	element int // place in the last axis
	span    int // index of the span
}

type useKind uint8

const (
	useID      useKind = iota // the message's id
	useInput                  // a whole input
	useElement                // one element of an input
	useSpan                   // the bytes are kept (include)
)

// node is one step of all pointers together: a document is walked along the
// nodes once, and what no pointer leads to is skipped. Read-only after building.
type node struct {
	id    int // index of its mark in the decoder
	path  string
	token string
	uses  []use
	kids  []*node
	table []*node // kids by hash, open addressing, at most half full
	shift uint
}

// pointers builds the nodes.
type pointers struct {
	root  *node
	count int
}

func newPointers() *pointers { return &pointers{root: &node{}, count: 1} }

// add makes the value at pointer useful.
func (p *pointers) add(pointer string, u use) error {
	tokens, err := parsePointer(pointer)
	if err != nil {
		return err
	}
	n := p.root
	for _, t := range tokens {
		n = p.kid(n, t)
	}
	n.uses = append(n.uses, u)
	return nil
}

func (p *pointers) kid(n *node, token string) *node {
	for _, k := range n.kids {
		if k.token == token {
			return k
		}
	}
	k := &node{id: p.count, path: n.path + pointerTo(token), token: token}
	p.count++
	n.kids = append(n.kids, k)
	return k
}

// freeze builds the tables.
func (n *node) freeze() {
	size := bits.Len(uint(len(n.kids)))
	n.shift = uint(64 - size - 1)
	n.table = make([]*node, 2<<size)
	for _, k := range n.kids {
		k.freeze()
		slot := n.slot(hashKey([]byte(k.token), 0, len(k.token)))
		for n.table[slot] != nil {
			slot = (slot + 1) & (len(n.table) - 1)
		}
		n.table[slot] = k
	}
}

func (n *node) slot(hash uint64) int { return int(hash>>n.shift) & (len(n.table) - 1) }

// find returns the kid called b[i:end], nil when no pointer leads there.
func (n *node) find(b []byte, i, end int) *node {
	slot := n.slot(hashKey(b, i, end))
	for {
		k := n.table[slot]
		if k == nil || k.token == string(b[i:end]) {
			return k
		}
		slot = (slot + 1) & (len(n.table) - 1)
	}
}

// hashKey hashes b[i:end] by its length, first and last eight bytes: field names
// that differ elsewhere only meet in one slot. The names are the
// configuration's, so no message can make them collide.
func hashKey(b []byte, i, end int) uint64 {
	n := end - i
	var first, last uint64
	switch {
	case n >= 8:
		first, last = load(b, i), load(b, end-8)
	case i+8 <= len(b):
		first = load(b, i) & (1<<uint(8*n) - 1)
	default:
		var word [8]byte
		copy(word[:], b[i:end])
		first = binary.LittleEndian.Uint64(word[:])
	}
	h := (first ^ uint64(n)) * 0x9E3779B97F4A7C15 // golden ratio
	return (h ^ h>>29 ^ last) * 0xBF58476D1CE4E5B9
}
