package schemas

// interner keeps the short strings met last, so that the few categories of a
// feature ("DE", "web") do not cost an allocation per record. Not safe for
// concurrent use.
type interner struct {
	slots   [256]string
	scratch []byte
}

// internLimit is the longest string kept: categories are short, free text is not
// met twice.
const internLimit = 32

// unquote is the text of a checked JSON string token.
func (n *interner) unquote(token []byte, plain bool) string {
	text := token[1 : len(token)-1]
	if !plain {
		n.scratch = appendUnquoted(n.scratch[:0], token)
		text = n.scratch
	}
	return n.intern(text)
}

// intern is text as a string, one from before if it is there.
func (n *interner) intern(text []byte) string {
	if len(text) > internLimit {
		return string(text)
	}
	h := uint32(2166136261) // FNV-1a
	for _, c := range text {
		h = (h ^ uint32(c)) * 16777619
	}
	slot := &n.slots[h>>24]
	if *slot != string(text) {
		*slot = string(text)
	}
	return *slot
}
