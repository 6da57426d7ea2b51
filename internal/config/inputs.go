package config

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Inputs maps the model's tensors to places in a JSON message.
type Inputs []InputMapping

// InputMapping says where one tensor's values are.
type InputMapping struct {
	// Tensor is the model input's name.
	Tensor string
	// Fields are the places: one (a scalar or an array) unless List.
	Fields []Field
	// List is true for a list of pointers, which form the last axis in order.
	List bool
}

// Field is one place in a message.
type Field struct {
	// Pointer is a JSON pointer (RFC 6901).
	Pointer string
	// Default is the JSON token that stands in for a missing or null field, ""
	// for none.
	Default string
}

// set adds or replaces a tensor's mapping.
func (in *Inputs) set(m InputMapping) {
	for i := range *in {
		if (*in)[i].Tensor == m.Tensor {
			(*in)[i] = m
			return
		}
	}
	*in = append(*in, m)
}

// checkPointer says what is wrong with a JSON pointer.
func checkPointer(pointer string) error {
	if pointer != "" && pointer[0] != '/' {
		return fmt.Errorf("%q is no JSON pointer; start it with a slash: %q", pointer, "/"+strings.ReplaceAll(pointer, ".", "/"))
	}
	for i := range len(pointer) {
		if pointer[i] == '~' && (i+1 == len(pointer) || (pointer[i+1] != '0' && pointer[i+1] != '1')) {
			return fmt.Errorf("%q is no JSON pointer; write ~ as ~0 and / inside a name as ~1", pointer)
		}
	}
	return nil
}

// jsonToken writes a YAML scalar as JSON: a number or boolean as it is, a
// string in quotes.
func jsonToken(text string, quoted bool) string {
	if !quoted && json.Valid([]byte(text)) {
		return text
	}
	token, err := json.Marshal(text)
	if err != nil {
		panic("BUG: marshal of a string: " + err.Error())
	}
	return string(token)
}
