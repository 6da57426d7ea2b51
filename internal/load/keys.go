package load

import (
	"bytes"
	"strconv"
)

// Keys gives each record of a run a key of its own, and reads the record's
// number back from it. The prefix tells the run's records from all others.
type Keys struct{ Prefix string }

// Append adds the key of record n to dst.
func (k Keys) Append(dst []byte, n int64) []byte {
	return strconv.AppendInt(append(dst, k.Prefix...), n, 10)
}

// Parse is the record's number; false for a key that is not of this run.
func (k Keys) Parse(key []byte) (n int64, ok bool) {
	digits, found := bytes.CutPrefix(key, []byte(k.Prefix))
	if !found || len(digits) == 0 || len(digits) > 18 || (digits[0] == '0' && len(digits) > 1) {
		return 0, false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}
