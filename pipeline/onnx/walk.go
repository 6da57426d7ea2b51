package onnx

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// errMalformed is a file that is cut off, or was never protobuf.
var errMalformed = errors.New("not an ONNX file")

// maxDepth of messages within messages: protobuf's own default, which ONNX
// Runtime reads with. Some 30 subgraphs within each other.
const maxDepth = 100

// walk goes through a protobuf message and those within it, and never deeper
// than maxDepth: a few bytes a level would else use up the stack.
type walk struct{ depth int }

// fields calls visit for each field of a message: value for length-delimited
// ones, number for varints.
func (w *walk) fields(data []byte, visit func(num int, value []byte, number uint64) error) error {
	if w.depth == maxDepth {
		return fmt.Errorf("%w: messages are nested more than %d deep", ErrUnsafe, maxDepth)
	}
	w.depth++
	defer func() { w.depth-- }()
	for len(data) > 0 {
		num, typ, n := protowire.ConsumeTag(data)
		if n < 0 {
			return fmt.Errorf("%w: %w", errMalformed, protowire.ParseError(n))
		}
		data = data[n:]
		var value []byte
		var number uint64
		switch typ {
		case protowire.BytesType:
			value, n = protowire.ConsumeBytes(data)
		case protowire.VarintType:
			number, n = protowire.ConsumeVarint(data)
		default:
			n = protowire.ConsumeFieldValue(num, typ, data)
		}
		if n < 0 {
			return fmt.Errorf("%w: %w", errMalformed, protowire.ParseError(n))
		}
		data = data[n:]
		if err := visit(int(num), value, number); err != nil {
			return err
		}
	}
	return nil
}
