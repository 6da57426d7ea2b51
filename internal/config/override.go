package config

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"sort"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// anchor is what a YAML alias stands for.
type anchor = ast.Node

// kubernetes is what Kubernetes puts into every container for a Service named
// sluice or sluice-something: no setting, and not worth a warning.
var kubernetes = regexp.MustCompile(`^SLUICE_([A-Z0-9_]+_)?(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$`)

// cacheEnv is the folder for fetched things; it is no key.
const cacheEnv = EnvPrefix + "CACHE"

// readEnvironment sets every key whose environment name is set.
func (l *loader) readEnvironment(environ, known []string) {
	var unknown []string
	sorted := slices.Sorted(slices.Values(environ))
	for _, pair := range sorted {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, EnvPrefix) {
			continue
		}
		i := slices.IndexFunc(keys, func(k Key) bool { return k.Env == name })
		switch {
		case i >= 0:
			l.override(keys[i], "", value, Position{Source: "environment " + name})
		case name == cacheEnv || slices.Contains(known, name) || kubernetes.MatchString(name):
		default:
			unknown = append(unknown, name)
		}
	}
	if len(unknown) > 0 {
		sort.Strings(unknown)
		l.warn(Position{Source: "environment"}, "", "%s: no such key, ignored", strings.Join(unknown, ", "))
	}
}

// readSets applies --set path=value.
func (l *loader) readSets(sets []string) {
	for _, s := range sets {
		path, value, ok := strings.Cut(s, "=")
		path = strings.TrimSpace(path)
		at := Position{Source: "--set " + path}
		if !ok {
			l.problem(at, "", "no value; write --set "+path+"=value")
			continue
		}
		if k, ok := keyAt(path); ok {
			l.override(k, "", value, at)
			continue
		}
		if k, name, ok := mapKey(path); ok {
			l.override(k, name, value, at)
			continue
		}
		l.problem(at, "", unknownPath(path))
	}
}

func unknownPath(path string) string {
	if isSection(path) {
		return fmt.Sprintf("%q is a section; name one of its keys, such as %s.%s", path, path, namesBelow(path)[0])
	}
	if near := Nearest(path, allPaths()); near != "" {
		return fmt.Sprintf("unknown key %q; did you mean %q?", path, near)
	}
	section, name := "", path
	if i := strings.LastIndexByte(path, '.'); i >= 0 && isSection(path[:i]) {
		section, name = path[:i], path[i+1:]
	}
	return unknownKey(section, name)
}

// mapKey splits a path into a key with named values and the name.
func mapKey(path string) (k Key, name string, ok bool) {
	for _, k := range keys {
		if rest, found := strings.CutPrefix(path, k.Path+"."); found && k.isMap() && rest != "" {
			return k, rest, true
		}
	}
	return Key{}, "", false
}

// override sets a key from text: lists have commas, maps are name=value with
// commas, or YAML in braces. name is set for one entry of a map.
func (l *loader) override(k Key, name, text string, at Position) {
	l.origin[k.Path] = at
	field := k.field(l.cfg)
	switch {
	case k.isMap() && name == "" && strings.HasPrefix(strings.TrimSpace(text), "{"):
		l.overrideYAML(text, at, func(n ast.Node) { l.value(k, n) })
	case k.isMap() && name == "":
		field.SetZero()
		for _, pair := range splitList(text) {
			n, v, ok := strings.Cut(pair, "=")
			if !ok {
				l.problem(at, k.Path, fmt.Sprintf("%q has no value; write name=value,name=value", pair))
				continue
			}
			l.overrideEntry(k, n, v, at)
		}
	case k.isMap():
		l.overrideEntry(k, name, text, at)
	case field.Kind() == reflect.Slice:
		field.Set(reflect.ValueOf(splitList(text)))
	default:
		l.setText(k, text, at)
	}
}

// overrideEntry sets one named value of a map.
func (l *loader) overrideEntry(k Key, name, text string, at Position) {
	full := join(k.Path, name)
	l.origin[full] = at
	if k.Path != "model.inputs" {
		if l.cfg.Kafka.Properties == nil {
			l.cfg.Kafka.Properties = map[string]string{}
		}
		l.cfg.Kafka.Properties[name] = text
		return
	}
	if strings.HasPrefix(text, "{") || strings.HasPrefix(text, "[") {
		l.overrideYAML(text, at, func(n ast.Node) { l.inputMapping(name, n) })
		return
	}
	// A comma inside one pointer stays: the next entry of a list begins with a slash.
	pointers := strings.Split(strings.ReplaceAll(text, ",/", "\x00/"), "\x00")
	m := InputMapping{Tensor: name, List: len(pointers) > 1}
	for _, pointer := range pointers {
		if err := checkPointer(pointer); err != nil {
			l.problem(at, full, err.Error())
			return
		}
		m.Fields = append(m.Fields, Field{Pointer: pointer})
	}
	l.cfg.Model.Inputs.set(m)
}

// overrideYAML reads a value written as YAML; its problems are those of at.
func (l *loader) overrideYAML(text string, at Position, f func(ast.Node)) {
	file, err := parser.ParseBytes([]byte(text), 0)
	if err != nil || len(file.Docs) == 0 || file.Docs[0].Body == nil {
		l.problem(at, "", fmt.Sprintf("%q is no YAML", text))
		return
	}
	before := len(l.problems)
	f(l.plain(file.Docs[0].Body))
	for i := before; i < len(l.problems); i++ {
		l.problems[i].Position = at
	}
	for path, origin := range l.origin {
		if origin.Source == "" && strings.HasPrefix(path, "model.inputs.") {
			l.origin[path] = at
		}
	}
}
