package config

import (
	"fmt"
	"sort"
	"strings"
)

// Position is where a value came from: a place in the file, or the name of the
// environment variable or flag.
type Position struct {
	File         string
	Line, Column int
	// Source is set instead of the file's place: "environment SLUICE_X" or
	// "--set x.y".
	Source string
}

// String is file:line:column, or the source's name.
func (p Position) String() string {
	switch {
	case p.Source != "":
		return p.Source
	case p.Line > 0:
		return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
	default:
		return p.File
	}
}

// Problem is one thing that is wrong, where, and how to mend it.
type Problem struct {
	Position
	// Path is the key, "" when the problem is not about one.
	Path    string
	Message string
	Cure    string
}

// Error implements error.
func (p Problem) Error() string {
	var b strings.Builder
	if where := p.String(); where != "" {
		b.WriteString(where + ": ")
	}
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Message)
	if p.Cure != "" {
		b.WriteString("; " + p.Cure)
	}
	return b.String()
}

// Problems is every problem of one configuration, in the order of the file;
// those of the environment and of flags come last.
type Problems []Problem

// Error implements error: one problem a line.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i := range p {
		lines[i] = p[i].Error()
	}
	return strings.Join(lines, "\n")
}

func (p Problems) sorted() Problems {
	sort.SliceStable(p, func(i, j int) bool {
		a, b := p[i], p[j]
		if (a.Source == "") != (b.Source == "") {
			return a.Source == ""
		}
		if a.Line != b.Line {
			return a.Line < b.Line
		}
		return a.Column < b.Column
	})
	return p
}
