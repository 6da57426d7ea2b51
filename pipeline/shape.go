package pipeline

import "github.com/sluice-ml/sluice/schemas"

// FNV-1a, 64 bits (RFC 9923); by hand because hash/fnv works on bytes.
const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

// shapeKey hashes the shapes of an item's inputs without the axis that counts
// rows: items of equal key and shape may share a batch. It does not allocate.
func shapeKey(sig *schemas.Signature, it *Item) uint64 {
	h := uint64(fnvOffset)
	for i := range it.Req.Inputs {
		axis := batchAxis(sig, i)
		for d, n := range it.Req.Inputs[i].Shape {
			if d != axis {
				h = (h ^ uint64(n)) * fnvPrime
			}
		}
		h = (h ^ 0xff) * fnvPrime // [2,3],[4] is not [2],[3,4]
	}
	return h
}

// sameShape compares what shapeKey hashes.
func sameShape(sig *schemas.Signature, a, b *Item) bool {
	if len(a.Req.Inputs) != len(b.Req.Inputs) {
		return false
	}
	for i := range a.Req.Inputs {
		x, y, axis := a.Req.Inputs[i].Shape, b.Req.Inputs[i].Shape, batchAxis(sig, i)
		if len(x) != len(y) {
			return false
		}
		for d := range x {
			if d != axis && x[d] != y[d] {
				return false
			}
		}
	}
	return true
}

func batchAxis(sig *schemas.Signature, input int) int {
	if input < len(sig.Inputs) {
		return sig.Inputs[input].BatchAxis
	}
	return -1
}
