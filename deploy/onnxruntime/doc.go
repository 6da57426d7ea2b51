// Package onnxruntime holds fetch.sh, which puts the ONNX Runtime library into
// the cache. There is no Go code beside its tests.
package onnxruntime
