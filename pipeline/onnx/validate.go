package onnx

import (
	"fmt"
	"strings"

	"github.com/sluice-ml/sluice/schemas"
)

// Validate compares a request with the signature: names, types, ranks,
// dimensions, rows and lengths. Nil means that it fits. Codecs do the same; it
// is done again because the runtime's errors carry no code, and one wrong row
// would fail its whole batch.
func Validate(sig *schemas.Signature, req *schemas.Request) *schemas.Error {
	if len(req.Inputs) != len(sig.Inputs) {
		return invalid(schemas.WrongName, "the request has %d inputs, the model %d", len(req.Inputs), len(sig.Inputs))
	}
	if req.Rows < 1 {
		return invalid(schemas.WrongShape, "the request has %d rows, at least one is needed", req.Rows)
	}
	for i := range sig.Inputs {
		if err := validateTensor(&sig.Inputs[i], &req.Inputs[i], int64(req.Rows)); err != nil {
			return err
		}
	}
	return nil
}

func validateTensor(spec *schemas.TensorSpec, t *schemas.Tensor, rows int64) *schemas.Error {
	if t.Name != spec.Name {
		return invalid(schemas.WrongName, "input %q stands where %q belongs", t.Name, spec.Name)
	}
	if t.Type != spec.Type {
		return invalid(schemas.WrongType, "input %q is %s, the model takes %s", t.Name, t.Type, spec.Type)
	}
	if len(t.Shape) != len(spec.Shape) {
		return invalid(schemas.WrongShape, "input %q has %d dimensions, the model takes %d", t.Name, len(t.Shape), len(spec.Shape))
	}
	for a, d := range t.Shape {
		if want := spec.Shape[a]; want >= 0 && d != want {
			return invalid(schemas.WrongShape, "input %q has %d in dimension %d, the model takes %d", t.Name, d, a, want)
		}
	}
	if spec.BatchAxis >= 0 && t.Shape[spec.BatchAxis] != rows {
		return invalid(schemas.WrongShape, "input %q has %d rows, the request %d", t.Name, t.Shape[spec.BatchAxis], rows)
	}
	n, ok := schemas.Elements(t.Shape)
	if !ok {
		return invalid(schemas.WrongShape, "input %q has an impossible shape", t.Name)
	}
	if t.Type != schemas.Bytes {
		if int64(len(t.Data)) != n*int64(t.Type.Size()) {
			return invalid(schemas.WrongShape, "input %q has %d bytes, its shape needs %d", t.Name, len(t.Data), n*int64(t.Type.Size()))
		}
		return nil
	}
	if int64(len(t.Strings)) != n {
		return invalid(schemas.WrongShape, "input %q has %d elements, its shape needs %d", t.Name, len(t.Strings), n)
	}
	for _, s := range t.Strings {
		// The runtime's C interface takes zero-terminated strings: it would cut
		// this one and answer for another.
		if strings.IndexByte(s, 0) >= 0 {
			return invalid(schemas.WrongType, "input %q holds a string with a zero byte, which the runtime cannot take", t.Name)
		}
	}
	return nil
}

func invalid(class schemas.Class, format string, args ...any) *schemas.Error {
	return &schemas.Error{Class: class, Stage: schemas.StageValidate, Message: fmt.Sprintf(format, args...)}
}
