package schemas

import (
	"unsafe"

	"golang.org/x/sys/cpu"
)

// hasMarks tells whether the processor has what vectorMarks needs.
var hasMarks = hasVector && cpu.X86.HasPCLMULQDQ && cpu.X86.HasPOPCNT

// markState is what one block of 64 bytes leaves to the next.
type markState struct {
	escape uint64 //nolint:unused // by vectorMarks. 1: the first byte is escaped
	inside uint64 // all ones: it begins inside a string
	scalar uint64 //nolint:unused // by vectorMarks. 1: the byte before belongs to a scalar
	wrong  uint64 // not 0: a control character inside a string
}

// vectorMarks writes where the marks of so many blocks of 64 bytes are, as
// indices that count from first at b on, and up to eight words behind them.
//
//go:noescape
func vectorMarks(b *byte, blocks, first int, out *uint32, s *markState) (n int)

// markPlaces is where the marks of b are: brackets, colons and commas outside
// strings; the two quotes of a string and the backslash of each escape in it; the
// first byte of what else is a value. The result uses the memory of places. False:
// b ends inside a string, or has a control character in one, or cannot be marked
// here.
func markPlaces(b []byte, places []uint32) ([]uint32, bool) {
	if !hasMarks || len(b) == 0 || len(b) > mostMarked {
		return places, false
	}
	if need := len(b) + 64 + 8; cap(places) < need {
		places = make([]uint32, need, need+need/2)
	}
	places = places[:cap(places)]
	var state markState
	blocks := len(b) / 64
	n := vectorMarks(unsafe.SliceData(b), blocks, 0, &places[0], &state)
	if rest := b[64*blocks:]; len(rest) > 0 {
		tail := [64]byte{}
		for i := copy(tail[:], rest); i < len(tail); i++ {
			tail[i] = ' '
		}
		n += vectorMarks(&tail[0], 1, 64*blocks, &places[n], &state)
	}
	return places[:n], state.wrong == 0 && state.inside == 0
}
