package onnx

import (
	"fmt"
	"math/bits"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// Field numbers of TensorProto.
const (
	tensorDims     = 1
	tensorDataType = 2
	tensorFloats   = 4
	tensorInt32s   = 5
	tensorStrings  = 6
	tensorInt64s   = 7
	tensorName     = 8
	tensorRaw      = 9
	tensorDoubles  = 10
	tensorUint64s  = 11
	tensorExternal = 13
	tensorLocation = 14

	locationExternal = 1
)

const (
	// maxRank of a tensor: no operator takes more than a handful.
	maxRank = 64
	// maxSparse elements: protobuf's limit of 2 GiB in float32. A dense tensor of
	// more could not be in a file either.
	maxSparse = 1 << 29
)

// elementBits of each TensorProto.DataType, 0 for strings and what is unknown.
var elementBits = [...]uint64{
	1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64, 14: 64, 15: 128, 16: 16,
	17: 8, 18: 8, 19: 8, 20: 8, 21: 4, 22: 4, 23: 4, 24: 8, 25: 2, 26: 2,
}

// stored is what a tensor says of its size and what there is of it.
type stored struct {
	name       string
	typ        uint64
	dims       []int64
	isExternal bool
	hasRaw     bool
	raw        uint64 // bytes
	values     uint64 // in the typed fields
	external   map[string]string
}

// tensor refuses an initializer or a constant whose elements are not there.
func (v *vetting) tensor(data []byte) error {
	var t stored
	if err := v.fields(data, func(num int, value []byte, number uint64) error {
		return t.field(v, num, value, number)
	}); err != nil {
		return err
	}
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("%w: initializer %q of dims %s: %s", ErrUnsafe, clean(t.name), t.shape(), fmt.Sprintf(format, args...))
	}
	n, ok := t.elements()
	if !ok {
		return refuse("its size is negative or overflows")
	}
	size, known := uint64(0), false
	if t.typ < uint64(len(elementBits)) && elementBits[t.typ] != 0 {
		hi, lo := bits.Mul64(n, elementBits[t.typ])
		if size, known = lo/8, hi == 0; lo%8 != 0 {
			size++
		}
		if !known {
			return refuse("its size overflows")
		}
	}
	switch {
	case t.isExternal || len(t.external) > 0:
		if !known {
			return refuse("external data of type %d, whose size is unknown", t.typ)
		}
		file, err := externalFile(v.folder, t.external, size)
		if err != nil {
			return refuse("%v", err)
		}
		v.external = append(v.external, file)
	case t.hasRaw:
		if !known || t.raw != size {
			return refuse("%d bytes of type %d are in the file, %d are needed", t.raw, t.typ, size)
		}
	case n > t.values*t.perValue():
		return refuse("%d elements are in the file, %d are needed", t.values, n)
	}
	return nil
}

func (t *stored) field(v *vetting, num int, value []byte, number uint64) error {
	switch num {
	case tensorDims:
		return t.addDims(value, number)
	case tensorDataType:
		t.typ = number
	case tensorName:
		setText(&t.name, value)
	case tensorRaw:
		if value != nil {
			t.hasRaw, t.raw = true, uint64(len(value))
		}
	case tensorFloats:
		t.values += count(value, 4)
	case tensorDoubles:
		t.values += count(value, 8)
	case tensorStrings:
		t.values++
	case tensorInt32s, tensorInt64s, tensorUint64s:
		t.values += varints(value)
	case tensorExternal:
		return t.entry(v, value)
	case tensorLocation:
		t.isExternal = number == locationExternal
	}
	return nil
}

// entry reads a StringStringEntryProto: key 1, value 2.
func (t *stored) entry(v *vetting, data []byte) error {
	var key, text string
	err := v.fields(data, func(num int, value []byte, _ uint64) error {
		switch num {
		case 1:
			setText(&key, value)
		case 2:
			setText(&text, value)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if _, twice := t.external[key]; twice {
		return fmt.Errorf("%w: initializer %q says the %s of its external data twice", ErrUnsafe, clean(t.name), clean(key))
	}
	if t.external == nil {
		t.external = map[string]string{}
	}
	t.external[key] = text
	return nil
}

// count is how many numbers of a width a field holds: many when it is packed,
// else the one whose bytes the walk has passed over.
func count(value []byte, width int) uint64 {
	if value == nil {
		return 1
	}
	return uint64(len(value) / width)
}

// varints is how many a field holds.
func varints(value []byte) uint64 {
	if value == nil {
		return 1
	}
	n := uint64(0)
	for _, b := range value {
		if b < 0x80 {
			n++
		}
	}
	return n
}

// perValue is how many elements a number of a typed field can hold: int4 and
// its like go in twos, the 2-bit types in fours.
func (t *stored) perValue() uint64 {
	if t.typ < uint64(len(elementBits)) && elementBits[t.typ] > 0 && elementBits[t.typ] < 8 {
		return 8 / elementBits[t.typ]
	}
	return 1
}

func (t *stored) addDims(value []byte, number uint64) error {
	add := func(d uint64) error {
		if len(t.dims) == maxRank {
			return fmt.Errorf("%w: initializer %q has more than %d dimensions", ErrUnsafe, clean(t.name), maxRank)
		}
		t.dims = append(t.dims, int64(d))
		return nil
	}
	if value == nil {
		return add(number)
	}
	for len(value) > 0 { // packed
		d, n := protowire.ConsumeVarint(value)
		if n < 0 {
			return fmt.Errorf("%w: %w", errMalformed, protowire.ParseError(n))
		}
		if err := add(d); err != nil {
			return err
		}
		value = value[n:]
	}
	return nil
}

// elements is the product of the dims; not ok when one is negative or it
// overflows, a later 0 notwithstanding.
func (t *stored) elements() (uint64, bool) {
	n, empty := uint64(1), false
	for _, d := range t.dims {
		if d < 0 {
			return 0, false
		}
		if d == 0 {
			empty = true
			continue
		}
		hi, lo := bits.Mul64(n, uint64(d))
		if hi != 0 || lo > 1<<62 {
			return 0, false
		}
		n = lo
	}
	if empty {
		return 0, true
	}
	return n, true
}

func (t *stored) shape() string {
	return strings.ReplaceAll(fmt.Sprint(t.dims), " ", ",")
}
