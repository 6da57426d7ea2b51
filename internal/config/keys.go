package config

import (
	"reflect"
	"strings"
	"time"
)

// EnvPrefix starts the environment name of every key and flag.
const EnvPrefix = "SLUICE_"

// Key is one setting.
type Key struct {
	// Path is the key with its sections, such as input.start.
	Path string
	// Env is its environment name, such as SLUICE_INPUT_START.
	Env string
	// Enum lists the allowed values, nil when any will do.
	Enum []string
	// Required is true when there is no default.
	Required bool

	index []int // field index from Config
	min   string
}

// keys is every key in the order of the structs.
var keys = walkKeys(reflect.TypeFor[Config](), "", nil)

// Keys returns every key, in the order in which the file shows them.
func Keys() []Key { return append([]Key(nil), keys...) }

func walkKeys(t reflect.Type, prefix string, index []int) []Key {
	var found []Key
	for i := range t.NumField() {
		f := t.Field(i)
		name := f.Tag.Get("yaml")
		if name == "-" {
			continue
		}
		at := append(append([]int(nil), index...), i)
		if f.Type.Kind() == reflect.Struct {
			found = append(found, walkKeys(f.Type, prefix+name+".", at)...)
			continue
		}
		k := Key{Path: prefix + name, Required: f.Tag.Get("required") == "true", index: at, min: f.Tag.Get("min")}
		k.Env = EnvName(k.Path)
		if enum, ok := f.Tag.Lookup("enum"); ok {
			k.Enum = strings.Split(enum, "|")
		}
		found = append(found, k)
	}
	return found
}

// EnvName is the environment name of a key or a flag.
func EnvName(path string) string {
	return EnvPrefix + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(path))
}

// keyAt finds a key by its path.
func keyAt(path string) (Key, bool) {
	for _, k := range keys {
		if k.Path == path {
			return k, true
		}
	}
	return Key{}, false
}

// sections lists the names directly below a section, "" for the top.
func namesBelow(section string) []string {
	var names []string
	seen := map[string]bool{}
	for _, k := range keys {
		rest := k.Path
		if section != "" {
			var ok bool
			if rest, ok = strings.CutPrefix(k.Path, section+"."); !ok {
				continue
			}
		}
		name, _, _ := strings.Cut(rest, ".")
		if !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	return names
}

func isSection(path string) bool { return len(namesBelow(path)) > 0 }

// allPaths is every key's path, for suggestions across sections.
func allPaths() []string {
	paths := make([]string, len(keys))
	for i, k := range keys {
		paths[i] = k.Path
	}
	return paths
}

// field is the value of a key in a configuration.
func (k Key) field(c *Config) reflect.Value {
	return reflect.ValueOf(c).Elem().FieldByIndex(k.index)
}

// isMap says whether a key holds named values, which have paths of their own.
func (k Key) isMap() bool {
	t := reflect.TypeFor[Config]().FieldByIndex(k.index).Type
	return t == reflect.TypeFor[Inputs]() || t.Kind() == reflect.Map
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	sizeType     = reflect.TypeFor[Size]()
)
