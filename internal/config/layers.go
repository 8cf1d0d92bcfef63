package config

import (
	"fmt"
	"slices"
	"strings"
)

// Values are the values of settings by name, before they are parsed.
type Values map[string]Value

// Value is the text of a setting and its source.
type Value struct {
	Texts  []string // one, or any number if the setting is repeatable; nil if it has no value
	Source Source
	layer  layer
}

// IsGiven reports whether the setting has a value, which may be its default.
func (v Value) IsGiven() bool { return v.Texts != nil }

// IsDefault reports whether the value is the setting's default.
func (v Value) IsDefault() bool { return v.layer == layerDefault }

// layer is the kind of a value's source. A higher layer overrides a lower one.
type layer int

const (
	layerDefault layer = iota
	layerPlatform
	layerFile
	layerEnvironment
	layerFlag
)

// Source describes for people where a value comes from.
type Source string

const sourceDefault Source = "default"

// platformVariables are variables that hosting platforms set, by the setting for which they are used
// if neither flag, environment nor file gives it. convert returns the value of the setting.
var platformVariables = map[string]struct {
	name    string
	convert func(string) string
}{
	"listen": {"PORT", func(port string) string { return ":" + port }},
	"store":  {"REDIS_URL", func(url string) string { return url }},
}

// Resolve returns the value of each setting from the first of these that has one: flag, environment,
// file, the platform's variable, default. Of two alternatives the one of the lower layer loses its
// value; if one layer gives both, both keep their values.
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

// DidYouMean returns the end of an error message that proposes the most similar of names, with
// prefix; empty if none is similar.
func DidYouMean(prefix, name string, names []string) string {
	if similar, ok := MostSimilar(name, names); ok {
		return "; did you mean " + prefix + similar + "?"
	}
	return ""
}

// MostSimilar returns the most similar of names; ok is false if none is similar to name.
func MostSimilar(name string, names []string) (best string, ok bool) {
	least := len(name)/3 + 1 // a name that differs in more than a third of its letters is not similar
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
