package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// readDocument parses YAML and sets what it says; false when it is no YAML.
// Duplicate keys are let through by the parser and found here, so that they do
// not hide the rest.
func (l *loader) readDocument(data []byte) bool {
	file, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		l.syntaxProblem(err)
		return false
	}
	var bodies []ast.Node
	for _, doc := range file.Docs {
		if doc.Body != nil {
			bodies = append(bodies, doc.Body)
		}
	}
	if len(bodies) > 1 {
		l.problem(l.at(bodies[1]), "", "a second YAML document; keep one per file")
	}
	if len(bodies) > 0 {
		l.section("", bodies[0])
	}
	return true
}

func (l *loader) syntaxProblem(err error) {
	at, message := Position{File: l.file, Line: 1, Column: 1}, err.Error()
	var syntax *yaml.SyntaxError
	if errors.As(err, &syntax) {
		message = syntax.Message
		if syntax.Token != nil {
			at = position(l.file, syntax.Token)
		}
	}
	l.problem(at, "", "not YAML: "+message)
}

func position(file string, t *token.Token) Position {
	if t == nil || t.Position == nil {
		return Position{File: file}
	}
	return Position{File: file, Line: t.Position.Line, Column: t.Position.Column}
}

// at is where a node begins.
func (l *loader) at(n ast.Node) Position {
	if m, ok := n.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		return l.at(m.Values[0].Key)
	}
	if m, ok := n.(*ast.MappingValueNode); ok {
		return l.at(m.Key)
	}
	return position(l.file, n.GetToken())
}

// plain follows anchors, aliases and tags down to the value.
func (l *loader) plain(n ast.Node) ast.Node {
	for range 16 { // an alias to itself must end somewhere
		switch v := n.(type) {
		case *ast.AnchorNode:
			l.anchors[v.Name.GetToken().Value] = v.Value
			n = v.Value
		case *ast.AliasNode:
			target, ok := l.anchors[v.Value.GetToken().Value]
			if !ok {
				return n
			}
			n = target
		case *ast.TagNode:
			n = v.Value
		default:
			return n
		}
	}
	return n
}

// entries is a mapping's members; ok is false when the node is no mapping.
func entries(n ast.Node) (members []*ast.MappingValueNode, ok bool) {
	switch v := n.(type) {
	case *ast.MappingNode:
		return v.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{v}, true
	default:
		return nil, false
	}
}

// members calls f for each member of a mapping and reports duplicates.
func (l *loader) members(path string, n ast.Node, f func(name string, key, value ast.Node)) {
	list, ok := entries(n)
	if !ok {
		l.problem(l.at(n), path, fmt.Sprintf("wants a mapping, not %s; write it as name: value lines", describe(n)))
		return
	}
	seen := map[string]Position{}
	for _, m := range list {
		name, at := keyText(m.Key), l.at(m.Key)
		if first, twice := seen[name]; twice {
			l.problem(at, join(path, name), fmt.Sprintf("given twice, first in line %d; keep one", first.Line))
			continue
		}
		seen[name] = at
		f(name, m.Key, l.plain(m.Value))
	}
}

func keyText(key ast.MapKeyNode) string {
	if s, ok := key.(*ast.StringNode); ok {
		return s.Value
	}
	return key.GetToken().Value
}

// section reads a mapping whose names are fixed.
func (l *loader) section(path string, n ast.Node) {
	if isNull(n) {
		return // "kafka:" with everything below commented out
	}
	l.members(path, n, func(name string, key, value ast.Node) {
		full := join(path, name)
		if k, ok := keyAt(full); ok {
			l.origin[full] = l.at(key)
			if !isNull(value) { // "key:" with nothing keeps the default
				l.value(k, value)
			}
			return
		}
		if slices.Contains(namesBelow(path), name) {
			l.origin[full] = l.at(key)
			l.section(full, value)
			return
		}
		l.problem(l.at(key), full, unknownKey(path, name))
	})
}

// unknownKey says that a name is unknown, and which one may have been meant.
func unknownKey(path, name string) string {
	text := fmt.Sprintf("unknown key %q", name)
	if near := Nearest(name, namesBelow(path)); near != "" {
		return text + fmt.Sprintf("; did you mean %q?", near)
	}
	for _, p := range allPaths() {
		if strings.HasSuffix(p, "."+name) {
			return text + fmt.Sprintf("; did you mean %q?", p)
		}
	}
	where := "allowed here: "
	if path == "" {
		where = "allowed at the top: "
	}
	return text + "; " + where + strings.Join(namesBelow(path), ", ")
}

// value sets one key from its node.
func (l *loader) value(k Key, n ast.Node) {
	field := k.field(l.cfg)
	switch {
	case field.Type() == reflect.TypeFor[Inputs]():
		l.cfg.Model.Inputs = nil
		l.members(k.Path, n, func(name string, _, value ast.Node) { l.inputMapping(name, value) })
	case field.Kind() == reflect.Map:
		l.stringMap(k, n)
	case field.Kind() == reflect.Slice:
		if list, ok := l.stringList(k.Path, n); ok {
			field.Set(reflect.ValueOf(list))
		}
	default:
		if text, ok := l.scalar(k.Path, n); ok {
			l.setText(k, text, l.at(n))
		}
	}
}

// setText sets a scalar key from text.
func (l *loader) setText(k Key, text string, at Position) {
	field := k.field(l.cfg)
	v, err := k.parseScalar(text, field.Type())
	if err != nil {
		l.problem(at, k.Path, err.Error())
		return
	}
	field.Set(v)
}

// stringList reads a sequence of scalars; a scalar alone is a list with commas,
// so that "${TOPICS}" can hold several.
func (l *loader) stringList(path string, n ast.Node) (list []string, ok bool) {
	seq, isSeq := n.(*ast.SequenceNode)
	if !isSeq {
		text, ok := l.scalar(path, n)
		return splitList(text), ok
	}
	ok = true
	for i, entry := range seq.Values {
		text, good := l.scalar(fmt.Sprintf("%s[%d]", path, i), l.plain(entry))
		list, ok = append(list, text), ok && good
	}
	return list, ok
}

// stringMap reads a mapping with free names (kafka.properties).
func (l *loader) stringMap(k Key, n ast.Node) {
	values := map[string]string{}
	l.members(k.Path, n, func(name string, key, value ast.Node) {
		full := join(k.Path, name)
		l.origin[full] = l.at(key)
		if text, ok := l.scalar(full, value); ok {
			values[name] = text
		}
	})
	k.field(l.cfg).Set(reflect.ValueOf(values))
}

// scalar is the text of a scalar, with variables substituted.
func (l *loader) scalar(path string, n ast.Node) (text string, ok bool) {
	switch v := n.(type) {
	case *ast.StringNode:
		text = v.Value
	case *ast.LiteralNode:
		text = v.Value.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		text = n.GetToken().Value
	case *ast.NullNode:
		return "", true
	default:
		l.problem(l.at(n), path, fmt.Sprintf("wants one value, not %s", describe(n)))
		return "", false
	}
	text, err := substitute(text, l.env)
	if err != nil {
		l.problem(l.at(n), path, err.Error())
		return "", false
	}
	return text, true
}

func isNull(n ast.Node) bool {
	_, ok := n.(*ast.NullNode)
	return ok || n == nil
}

func describe(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.AliasNode:
		return "an alias without its anchor"
	case *ast.NullNode:
		return "nothing"
	default:
		return "a single value"
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
