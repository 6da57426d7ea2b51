package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// scanner walks over one JSON object from left to right: first and next give the
// keys; after each key the caller takes the value by the method for its type, or
// skips it. The first error ends the walk; check gives it.
type scanner struct {
	text []byte
	at   int
	err  error
}

func (s *scanner) first() []byte {
	if !s.take('{') {
		return nil
	}
	if s.peek() == '}' {
		return nil
	}
	return s.key()
}

func (s *scanner) next() []byte {
	if s.err != nil || s.peek() == '}' {
		return nil
	}
	if !s.take(',') {
		return nil
	}
	return s.key()
}

func (s *scanner) key() []byte {
	key := s.string()
	if !s.take(':') {
		return nil
	}
	return key
}

// check says what was wrong, if anything; complete says that no field is missing.
func (s *scanner) check(complete bool) error {
	if s.err == nil && !complete {
		return errIncomplete
	}
	return s.err
}

func (s *scanner) fail() {
	if s.err == nil {
		s.err = fmt.Errorf("malformed at byte %d", s.at)
	}
}

// peek is the next byte that is not space, 0 at the end.
func (s *scanner) peek() byte {
	for s.at < len(s.text) {
		if c := s.text[s.at]; c > ' ' {
			return c
		}
		s.at++
	}
	return 0
}

func (s *scanner) take(c byte) bool {
	if s.err != nil || s.peek() != c {
		s.fail()
		return false
	}
	s.at++
	return true
}

// string gives what stands between the quotes, escapes untouched.
func (s *scanner) string() []byte {
	if !s.take('"') {
		return nil
	}
	start := s.at
	for {
		end := bytes.IndexByte(s.text[s.at:], '"')
		if end < 0 {
			s.fail()
			return nil
		}
		s.at += end + 1
		slashes := 0
		for i := s.at - 2; i >= start && s.text[i] == '\\'; i-- {
			slashes++
		}
		if slashes%2 == 0 {
			return s.text[start : s.at-1 : s.at-1]
		}
	}
}

// skip passes over a value of any type.
func (s *scanner) skip() {
	depth := 0
	for s.err == nil {
		switch c := s.peek(); c {
		case 0:
			s.fail()
		case '"':
			s.string()
		case '{', '[':
			depth++
			s.at++
			continue
		case '}', ']':
			depth--
			s.at++
		case ',', ':':
			if depth == 0 {
				s.fail()
			}
			s.at++
			continue
		default: // a number or a word
			for s.at < len(s.text) && !ends(s.text[s.at]) {
				s.at++
			}
		}
		if depth == 0 {
			return
		}
	}
}

func ends(c byte) bool { return c <= ' ' || c == ',' || c == '}' || c == ']' }

// floats fills dst from an array of as many numbers. The position stands in a
// register while numbers and commas follow each other closely.
func (s *scanner) floats(dst []float32) {
	if !s.take('[') {
		return
	}
	text, at := s.text, s.at
	for i := range dst {
		if i > 0 {
			if at >= len(text) || text[at] != ',' {
				if s.at = at; !s.take(',') {
					return
				}
				at = s.at - 1
			}
			at++
		}
		v, next := number(text, at)
		if next < 0 { // space before it, or a rare form
			s.at = at
			v = s.float()
			next = s.at
		}
		dst[i], at = v, next
	}
	s.at = at
	s.take(']')
}

func (s *scanner) ints(dst []int64) {
	if !s.take('[') {
		return
	}
	for i := range dst {
		if i > 0 && !s.comma() {
			return
		}
		dst[i] = s.int()
	}
	s.take(']')
}

// comma is take(',') for where it nearly always is the next byte.
func (s *scanner) comma() bool {
	if s.at < len(s.text) && s.text[s.at] == ',' {
		s.at++
		return s.err == nil
	}
	return s.take(',')
}

var powers = [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

var errNumber = errors.New("not a number")

// float takes a number.
func (s *scanner) float() float32 {
	s.peek()
	v, next := number(s.text, s.at)
	if next < 0 {
		return s.slow()
	}
	s.at = next
	return v
}

// number reads a number at text[i] digit by digit and gives where it ends. A whole
// mantissa below 2^53 over a power of ten up to 1e22 is one correctly rounded
// division; for anything else it gives -1.
func number(text []byte, i int) (v float32, next int) {
	negative := i < len(text) && text[i] == '-'
	if negative {
		i++
	}
	mantissa, from, point := uint64(0), i, 0
	for ; i < len(text); i++ {
		c := text[i] - '0'
		if c > 9 {
			break
		}
		mantissa = 10*mantissa + uint64(c)
	}
	digits := i - from
	if i < len(text) && text[i] == '.' {
		i++
		from = i
		// Four at a time, so that a multiplication need not wait for the last one so often.
		for i+4 <= len(text) {
			a, b, c, d := text[i]-'0', text[i+1]-'0', text[i+2]-'0', text[i+3]-'0'
			if a > 9 || b > 9 || c > 9 || d > 9 {
				break
			}
			mantissa = 10_000*mantissa + uint64(1000*uint32(a)+100*uint32(b)+10*uint32(c)+uint32(d))
			i += 4
		}
		for ; i < len(text); i++ {
			c := text[i] - '0'
			if c > 9 {
				break
			}
			mantissa = 10*mantissa + uint64(c)
		}
		point = i - from
		digits += point
	}
	if digits == 0 || digits > 19 || mantissa >= 1<<53 || i < len(text) && text[i]|0x20 == 'e' {
		return 0, -1
	}
	d := float64(int64(mantissa)) / powers[point]
	if negative {
		d = -d
	}
	return float32(d), i
}

// slow is float for long numbers and those with an exponent.
func (s *scanner) slow() float32 {
	start := s.at
	for s.at < len(s.text) && !ends(s.text[s.at]) {
		s.at++
	}
	v, err := strconv.ParseFloat(string(s.text[start:s.at]), 32)
	if err != nil && s.err == nil {
		s.err = fmt.Errorf("%q at byte %d: %w", s.text[start:s.at], start, errNumber)
	}
	return float32(v)
}

func (s *scanner) int() int64 {
	s.peek()
	i := s.at
	negative := i < len(s.text) && s.text[i] == '-'
	if negative {
		i++
	}
	v, from := int64(0), i
	for i < len(s.text) && s.text[i]-'0' < 10 {
		v = 10*v + int64(s.text[i]-'0')
		i++
	}
	if i == from || i-from > 18 {
		s.fail()
	}
	s.at = i
	if negative {
		return -v
	}
	return v
}
