package main

import (
	"crypto/rand"
	"encoding/hex"
)

// newTraceParent begins a trace (W3C): random ids, sampled, because what is
// published by hand is published to be followed.
func newTraceParent() []byte {
	var ids [24]byte
	if _, err := rand.Read(ids[:]); err != nil {
		panic("BUG: crypto/rand never fails: " + err.Error())
	}
	out := append(make([]byte, 0, 55), "00-"...)
	out = append(hex.AppendEncode(out, ids[:16]), '-')
	out = hex.AppendEncode(out, ids[16:])
	return append(out, "-01"...)
}
