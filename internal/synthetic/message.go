package synthetic

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/sluice-ml/sluice/schemas"
)

// The content types of the codecs.
const (
	typeJSON = "application/json"
	typeRaw  = "application/octet-stream"
	typeOIP  = "application/vnd.oip+json"
)

// Message turns rows into the bytes of a codec. Not safe for concurrent use.
type Message struct {
	// ContentType is the codec's header.
	ContentType string
	// Append appends the message of one row.
	Append func(dst []byte, row []schemas.Tensor) ([]byte, error)
}

// NewMessage is for the codec of that name. mapping says where inputs are in a
// JSON message, as in the configuration; rows is one or many.
func NewMessage(codec string, inputs []Input, mapping map[string]schemas.InputMapping, rows string) (*Message, error) {
	switch codec {
	case schemas.CodecJSON:
		doc, err := newDocument(inputs, mapping, rows == schemas.RowsMany)
		if err != nil {
			return nil, err
		}
		return &Message{typeJSON, doc.append}, nil
	case schemas.CodecRaw:
		if len(inputs) != 1 {
			return nil, fmt.Errorf("the codec raw is for models with one input; this one has %d", len(inputs))
		}
		return &Message{typeRaw, appendRaw}, nil
	case schemas.CodecOIPJSON:
		return &Message{typeOIP, appendOIP}, nil
	}
	return nil, fmt.Errorf("unknown codec %q; allowed: json, raw, oip-json", codec)
}

func appendRaw(dst []byte, row []schemas.Tensor) ([]byte, error) {
	dst = append(dst, row[0].Data...)
	for _, s := range row[0].Strings {
		dst = append(binary.LittleEndian.AppendUint32(dst, uint32(len(s))), s...)
	}
	return dst, nil
}

func appendOIP(dst []byte, row []schemas.Tensor) ([]byte, error) {
	// No id: the service takes the record's key.
	dst, ok := schemas.AppendOIPRequest(dst, "", row)
	if !ok {
		return nil, errors.New("the codec oip-json cannot write FP16 or BF16; use json or raw")
	}
	return dst, nil
}

// document is the tree of a JSON message: names, and the tensors at its leaves.
type document struct{ root node }

// node is an object with members, or a leaf.
type node struct {
	name    string // quoted
	members []*node
	leaf    bool
	input   int
	element int // index in a list of fields, -1 for the whole tensor
	axes    int // of the tensor's shape that are left out in front
}

func newDocument(inputs []Input, mapping map[string]schemas.InputMapping, many bool) (*document, error) {
	d := &document{}
	for i := range inputs {
		in := &inputs[i]
		skip := 0
		if in.BatchAxis == 0 && !many {
			skip = 1
		}
		m, mapped := mapping[in.Name]
		switch {
		case mapped && len(m.Fields) > 0:
			for e, f := range m.Fields {
				if err := d.add(f.Path, node{leaf: true, input: i, element: e}); err != nil {
					return nil, err
				}
			}
			continue
		case !mapped || m.Path == "":
			m.Path = "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(in.Name)
		}
		if err := d.add(m.Path, node{leaf: true, input: i, element: -1, axes: skip}); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// add puts a leaf at a JSON pointer.
func (d *document) add(pointer string, leaf node) error {
	if pointer == "" || pointer == "/" {
		return fmt.Errorf("a message whose whole value is one input cannot be made up; give records with --records")
	}
	at := &d.root
	for token := range strings.SplitSeq(pointer[1:], "/") {
		token = strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
		if at.leaf {
			return fmt.Errorf("JSON pointer %s leads into another input", pointer)
		}
		if _, err := strconv.Atoi(token); err == nil {
			return fmt.Errorf("JSON pointer %s may lead into an array; give records with --records", pointer)
		}
		quoted, err := json.Marshal(token)
		if err != nil {
			return err
		}
		at = at.member(string(quoted))
	}
	if at.leaf || len(at.members) > 0 {
		return fmt.Errorf("JSON pointer %s leads to two inputs", pointer)
	}
	leaf.name = at.name
	*at = leaf
	return nil
}

func (n *node) member(name string) *node {
	for _, m := range n.members {
		if m.name == name {
			return m
		}
	}
	m := &node{name: name}
	n.members = append(n.members, m)
	return m
}

func (d *document) append(dst []byte, row []schemas.Tensor) ([]byte, error) {
	return d.root.append(dst, row), nil
}

func (n *node) append(dst []byte, row []schemas.Tensor) []byte {
	if n.leaf {
		t := &row[n.input]
		if n.element >= 0 {
			return appendElement(dst, t, n.element)
		}
		dst, _ = appendNested(dst, t, t.Shape[n.axes:], 0)
		return dst
	}
	for i, m := range n.members {
		dst = append(dst, "{,"[min(i, 1)])
		dst = append(append(dst, m.name...), ':')
		dst = m.append(dst, row)
	}
	if len(n.members) == 0 {
		dst = append(dst, '{')
	}
	return append(dst, '}')
}

// appendNested appends an array of arrays, and returns the next element.
func appendNested(dst []byte, t *schemas.Tensor, shape []int64, next int) ([]byte, int) {
	if len(shape) == 0 {
		return appendElement(dst, t, next), next + 1
	}
	dst = append(dst, '[')
	for i := range shape[0] {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst, next = appendNested(dst, t, shape[1:], next)
	}
	return append(dst, ']'), next
}

// appendElement appends one element as JSON.
func appendElement(dst []byte, t *schemas.Tensor, i int) []byte {
	if t.Type == schemas.Bytes {
		return strconv.AppendQuote(dst, t.Strings[i]) // letters only
	}
	size := t.Type.Size()
	b := t.Data[i*size : (i+1)*size]
	switch t.Type {
	case schemas.Bool:
		return strconv.AppendBool(dst, b[0] != 0)
	case schemas.Int8:
		return strconv.AppendInt(dst, int64(int8(b[0])), 10)
	case schemas.Int16:
		return strconv.AppendInt(dst, int64(int16(binary.LittleEndian.Uint16(b))), 10)
	case schemas.Int32:
		return strconv.AppendInt(dst, int64(int32(binary.LittleEndian.Uint32(b))), 10)
	case schemas.Int64:
		return strconv.AppendInt(dst, int64(binary.LittleEndian.Uint64(b)), 10)
	case schemas.Uint8:
		return strconv.AppendUint(dst, uint64(b[0]), 10)
	case schemas.Uint16:
		return strconv.AppendUint(dst, uint64(binary.LittleEndian.Uint16(b)), 10)
	case schemas.Uint32:
		return strconv.AppendUint(dst, uint64(binary.LittleEndian.Uint32(b)), 10)
	case schemas.Uint64:
		return strconv.AppendUint(dst, binary.LittleEndian.Uint64(b), 10)
	case schemas.FP64:
		return strconv.AppendFloat(dst, math.Float64frombits(binary.LittleEndian.Uint64(b)), 'g', -1, 64)
	case schemas.FP16:
		return strconv.AppendFloat(dst, unhalf(binary.LittleEndian.Uint16(b)), 'g', -1, 32)
	case schemas.BF16:
		return strconv.AppendFloat(dst, float64(math.Float32frombits(uint32(binary.LittleEndian.Uint16(b))<<16)), 'g', -1, 32)
	default:
		return strconv.AppendFloat(dst, float64(math.Float32frombits(binary.LittleEndian.Uint32(b))), 'g', -1, 32)
	}
}

// unhalf reads what half wrote: no subnormal, nothing infinite.
func unhalf(h uint16) float64 {
	if h&0x7FFF == 0 {
		return 0
	}
	v := math.Ldexp(1+float64(h&0x3FF)/1024, int(h>>10&0x1F)-15)
	if h&0x8000 != 0 {
		return -v
	}
	return v
}
