package schemas

import "unicode/utf8"

// appendUnquoted appends the text that the JSON string b (quotes included,
// already checked) spells. Bad UTF-8 and lone surrogates become U+FFFD, as
// encoding/json has it.
func appendUnquoted(dst, b []byte) []byte {
	b = b[1 : len(b)-1]
	for i := 0; i < len(b); {
		switch c := b[i]; {
		case c == '\\' && b[i+1] == 'u':
			var r rune
			r, i = unescapeRune(b, i)
			dst = utf8.AppendRune(dst, r)
		case c == '\\':
			dst = append(dst, unescapes[b[i+1]])
			i += 2
		case c < utf8.RuneSelf:
			dst = append(dst, c)
			i++
		default:
			r, n := utf8.DecodeRune(b[i:])
			dst = utf8.AppendRune(dst, r)
			i += n
		}
	}
	return dst
}

var unescapes = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// unescapeRune reads \uXXXX at i, or a pair of surrogates.
func unescapeRune(b []byte, i int) (r rune, next int) {
	r = hexRune(b[i+2 : i+6])
	i += 6
	if r < 0xD800 || r > 0xDFFF {
		return r, i
	}
	if r < 0xDC00 && i+6 <= len(b) && b[i] == '\\' && b[i+1] == 'u' {
		if low := hexRune(b[i+2 : i+6]); low >= 0xDC00 && low <= 0xDFFF {
			return (r-0xD800)<<10 | (low - 0xDC00) + 0x10000, i + 6
		}
	}
	return utf8.RuneError, i
}

func hexRune(b []byte) (r rune) {
	for _, c := range b {
		r = r<<4 | rune(hexDigit(c))
	}
	return r
}

const hexDigits = "0123456789abcdef"

// appendQuoted appends text as a JSON string. Bad UTF-8 becomes U+FFFD, so that
// what is written is always valid JSON and valid UTF-8.
func appendQuoted(dst []byte, text string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(text); {
		c := text[i]
		if c >= 0x20 && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(text[i:])
			if r == utf8.RuneError && n == 1 {
				dst = append(append(dst, text[start:i]...), "\uFFFD"...)
				start = i + n
			}
			i += n
			continue
		}
		dst = append(dst, text[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		start = i
	}
	dst = append(dst, text[start:]...)
	return append(dst, '"')
}

// appendToken copies a checked JSON value as it is, with bad UTF-8 replaced.
func appendToken(dst, token []byte) []byte {
	if utf8.Valid(token) {
		return append(dst, token...)
	}
	for len(token) > 0 {
		r, n := utf8.DecodeRune(token)
		dst = utf8.AppendRune(dst, r)
		token = token[n:]
	}
	return dst
}
