//go:build !amd64

package schemas

// vectorFloat32s leaves all to the word scanner.
func vectorFloat32s(_ []byte, i int, _ []byte, n int) (next, total int) { return i, n }
