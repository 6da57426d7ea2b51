package schemas

// scanFloat32s reads numbers from i, the start of a value in an array, into dst,
// little-endian. It stops at the closing bracket (closed), when dst is full, or
// at a value that needs the careful path (exponents, too many digits, near ties,
// null, strings, anything wrong). next is the index it stopped at, n how many
// numbers it wrote.
//
// The vector scanner does what it can, the word scanner the rest: the end of the
// document, unusual white space, more digits. Behind one odd number among many
// ordinary ones the vector scanner is asked again.
func scanFloat32s(b []byte, i int, dst []byte) (next, n int, closed bool) {
	const few = 4 // numbers
	for room := len(dst) / 4; ; {
		before := n
		i, n = vectorFloat32s(b, i, dst, n)
		i = space(b, i)
		most := room
		if n-before > 4*few {
			most = min(room, n+few)
		}
		i, n, closed = wordFloat32s(b, i, dst[:4*most], n)
		if closed || n < most || n == room {
			return i, n, closed
		}
	}
}
