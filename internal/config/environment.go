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

// variablePrefix begins the names of our variables.
const variablePrefix = "TALLYCAST_"

// VariableName returns the name of a setting's environment variable.
func VariableName(setting string) string {
	return variablePrefix + strings.ToUpper(strings.ReplaceAll(setting, "-", "_"))
}

// Unknown returns a problem for each variable with our prefix that no setting has: a
// mistyped name would silently start the service with other settings.
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

// noSuchSetting returns the message for a name that no setting has. It proposes the most
// similar setting in the form that write gives it.
func noSuchSetting(name string, settings []Setting, write func(string) string) string {
	names := make([]string, len(settings))
	for i, s := range settings {
		names[i] = s.Name
	}
	if similar, ok := MostSimilar(name, names); ok {
		return "there is no such setting; did you mean " + write(similar) + "?"
	}
	return "there is no such setting; tallycast serve --help lists them"
}

// Kubernetes, and Docker links, set variables in every container beside a service called
// tallycast or tallycast-redis. serviceVariable matches their names without our prefix.
// A name that ends in _PORT is one of them only if its value is a serviceAddress.
var (
	serviceVariable = regexp.MustCompile(`^(.*_)?SERVICE_(HOST|PORT(_.*)?)$|^(.*_)?PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$`)
	serviceAddress  = regexp.MustCompile(`^(tcp|udp|sctp)://`)
)

// hasOtherReader reports whether the variable with that name, without our prefix, is read
// by tests, clients or service discovery.
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
