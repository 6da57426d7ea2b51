package schemas

import (
	"fmt"
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
	id             int // index of its mark in the decoder
	path           string
	token          string
	key            fieldKey
	uses           []use
	kids           []*node
	plain          bool // the value is one element of a float32 input and nothing else
	mark, required int  // of plain: the field's mark, and 1 when it has no default
	names          nameTable
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
	for _, k := range n.kids {
		k.freeze()
	}
	n.names = newNameTable(n.kids)
}

// find returns the kid called b[i:end], nil when no pointer leads there.
func (n *node) find(b []byte, i, end int) *node {
	key := keyOf(b, i, end)
	if key.size <= 16 {
		return n.names.find(key)
	}
	return n.names.findLong(key, b[i:end])
}
