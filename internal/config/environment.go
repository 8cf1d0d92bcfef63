package config

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Environment holds environment variables by name.
type Environment map[string]string

// ParseEnvironment returns the variables of pairs such as [os.Environ] returns.
func ParseEnvironment(pairs []string) Environment {
	env := make(Environment, len(pairs))
	for _, pair := range pairs {
		name, text, _ := strings.Cut(pair, "=")
		env[name] = text
	}
	return env
}

// variablePrefix is the prefix of the variables of tallycast.
const variablePrefix = "TALLYCAST_"

// VariableName returns the name of a setting's environment variable.
func VariableName(setting string) string {
	return variablePrefix + strings.ToUpper(strings.ReplaceAll(setting, "-", "_"))
}

// Unknown returns a problem for each variable with the prefix that belongs to no setting. Otherwise a
// service with a misspelt variable would start with other settings.
func (env Environment) Unknown(settings []Setting) (problems Problems) {
	for _, name := range slices.Sorted(maps.Keys(env)) {
		own, ok := strings.CutPrefix(name, variablePrefix)
		isKnown := slices.ContainsFunc(settings, func(s Setting) bool { return s.Variable() == name })
		if ok && !isKnown && !hasOtherReader(own, env[name]) {
			problems = append(problems, Problem{Source: Source("environment " + name), Message: noSuchSetting(own, settings, VariableName)})
		}
	}
	return problems
}

// noSuchSetting returns the message about a name that no setting has. It proposes the most similar
// setting, whose name format converts.
func noSuchSetting(name string, settings []Setting, format func(string) string) string {
	names := make([]string, len(settings))
	for i, s := range settings {
		names[i] = s.Name
	}
	if similar, ok := MostSimilar(name, names); ok {
		return "there is no such setting; did you mean " + format(similar) + "?"
	}
	return "there is no such setting; tallycast serve --help lists them"
}

// Kubernetes and Docker links set variables in every container beside a service with a name such as
// tallycast or tallycast-redis. serviceVariable matches their names without the prefix. A variable
// whose name ends in _PORT is one of them only if its value is a serviceAddress.
var (
	serviceVariable = regexp.MustCompile(`^(.*_)?SERVICE_(HOST|PORT(_.*)?)$|^(.*_)?PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$`)
	serviceAddress  = regexp.MustCompile(`^(tcp|udp|sctp)://`)
)

// hasOtherReader reports whether tests, clients or service discovery use the variable. name is without
// the prefix.
func hasOtherReader(name, text string) bool {
	switch {
	case strings.HasPrefix(name, "TEST_"): // tests
	case name == "URL": // pages and examples
	case name == "AT": // commands that call a running service
	case serviceVariable.MatchString(name):
	case strings.HasSuffix("_"+name, "_PORT") && serviceAddress.MatchString(text):
	default:
		return false
	}
	return true
}
