package schemas

import "math/bits"

// Results of a scan that found no end.
const (
	badSyntax = -1
	tooDeep   = -2
)

// space skips JSON white space.
func space(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// at is b[i], or 0 behind the end: no JSON token starts with or continues by 0.
func at(b []byte, i int) byte {
	if i < len(b) {
		return b[i]
	}
	return 0
}

// skipString returns the index behind the string that opens at i, and whether
// its text differs from its bytes (escapes, or bytes above 0x7f that may be bad
// UTF-8). It is as strict as encoding/json: bad UTF-8 is no syntax error.
func skipString(b []byte, i int) (end int, plain bool) {
	i++
	plain = true
	for i+8 <= len(b) {
		v := load(b, i)
		stop := stringStops(v)
		if stop == 0 {
			plain = plain && v&highBits == 0
			i += 8
			continue
		}
		n := bits.TrailingZeros64(stop) >> 3
		plain = plain && v&highBits<<uint(64-8*n) == 0
		i += n
		if b[i] == '"' {
			return i + 1, plain
		}
		if i = skipEscape(b, i); i < 0 {
			return badSyntax, false
		}
		plain = false
	}
	for i < len(b) {
		switch c := b[i]; {
		case c == '"':
			return i + 1, plain
		case c == '\\':
			if i = skipEscape(b, i); i < 0 {
				return badSyntax, false
			}
			plain = false
		case c < 0x20:
			return badSyntax, false
		default:
			plain = plain && c < 0x80
			i++
		}
	}
	return badSyntax, false
}

// skipEscape returns the index behind the escape at i, badSyntax when b[i] is a
// control character or the escape is none of JSON's.
func skipEscape(b []byte, i int) int {
	if b[i] != '\\' {
		return badSyntax
	}
	switch at(b, i+1) {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2
	case 'u':
		for k := 2; k < 6; k++ {
			if hexDigit(at(b, i+k)) < 0 {
				return badSyntax
			}
		}
		return i + 6
	}
	return badSyntax
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// skipLiteral returns the index behind true, false or null at i.
func skipLiteral(b []byte, i int) int {
	if len(b)-i >= 4 {
		switch string(b[i : i+4]) {
		case "true", "null":
			return i + 4
		case "fals":
			if at(b, i+4) == 'e' {
				return i + 5
			}
		}
	}
	return badSyntax
}

// skipDigits returns the index of the first byte from i on that is no digit.
func skipDigits(b []byte, i int) int {
	for i+8 <= len(b) {
		k := digitRun(load(b, i) ^ zeroChars)
		if i += k; k < 8 {
			return i
		}
	}
	for i < len(b) && b[i]-'0' <= 9 {
		i++
	}
	return i
}

// skipNumber returns the index behind the number at i.
func skipNumber(b []byte, i int) int {
	if at(b, i) == '-' {
		i++
	}
	start := i
	i = skipDigits(b, i)
	if i == start || (b[start] == '0' && i > start+1) {
		return badSyntax
	}
	if at(b, i) == '.' {
		start = i + 1
		if i = skipDigits(b, start); i == start {
			return badSyntax
		}
	}
	if c := at(b, i); c == 'e' || c == 'E' {
		i++
		if c := at(b, i); c == '+' || c == '-' {
			i++
		}
		start = i
		if i = skipDigits(b, start); i == start {
			return badSyntax
		}
	}
	return i
}

// skipScalar returns the index behind the string, number or literal at i.
func skipScalar(b []byte, i int) int {
	switch c := at(b, i); {
	case c == '"':
		end, _ := skipString(b, i)
		return end
	case c == '-' || c-'0' <= 9:
		return skipNumber(b, i)
	default:
		return skipLiteral(b, i)
	}
}

// skipper walks over JSON values without recursion. Not safe for concurrent use.
type skipper struct {
	open []byte // the brackets that are open, reused
}

// value returns the index behind the value at i, badSyntax, or tooDeep when it
// nests deeper than depth. It accepts what encoding/json accepts.
func (s *skipper) value(b []byte, i, depth int) int {
	s.open = s.open[:0]
	for {
		var opened bool
		if i, opened = s.enter(b, i, depth); i < 0 {
			return i
		}
		if opened {
			continue
		}
		if i = s.leave(b, i); i < 0 || len(s.open) == 0 {
			return i
		}
	}
}

// enter takes the value at i: a bracket is opened (true: a value follows), a
// scalar or an empty pair is passed.
func (s *skipper) enter(b []byte, i, depth int) (next int, opened bool) {
	c := at(b, i)
	if c != '[' && c != '{' {
		return skipScalar(b, i), false
	}
	if len(s.open) == depth {
		return tooDeep, false
	}
	i = space(b, i+1)
	if at(b, i) == c+2 { // ']' is '[' + 2 and '}' is '{' + 2
		return i + 1, false
	}
	s.open = append(s.open, c)
	if c == '{' {
		i = skipKey(b, i)
	}
	return i, true
}

// leave goes on behind a value: over a comma to the next one, or out of the
// brackets that close here.
func (s *skipper) leave(b []byte, i int) int {
	for len(s.open) > 0 {
		top := s.open[len(s.open)-1]
		i = space(b, i)
		switch at(b, i) {
		case ',':
			i = space(b, i+1)
			if top == '{' {
				i = skipKey(b, i)
			}
			return i
		case top + 2:
			s.open = s.open[:len(s.open)-1]
			i++
		default:
			return badSyntax
		}
	}
	return i
}

// skipKey returns the index of the value behind the key and colon at i.
func skipKey(b []byte, i int) int {
	if at(b, i) != '"' {
		return badSyntax
	}
	if i, _ = skipString(b, i); i < 0 {
		return i
	}
	if i = space(b, i); at(b, i) != ':' {
		return badSyntax
	}
	return space(b, i+1)
}

// document checks that b is one JSON value with nothing but white space around
// it; the result is its end, badSyntax or tooDeep.
func (s *skipper) document(b []byte, depth int) int {
	i := s.value(b, space(b, 0), depth)
	if i >= 0 && space(b, i) != len(b) {
		return badSyntax
	}
	return i
}
