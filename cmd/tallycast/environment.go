package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// environment holds the process's variables by name.
type environment map[string]string

// environmentOf returns the environment of pairs such as [os.Environ] gives.
func environmentOf(pairs []string) environment {
	env := make(environment, len(pairs))
	for _, pair := range pairs {
		name, text, _ := strings.Cut(pair, "=")
		env[name] = text
	}
	return env
}

// ownPrefix begins the names that are ours.
const ownPrefix = "TALLYCAST_"

// variable returns the name in the environment of the setting that is named.
func variable(setting string) string {
	return ownPrefix + strings.ToUpper(strings.ReplaceAll(setting, "-", "_"))
}

// refuse names the variables that were meant as settings and are none. Left alone,
// a name that is mistyped would start an instance other than the one asked for.
func (env environment) refuse(definitions []definition) (problems []problem) {
	known := map[string]bool{}
	var names []string // as nearest compares them
	for _, d := range definitions {
		known[d.env()] = true
		names = append(names, d.name)
	}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		own, ok := strings.CutPrefix(name, ownPrefix)
		if !ok || known[name] || notMeant(own, env[name]) {
			continue
		}
		hint := "tallycast serve --help lists them"
		if near, ok := nearest(own, names); ok {
			hint = fmt.Sprintf("did you mean %s?", variable(near))
		}
		problems = append(problems, problem{"", source("environment " + name), "there is no such setting; " + hint})
	}
	return problems
}

// Kubernetes, and Docker links, set variables in every container beside a service
// called tallycast or tallycast-redis. discovered are their names without our
// prefix; _PORT, which people may take for a setting, is theirs only where its value
// is a discoveredAddress.
var (
	discovered        = regexp.MustCompile(`^(.*_)?SERVICE_(HOST|PORT(_.*)?)$|^(.*_)?PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$`)
	discoveredAddress = regexp.MustCompile(`^(tcp|udp|sctp)://`)
)

// notMeant reports whether the variable of our prefix and that name has another
// reader than the settings: our tests, our clients, or service discovery.
func notMeant(name, text string) bool {
	switch {
	case strings.HasPrefix(name, "TEST_"): // says to tests what they run
	case name == "URL": // says to pages and examples where the service is
	case name == "AT": // says it to subcommands that ask one
	case discovered.MatchString(name):
	case strings.HasSuffix("_"+name, "_PORT") && discoveredAddress.MatchString(text):
	default:
		return false
	}
	return true
}
