package onnx

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// modelConfig is the part of a Triton config.pbtxt that can be honoured.
type modelConfig struct {
	name          string
	file          string // default_model_filename
	maxBatchSize  int
	hasMaxBatch   bool
	labelFilename string
	ignored       []string // fields that were read and have no effect
}

// textField is one field of a text-format message: a scalar, or a message.
type textField struct {
	name   string
	value  string
	fields []textField
}

// parseModelConfig reads the text format of protocol buffers as far as such
// files use it. A message type of our own would have to hold all of Triton's
// schema only to name the fields that are ignored.
func parseModelConfig(text string) (*modelConfig, error) {
	p := &textParser{rest: text, line: 1}
	fields, err := p.message(false)
	if err != nil {
		return nil, fmt.Errorf("line %d: %w", p.line, err)
	}
	c := &modelConfig{}
	for _, f := range fields {
		switch f.name {
		case "name":
			c.name = f.value
		case "default_model_filename":
			c.file = f.value
		case "max_batch_size":
			c.maxBatchSize, err = strconv.Atoi(f.value)
			if err != nil || c.maxBatchSize < 0 {
				return nil, fmt.Errorf("max_batch_size %q is not a number of rows", f.value)
			}
			c.hasMaxBatch = true
		case "platform", "backend":
			if f.value != "onnxruntime_onnx" && f.value != "onnxruntime" {
				return nil, fmt.Errorf("%s is %q: only ONNX Runtime models can be run", f.name, f.value)
			}
		case "input":
			// Names, types and shapes come from the model itself.
		case "output":
			c.readOutput(f.fields)
		default:
			c.ignore(f.name)
		}
	}
	return c, nil
}

func (c *modelConfig) readOutput(fields []textField) {
	for _, f := range fields {
		switch f.name {
		case "label_filename":
			c.labelFilename = f.value
		case "name", "data_type", "dims":
		default:
			c.ignore("output." + f.name)
		}
	}
}

func (c *modelConfig) ignore(name string) {
	for _, have := range c.ignored {
		if have == name {
			return
		}
	}
	c.ignored = append(c.ignored, name)
}

var errText = errors.New("not a config.pbtxt")

// textParser is a small recursive parser. Messages nest no deeper than the
// recursion limit of the format's own parsers.
type textParser struct {
	rest  string
	line  int
	depth int
}

const maxTextDepth = 100

// message reads fields up to the end, or up to the closing bracket.
func (p *textParser) message(nested bool) (fields []textField, err error) {
	if p.depth++; p.depth > maxTextDepth {
		return nil, fmt.Errorf("%w: nested too deep", errText)
	}
	defer func() { p.depth-- }()
	for {
		p.space()
		switch {
		case p.rest == "" && nested:
			return nil, fmt.Errorf("%w: a bracket is not closed", errText)
		case p.rest == "":
			return fields, nil
		case nested && (p.rest[0] == '}' || p.rest[0] == '>'):
			p.rest = p.rest[1:]
			return fields, nil
		}
		f, err := p.field()
		if err != nil {
			return nil, err
		}
		fields = append(fields, f...)
	}
}

// field reads name: value, name { ... } or name: [ ... ], which is one field for
// each element.
func (p *textParser) field() ([]textField, error) {
	name := p.word()
	if name == "" {
		return nil, fmt.Errorf("%w: %q is not a field's name", errText, p.rest[:1])
	}
	p.space()
	p.accept(':')
	p.space()
	if !p.accept('[') {
		f, err := p.value(name)
		return []textField{f}, err
	}
	var list []textField
	for {
		p.space()
		if p.accept(']') {
			p.separator()
			return list, nil
		}
		f, err := p.value(name)
		if err != nil {
			return nil, err
		}
		list = append(list, f)
	}
}

func (p *textParser) value(name string) (textField, error) {
	f := textField{name: name}
	if p.rest == "" {
		return f, fmt.Errorf("%w: %s has no value", errText, name)
	}
	var err error
	switch c := p.rest[0]; c {
	case '{', '<':
		p.rest = p.rest[1:]
		f.fields, err = p.message(true)
	case '"', '\'':
		f.value, err = p.quoted(c)
	default:
		if f.value = p.word(); f.value == "" {
			err = fmt.Errorf("%w: %s has no value", errText, name)
		}
	}
	p.separator()
	return f, err
}

// separator: fields may be separated by nothing, a comma or a semicolon.
func (p *textParser) separator() {
	p.space()
	if !p.accept(',') {
		p.accept(';')
	}
}

func (p *textParser) quoted(quote byte) (string, error) {
	for i := 1; i < len(p.rest); i++ {
		switch p.rest[i] {
		case '\\':
			i++
		case '\n':
			return "", fmt.Errorf("%w: a quote is not closed", errText)
		case quote:
			raw := p.rest[1:i]
			p.rest = p.rest[i+1:]
			if !strings.ContainsRune(raw, '\\') {
				return raw, nil
			}
			s, err := strconv.Unquote(`"` + strings.ReplaceAll(raw, `"`, `\"`) + `"`)
			if err != nil {
				return "", fmt.Errorf("%w: %q is not a quoted text", errText, raw)
			}
			return s, nil
		}
	}
	return "", fmt.Errorf("%w: a quote is not closed", errText)
}

// word reads a name, a number or an enum value.
func (p *textParser) word() string {
	n := strings.IndexFunc(p.rest, func(r rune) bool {
		return !strings.ContainsRune("_-+.", r) && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
	if n < 0 {
		n = len(p.rest)
	}
	w := p.rest[:n]
	p.rest = p.rest[n:]
	return w
}

func (p *textParser) accept(c byte) bool {
	if p.rest == "" || p.rest[0] != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

// space leaves out white space and comments.
func (p *textParser) space() {
	for p.rest != "" {
		switch p.rest[0] {
		case '\n':
			p.line++
			p.rest = p.rest[1:]
		case ' ', '\t', '\r':
			p.rest = p.rest[1:]
		case '#':
			if n := strings.IndexByte(p.rest, '\n'); n >= 0 {
				p.rest = p.rest[n:]
			} else {
				p.rest = ""
			}
		default:
			return
		}
	}
}
