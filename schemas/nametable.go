package schemas

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
)

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

// nameTable finds a node's kids by their names. As they are known beforehand, a
// multiplier is looked for that gives each a slot of its own: then a look-up has no
// loop, whose length the processor would have to guess. Read-only after building.
type nameTable struct {
	factor  uint64
	shift   uint
	perfect bool     // every name is in the slot that its hash says
	slots   []uint32 // indices into entries, 0 where there is none
	entries []nameEntry
}

type nameEntry struct {
	key  fieldKey
	kid  *node
	next uint32 // entry with the same hash, 0 for none
}

// maxNameTries is how many multipliers are tried, for so few names that one without
// collisions is likely among them: some forty get one.
const (
	maxNameTries = 2000
	fewNames     = 64
)

func newNameTable(kids []*node) nameTable {
	t := nameTable{entries: make([]nameEntry, 1, len(kids)+1)}
	t.entries[0].key.size = -1 // no name has it
	for _, k := range kids {
		t.entries = append(t.entries, nameEntry{key: k.key, kid: k})
	}
	size := bits.Len(uint(len(t.entries))) + 2
	t.shift = uint(64 - size)
	t.slots = make([]uint32, 1<<size)
	random := rand.New(rand.NewPCG(1, 1)) // the same multiplier for the same names
	tries := maxNameTries
	if len(kids) > fewNames {
		tries = 1
	}
	for range tries {
		t.factor = random.Uint64() | 1
		if t.fill() {
			t.perfect = true
			return t
		}
	}
	return t
}

// fill enters all names; true when no two share a slot.
func (t *nameTable) fill() (perfect bool) {
	clear(t.slots)
	perfect = true
	for i := 1; i < len(t.entries); i++ {
		slot := t.slot(t.entries[i].key)
		t.entries[i].next = t.slots[slot]
		perfect = perfect && t.slots[slot] == 0
		t.slots[slot] = uint32(i)
	}
	return perfect
}

// slot mixes a name's words. The names entered are the configuration's, so no
// message can make them collide.
func (t *nameTable) slot(k fieldKey) int {
	return int((k.first^bits.RotateLeft64(k.last, 29)^uint64(k.size))*t.factor>>t.shift) & (len(t.slots) - 1)
}

// find returns the kid with this name of up to 16 bytes, nil when there is none.
func (t *nameTable) find(key fieldKey) *node {
	e := &t.entries[t.slots[t.slot(key)]]
	if e.key == key {
		return e.kid
	}
	if t.perfect {
		return nil
	}
	for e.next != 0 {
		if e = &t.entries[e.next]; e.key == key {
			return e.kid
		}
	}
	return nil
}

// findLong is find for longer names, whose key does not say all.
func (t *nameTable) findLong(key fieldKey, name []byte) *node {
	for i := t.slots[t.slot(key)]; i != 0; i = t.entries[i].next {
		if e := &t.entries[i]; e.key == key && e.kid.token == string(name) {
			return e.kid
		}
	}
	return nil
}
