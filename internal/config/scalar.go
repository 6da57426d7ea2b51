package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// parseScalar reads one scalar's text as the type of a key. The error says what
// is wrong and, after a semicolon, the cure.
func (k Key) parseScalar(text string, t reflect.Type) (reflect.Value, error) {
	v := reflect.New(t).Elem()
	var err error
	switch t {
	case durationType:
		var d time.Duration
		if d, err = parseDuration(text); err == nil {
			v.SetInt(int64(d))
		}
	case sizeType:
		var s Size
		if s, err = ParseSize(text); err != nil {
			err = fmt.Errorf("%w; write a number with a unit, such as 64MiB", err)
		}
		v.SetInt(int64(s))
	default:
		err = parsePlain(v, text)
	}
	if err != nil {
		return v, err
	}
	return v, k.check(v, text)
}

func parsePlain(v reflect.Value, text string) error {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		b, err := strconv.ParseBool(strings.ToLower(text))
		if err != nil {
			return fmt.Errorf("%q is no boolean; write true or false", text)
		}
		v.SetBool(b)
	case reflect.Int:
		n, err := strconv.ParseInt(text, 0, 32)
		if err != nil {
			return fmt.Errorf("%q is no whole number; write digits only, at most %d", text, 1<<31-1)
		}
		v.SetInt(n)
	case reflect.Float64:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || f != f {
			return fmt.Errorf("%q is no number; write one such as 0.5", text)
		}
		v.SetFloat(f)
	default:
		panic("BUG: a key of type " + v.Type().String())
	}
	return nil
}

func parseDuration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err == nil {
		return d, nil
	}
	if _, number := strconv.ParseFloat(text, 64); number == nil {
		return 0, fmt.Errorf("%q has no unit; write a duration such as %sms or %ss", text, text, text)
	}
	return 0, fmt.Errorf("%q is no duration; write one such as 250ms, 10s or 1m30s", text)
}

// check holds a parsed value against the key's allowed values and smallest value.
func (k Key) check(v reflect.Value, text string) error {
	if k.Enum != nil && !slices.Contains(k.Enum, v.String()) {
		cure := "allowed: " + strings.Join(nonEmpty(k.Enum), ", ")
		if near := Nearest(text, nonEmpty(k.Enum)); near != "" {
			cure = fmt.Sprintf("did you mean %q? %s", near, cure)
		}
		return fmt.Errorf("unknown value %q; %s", text, cure)
	}
	if k.min == "" {
		return nil
	}
	bound := Key{}
	least, err := bound.parseScalar(k.min, v.Type())
	if err != nil {
		panic("BUG: min of " + k.Path + ": " + err.Error())
	}
	if (v.CanInt() && v.Int() < least.Int()) || (v.CanFloat() && v.Float() < least.Float()) {
		return fmt.Errorf("%s is too small; the least is %s", text, k.min)
	}
	return nil
}

func nonEmpty(values []string) []string {
	return slices.DeleteFunc(slices.Clone(values), func(s string) bool { return s == "" })
}

// splitList splits a comma-separated list, as the environment and --set have it.
func splitList(text string) []string {
	list := []string{}
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			list = append(list, part)
		}
	}
	return list
}
