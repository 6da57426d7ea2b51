//go:build !failpoint

package failpoint

// Here does nothing.
func Here(string) {}

// Soon does nothing.
func Soon(string) {}

// Poison does nothing.
func Poison([]byte) {}
