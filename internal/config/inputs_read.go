package config

import (
	"fmt"

	"github.com/goccy/go-yaml/ast"
)

// inputMapping reads one entry of model.inputs: a pointer, {path, default}, or
// a list of these.
func (l *loader) inputMapping(tensor string, n ast.Node) {
	path := "model.inputs." + tensor
	l.origin[path] = l.at(n)
	m := InputMapping{Tensor: tensor}
	seq, list := n.(*ast.SequenceNode)
	if !list {
		if f, ok := l.inputField(path, n); ok {
			m.Fields = []Field{f}
			l.cfg.Model.Inputs.set(m)
		}
		return
	}
	m.List = true
	if len(seq.Values) == 0 {
		l.problem(l.at(n), path, "an empty list; name at least one JSON pointer")
		return
	}
	good := true
	for i, entry := range seq.Values {
		f, ok := l.inputField(fmt.Sprintf("%s[%d]", path, i), l.plain(entry))
		m.Fields, good = append(m.Fields, f), good && ok
	}
	if good {
		l.cfg.Model.Inputs.set(m)
	}
}

func (l *loader) inputField(path string, n ast.Node) (Field, bool) {
	if _, mapping := entries(n); !mapping {
		pointer, ok := l.scalar(path, n)
		return Field{Pointer: pointer}, ok && l.pointer(path, pointer, n)
	}
	var f Field
	good, named := true, false
	l.members(path, n, func(name string, key, value ast.Node) {
		switch name {
		case "path":
			var ok bool
			named = true
			f.Pointer, ok = l.scalar(path+".path", value)
			good = ok && l.pointer(path+".path", f.Pointer, value) && good
		case "default":
			text, ok := l.scalar(path+".default", value)
			f.Default, good = jsonToken(text, isQuoted(value)), ok && good
		default:
			good = false
			l.problem(l.at(key), join(path, name), fmt.Sprintf("unknown key %q; allowed here: path, default", name))
		}
	})
	if good && !named {
		l.problem(l.at(n), path, "has no path; write { path: /age, default: -1 }")
		return f, false
	}
	return f, good
}

func (l *loader) pointer(path, pointer string, n ast.Node) bool {
	if err := checkPointer(pointer); err != nil {
		l.problem(l.at(n), path, err.Error())
		return false
	}
	return true
}

// isQuoted says whether a scalar is a string for YAML.
func isQuoted(n ast.Node) bool {
	_, ok := n.(*ast.StringNode)
	return ok
}
