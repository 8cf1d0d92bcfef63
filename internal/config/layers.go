package config

import (
	"fmt"
	"slices"
	"strings"
)

// Values are the values of settings by name, before they are parsed.
type Values map[string]Value

// Value is the text of a setting and where it came from.
type Value struct {
	Texts  []string // one, or any number if the setting is repeatable; nil: not given
	Source Source
	layer  layer
}

// IsGiven reports whether the setting has a value, its default included.
func (v Value) IsGiven() bool { return v.Texts != nil }

// IsDefault reports whether the value is the setting's default.
func (v Value) IsDefault() bool { return v.layer == layerDefault }

// layer is where a value comes from. A higher layer overrides a lower one.
type layer int

const (
	layerDefault layer = iota
	layerPlatform
	layerFile
	layerEnvironment
	layerFlag
)

// Source says where a value came from, for people.
type Source string

const sourceDefault Source = "default"

// platformVariables are variables that hosting platforms set. They have a lower
// precedence than all of ours, and are converted to the form of the setting.
var platformVariables = map[string]struct {
	name    string
	convert func(string) string
}{
	"listen": {"PORT", func(port string) string { return ":" + port }},
	"store":  {"REDIS_URL", func(url string) string { return url }},
}

// Resolve returns the value of each setting from the first of these that has one: flag,
// environment, file, the platform's variable, default. Of two alternatives only the one
// of the higher layer keeps its value; if one layer gives both, both keep theirs.
func Resolve(settings []Setting, flags map[string][]string, env Environment, file File) Values {
	values := make(Values, len(settings))
	for _, s := range settings {
		values[s.Name] = ResolveOne(s, flags[s.Name], env, file)
	}
	for _, s := range settings {
		one, other := values[s.Name], values[s.Alternative]
		switch {
		case s.Alternative == "":
		case one.layer > other.layer:
			values[s.Alternative] = Value{Source: sourceDefault}
		case one.layer < other.layer:
			values[s.Name] = Value{Source: sourceDefault}
		}
	}
	return values
}

// ResolveOne returns the value of one setting.
func ResolveOne(s Setting, flag []string, env Environment, file File) Value {
	if flag != nil {
		return Value{flag, Source("flag --" + s.Name), layerFlag}
	}
	if text, ok := env[s.Variable()]; ok && (text != "" || s.Empty) {
		return Value{[]string{text}, Source("environment " + s.Variable()), layerEnvironment}
	}
	if entry, ok := file.entries[s.Name]; ok {
		return Value{entry.texts, Source(fmt.Sprintf("%s line %d", file.path, entry.line)), layerFile}
	}
	if p, ok := platformVariables[s.Name]; ok {
		if text := env[p.name]; text != "" {
			return Value{[]string{p.convert(text)}, Source("environment " + p.name), layerPlatform}
		}
	}
	if s.Default == "" {
		return Value{Source: sourceDefault}
	}
	return Value{Texts: []string{s.Default}, Source: sourceDefault}
}

// DidYouMean returns the end of an error message that proposes the most similar of
// names, each after prefix; empty if none is similar.
func DidYouMean(prefix, name string, names []string) string {
	if similar, ok := MostSimilar(name, names); ok {
		return "; did you mean " + prefix + similar + "?"
	}
	return ""
}

// MostSimilar returns the one of names that is most similar to name; ok is false if none
// is.
func MostSimilar(name string, names []string) (best string, ok bool) {
	least := len(name)/3 + 1 // with more than a third of the letters wrong it is another word
	for _, candidate := range names {
		if d := distance(strings.ReplaceAll(strings.ToLower(name), "_", "-"), candidate); d < least {
			best, least = candidate, d
		}
	}
	return best, best != ""
}

// distance returns the Levenshtein distance of a and b, in bytes.
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
