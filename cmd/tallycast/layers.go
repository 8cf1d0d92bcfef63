package main

import (
	"fmt"
	"slices"
	"strings"
)

// value is what a setting was given as, before it is read, and by whom.
type value struct {
	texts  []string // one, or any number where the setting is repeatable
	source source
	rank   rank
}

// rank orders the layers: a value of a higher rank holds.
type rank int

const (
	rankDefault rank = iota
	rankPlatform
	rankFile
	rankEnvironment
	rankFlag
)

// source says which layer a value came from. The zero source is the default.
type source string

const fromDefault source = "default"

// platform are the variables that hosting platforms set by themselves. They
// stand below all of ours, and are turned into the form that the setting reads.
var platform = map[string]struct {
	env  string
	form func(string) string
}{
	"listen": {"PORT", func(port string) string { return ":" + port }},
	"store":  {"REDIS_URL", func(url string) string { return url }},
}

// layer decides for each setting which value holds:
// flag, environment, file, the platform's own variables, default. Of two settings that
// are alternatives only the one of the higher layer has a value; if one layer gives
// both, both have theirs.
func layer(definitions []definition, flags map[string][]string, env environment, file configFile) map[string]value {
	values := make(map[string]value, len(definitions))
	for _, d := range definitions {
		values[d.name] = layerOne(d, flags[d.name], env, file)
	}
	for _, d := range definitions {
		one, other := values[d.name], values[d.alternative]
		switch {
		case d.alternative == "":
		case one.rank > other.rank:
			values[d.alternative] = value{source: fromDefault}
		case one.rank < other.rank:
			values[d.name] = value{source: fromDefault}
		}
	}
	return values
}

func layerOne(d definition, flag []string, env environment, file configFile) value {
	if flag != nil {
		return value{flag, source("flag --" + d.name), rankFlag}
	}
	if text, ok := env[d.env()]; ok && (text != "" || d.empty) {
		return value{[]string{text}, source("environment " + d.env()), rankEnvironment}
	}
	if entry, ok := file.entries[d.name]; ok {
		return value{entry.texts, source(fmt.Sprintf("%s line %d", file.path, entry.line)), rankFile}
	}
	if p, ok := platform[d.name]; ok {
		if text, ok := env[p.env]; ok && text != "" {
			return value{[]string{p.form(text)}, source("environment " + p.env), rankPlatform}
		}
	}
	if d.fallback == "" {
		return value{source: fromDefault}
	}
	return value{texts: []string{d.fallback}, source: fromDefault}
}

// nearest returns the name that name was probably meant to be, if any is near.
func nearest(name string, names []string) (string, bool) {
	// A third of the letters may be wrong: more is another word.
	best, least := "", len(name)/3+1
	for _, candidate := range names {
		if d := distance(strings.ReplaceAll(strings.ToLower(name), "_", "-"), candidate); d < least {
			best, least = candidate, d
		}
	}
	return best, best != ""
}

// distance is the Levenshtein distance of a and b, in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = slices.Min([]int{replaced, row[j] + 1, diagonal + 1})
		}
	}
	return row[len(b)]
}
