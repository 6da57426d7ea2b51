package schemas

import (
	"encoding/binary"
	"math"
	"slices"
)

// maxRank bounds Limits.Dimensions: numpy's own limit.
const maxRank = 64

// builder reads one JSON value, a scalar or an array nested to any rank, straight
// into a tensor's memory. It notes the nesting's shape; whether that fits the
// model is decided afterwards. Not safe for concurrent use.
//
// Its scans return an index, or badSyntax: with err set when the JSON is fine so
// far but its content is not, without when it is no JSON.
type builder struct {
	b    []byte
	t    *Tensor
	path string // names the value in messages
	// max is how many elements may come. fixed says that the model wants no
	// more; otherwise it is a limit.
	max        int64
	fixed      bool
	nan        bool // null is NaN, not an error
	dimensions int  // Limits.Dimensions
	budget     int64
	names      *interner

	n      int64 // elements read
	rank   int
	dims   [maxRank]int64 // -1: not known yet
	counts [maxRank]int64
	err    *Error
}

func (p *builder) fail(e *Error) int {
	p.err = e
	return badSyntax
}

// start begins a value.
func (p *builder) start(t *Tensor, path string, most int64, fixed bool) {
	p.t, p.path, p.max, p.fixed = t, path, most, fixed
	p.n, p.rank, p.err = 0, 0, nil
	t.Strings = t.Strings[:0]
	t.Data = t.Data[:min(int64(len(t.Data)), most*int64(t.Type.Size()))]
}

// value reads the value at i and returns the index behind it.
func (p *builder) value(i int) int {
	if at(p.b, i) != '[' {
		if i = p.element(i); i >= 0 {
			p.finish()
		}
		return i
	}
	depth, leaves := 0, -1
	for {
		if at(p.b, i) == '[' {
			if i, depth = p.open(i, depth); i < 0 {
				return i
			}
			if at(p.b, i) != ']' {
				continue
			}
		} else {
			if leaves >= 0 && leaves != depth {
				return p.ragged()
			}
			leaves = depth
			before := p.n
			if i = p.row(i); i < 0 {
				return i
			}
			p.counts[depth-1] = p.n - before
		}
		if i, depth = p.close(i, depth); i < 0 {
			return i
		}
		if depth == 0 {
			break
		}
	}
	if leaves >= 0 && leaves != p.rank {
		return p.ragged()
	}
	p.finish()
	return i
}

// open enters the array at i.
func (p *builder) open(i, depth int) (next, deeper int) {
	if depth == p.dimensions {
		return p.fail(decodeError(TooLarge, "%s nests deeper than %d dimensions", p.path, p.dimensions)), depth
	}
	p.counts[depth] = 0
	if depth++; depth > p.rank {
		p.rank = depth
		p.dims[depth-1] = -1
	}
	return space(p.b, i+1), depth
}

// close leaves the array whose bracket closes at i, and all that close with it.
// It stops at the next value, or behind the outermost bracket at depth 0.
func (p *builder) close(i, depth int) (next, outer int) {
	for {
		if p.dims[depth-1] >= 0 && p.dims[depth-1] != p.counts[depth-1] {
			return p.ragged(), depth
		}
		p.dims[depth-1] = p.counts[depth-1]
		i++
		if depth--; depth == 0 {
			return i, 0
		}
		p.counts[depth-1]++
		i = space(p.b, i)
		switch at(p.b, i) {
		case ',':
			return space(p.b, i+1), depth
		case ']':
		default:
			return badSyntax, depth
		}
	}
}

func (p *builder) ragged() int {
	return p.fail(validateError(WrongShape, "%s is ragged: arrays of one level differ in length or depth", p.path))
}

// row reads elements from i on, up to the bracket that closes their array.
func (p *builder) row(i int) int {
	for {
		next, n, closed := p.fast(i)
		p.n += int64(n)
		if closed {
			return next
		}
		if i = p.element(next); i < 0 {
			return i
		}
		i = space(p.b, i)
		switch at(p.b, i) {
		case ',':
			i = space(p.b, i+1)
		case ']':
			return i
		default:
			return badSyntax
		}
	}
}

// fast reads as many plain numbers as it can.
func (p *builder) fast(i int) (next, n int, closed bool) {
	if p.t.Type != FP32 && (p.t.Type < Uint8 || p.t.Type > Int64) || p.n == p.max {
		return i, 0, false
	}
	p.reserve()
	dst := p.t.Data[p.n*int64(p.t.Type.Size()):]
	if p.t.Type == FP32 {
		return scanFloat32s(p.b, i, dst)
	}
	return scanInts(p.b, i, dst, intRanges[p.t.Type])
}

// reserve makes room for at least one more element, all at once when their
// number is known, else in doubling steps: what is reserved stays within twice
// what was read.
func (p *builder) reserve() {
	size := int64(p.t.Type.Size())
	have := int64(len(p.t.Data))
	if (p.n+1)*size <= have {
		return
	}
	want := p.max * size
	if !p.fixed {
		want = min(want, max(2*p.n, 64)*size)
	}
	want = max(want, min(p.max*size, int64(cap(p.t.Data))/size*size))
	p.t.Data = slices.Grow(p.t.Data[:p.n*size], int(want-p.n*size))[:want]
}

// finish cuts the tensor to what was read.
func (p *builder) finish() {
	p.t.Data = p.t.Data[:p.n*int64(p.t.Type.Size())]
}

// element reads the scalar at i into place n, by the careful path.
func (p *builder) element(i int) int {
	if p.n == p.max && at(p.b, i) != ']' {
		return p.full()
	}
	switch c := at(p.b, i); {
	case c == '-' || c-'0' <= 9:
		return p.number(i)
	case c == '"':
		return p.text(i)
	case c == 'n':
		return p.null(i)
	case c == 't' || c == 'f':
		return p.boolean(i)
	case c == '{':
		return p.mistyped("an object")
	case c == '[':
		return p.ragged()
	}
	return badSyntax
}

func (p *builder) full() int {
	if p.fixed {
		return p.fail(validateError(WrongShape, "%s has more than the %d elements that the model takes", p.path, p.max))
	}
	return p.fail(decodeError(TooLarge, "%s has more elements than the limit of %d", p.path, p.max))
}

func (p *builder) mistyped(what string) int {
	return p.fail(validateError(WrongType, "%s holds %s where the model takes %s", p.path, what, p.t.Type))
}

// number reads the number at i.
func (p *builder) number(i int) int {
	x, end := scanNumber(p.b, i)
	if end < 0 {
		return end
	}
	if p.t.Type == Bool || p.t.Type == Bytes {
		return p.mistyped("a number")
	}
	p.reserve()
	if ok := putNumber(p.t.Type, p.slot(), x, p.b[i:end]); !ok {
		return p.mistyped("a number out of range")
	}
	p.n++
	return end
}

// slot is the memory of element n.
func (p *builder) slot() []byte {
	size := int64(p.t.Type.Size())
	return p.t.Data[p.n*size : (p.n+1)*size]
}

// putNumber stores the number x, spelled by text, as one element of type t.
func putNumber(t DataType, dst []byte, x number, text []byte) bool {
	switch t {
	case FP32:
		f, ok := x.float32At(text)
		binary.LittleEndian.PutUint32(dst, math.Float32bits(f))
		return ok
	case FP64:
		f, ok := x.float64At(text)
		binary.LittleEndian.PutUint64(dst, math.Float64bits(f))
		return ok
	case FP16:
		f, ok := x.float32At(text)
		h, fits := float16Bits(f)
		binary.LittleEndian.PutUint16(dst, h)
		return ok && fits
	default:
		abs, ok := x.integer()
		r := intRanges[t]
		if !ok || !r.holds(x.neg, abs) {
			return false
		}
		r.put(dst, x.neg, abs)
		return true
	}
}

// boolean reads true or false.
func (p *builder) boolean(i int) int {
	end := skipLiteral(p.b, i)
	if end < 0 {
		return end
	}
	if p.t.Type != Bool {
		return p.mistyped("a boolean")
	}
	p.reserve()
	p.slot()[0] = 0
	if p.b[i] == 't' {
		p.slot()[0] = 1
	}
	p.n++
	return end
}

// null reads null: a missing element.
func (p *builder) null(i int) int {
	end := skipLiteral(p.b, i)
	if end < 0 {
		return end
	}
	if !p.nan || !p.t.Type.isFloat() {
		return p.fail(validateError(WrongName, "%s: element %d is null", p.path, p.n))
	}
	p.reserve()
	putFloat(p.t.Type, p.slot(), math.NaN())
	p.n++
	return end
}

// putFloat stores a NaN or an infinity.
func putFloat(t DataType, dst []byte, f float64) {
	switch t {
	case FP16:
		h, _ := float16Bits(float32(f))
		binary.LittleEndian.PutUint16(dst, h)
	case FP32:
		binary.LittleEndian.PutUint32(dst, math.Float32bits(float32(f)))
	default:
		binary.LittleEndian.PutUint64(dst, math.Float64bits(f))
	}
}

// text reads a string: an element of a BYTES tensor, or the name of a number
// that JSON cannot write.
func (p *builder) text(i int) int {
	end, plain := skipString(p.b, i)
	if end < 0 {
		return end
	}
	token := p.b[i:end]
	if p.t.Type == Bytes {
		return p.addString(token, plain, end)
	}
	if !p.t.Type.isFloat() {
		return p.mistyped("a string")
	}
	f, ok := nonFinite(token)
	if !ok {
		return p.mistyped(`a string other than "NaN", "Infinity" or "-Infinity"`)
	}
	p.reserve()
	putFloat(p.t.Type, p.slot(), f)
	p.n++
	return end
}

// nonFinite reads the three names that stand for numbers.
func nonFinite(token []byte) (float64, bool) {
	switch string(token) {
	case `"NaN"`:
		return math.NaN(), true
	case `"Infinity"`:
		return math.Inf(1), true
	case `"-Infinity"`:
		return math.Inf(-1), true
	}
	return 0, false
}

// stringOverhead is what a string costs besides its bytes: its header.
const stringOverhead = 16

func (p *builder) addString(token []byte, plain bool, end int) int {
	if p.budget -= int64(len(token)) + stringOverhead; p.budget < 0 {
		return p.fail(decodeError(TooLarge, "%s: the decoded strings exceed the limit", p.path))
	}
	s := p.names.unquote(token, plain)
	if p.n < int64(len(p.t.Strings)) {
		p.t.Strings[p.n] = s
	} else {
		p.t.Strings = append(p.t.Strings, s)
	}
	p.n++
	return end
}
