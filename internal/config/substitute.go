package config

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// substitute replaces ${VAR} and ${VAR:-default} in one scalar, after YAML was
// parsed, so that a value can never change the file's structure. As in a shell
// the default also stands in for an empty variable. $${ is a plain ${. Errors do
// not repeat the text: it may hold a password.
func substitute(text string, env func(string) (string, bool)) (string, error) {
	var out strings.Builder
	for {
		i := strings.Index(text, "${")
		if i < 0 {
			out.WriteString(text)
			return out.String(), nil
		}
		if i > 0 && text[i-1] == '$' {
			out.WriteString(text[:i-1] + "${")
			text = text[i+2:]
			continue
		}
		out.WriteString(text[:i])
		inside, rest, ok := strings.Cut(text[i+2:], "}")
		if !ok {
			return "", errors.New("${ without its closing brace; write ${NAME} or ${NAME:-default}, and $${ for a plain ${")
		}
		name, fallback, hasDefault := strings.Cut(inside, ":-")
		if !variable.MatchString(name) {
			return "", errors.New("${...} names no variable; write ${NAME} or ${NAME:-default}, and $${ for a plain ${")
		}
		value, set := env(name)
		switch {
		case hasDefault && value == "":
			value = fallback
		case !set:
			return "", fmt.Errorf("${%s} is not set in the environment; set it, or write ${%s:-default}", name, name)
		}
		out.WriteString(value)
		text = rest
	}
}
