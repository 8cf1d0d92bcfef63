package config

import (
	"fmt"
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
	known := map[string]bool{}
	var names []string
	for _, s := range settings {
		known[s.Variable()] = true
		names = append(names, s.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		own, ok := strings.CutPrefix(name, variablePrefix)
		if !ok || known[name] || hasOtherReader(own, env[name]) {
			continue
		}
		hint := "tallycast serve --help lists them"
		if similar, ok := MostSimilar(own, names); ok {
			hint = fmt.Sprintf("did you mean %s?", VariableName(similar))
		}
		problems = append(problems, Problem{Source: Source("environment " + name), Message: "there is no such setting; " + hint})
	}
	return problems
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
