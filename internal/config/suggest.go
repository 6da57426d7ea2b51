package config

import "strings"

// Nearest is the candidate closest to a mistyped name, "" when none is near:
// at most a third of its letters may differ.
func Nearest(name string, candidates []string) string {
	best, least := "", len(name)/3+1
	normal := func(s string) string {
		return strings.ToLower(strings.NewReplacer("-", "", "_", "", ".", "").Replace(s))
	}
	for _, c := range candidates {
		d := distance(normal(name), normal(c))
		if d < least || (d == least && best == "" && d <= 2) {
			best, least = c, d
		}
	}
	return best
}

// distance is how many letters must be put in, left out, changed or swapped
// with their neighbour (Damerau-Levenshtein, restricted).
func distance(a, b string) int {
	previous, before := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range previous {
		previous[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(previous[j]+1, row[j-1]+1, previous[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, previous = previous, row
	}
	return previous[len(b)]
}
