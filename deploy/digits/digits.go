// Package digits is the demo's model and its held-out images, made by train.py
// beside this file. Only the demo and tests import it: everything in it is data
// that ends up in the binary.
package digits

import (
	_ "embed" // the files
	"strings"
)

// Model is digits.onnx: image float32 [batch,64] with pixels 0..16 in rows of 8,
// to label int64 [batch] and probabilities float32 [batch,10].
//
//go:embed digits.onnx
var Model []byte

// HeldOut is the images that the model has not seen, one JSON object a line: id,
// image (64 numbers) and label, the truth.
//
//go:embed held_out.jsonl
var HeldOut []byte

//go:embed digits.onnx.sha256
var sum string

// SHA256 is the digest of Model as train.py wrote it, in hexadecimal.
func SHA256() string { return strings.Fields(sum)[0] }
