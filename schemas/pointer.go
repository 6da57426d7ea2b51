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
	key   fieldKey
	uses  []use
	kids  []*node
	plain bool    // the value is one element of a float32 input and nothing else
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
	k := &node{id: p.count, path: n.path + pointerTo(token), token: token, key: keyOf([]byte(token), 0, len(token))}
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
		slot := n.slot(k.key)
		for n.table[slot] != nil {
			slot = (slot + 1) & (len(n.table) - 1)
		}
		n.table[slot] = k
	}
}

func (n *node) slot(k fieldKey) int { return int(k.hash()>>n.shift) & (len(n.table) - 1) }

// find returns the kid called b[i:end], nil when no pointer leads there.
func (n *node) find(b []byte, i, end int) *node {
	key := keyOf(b, i, end)
	for slot := n.slot(key); ; slot = (slot + 1) & (len(n.table) - 1) {
		if k := n.table[slot]; k == nil || k.key == key && (key.size <= 16 || k.token == string(b[i:end])) {
			return k
		}
	}
}

// findKey is find for names of up to 16 bytes.
func (n *node) findKey(key fieldKey) *node {
	for slot := n.slot(key); ; slot = (slot + 1) & (len(n.table) - 1) {
		if k := n.table[slot]; k == nil || k.key == key {
			return k
		}
	}
}

// fieldKey is a field's name by its length, first and last eight bytes: all of a
// name of up to 16 bytes. Below eight bytes the first word is filled up with
// zeros, the last is 0.
type fieldKey struct {
	first, last uint64
	size        int
}

func keyOf(b []byte, i, end int) fieldKey {
	n := end - i
	if n >= 8 {
		return fieldKey{load(b, i), load(b, end-8), n}
	}
	var word [8]byte
	copy(word[:], b[i:end])
	return fieldKey{first: binary.LittleEndian.Uint64(word[:]), size: n}
}

// hash mixes the words: names that differ elsewhere only meet in one slot. The
// names are the configuration's, so no message can make them collide.
func (k fieldKey) hash() uint64 {
	h := (k.first ^ uint64(k.size)) * 0x9E3779B97F4A7C15 // golden ratio
	return (h ^ h>>29 ^ k.last) * 0xBF58476D1CE4E5B9
}
