//go:build !amd64

package schemas

const hasMarks = false

// markPlaces leaves all to the plain walk.
func markPlaces(_ []byte, places []uint32) ([]uint32, bool) { return places, false }
