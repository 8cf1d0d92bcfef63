package main

import (
	"fmt"
	"regexp"
	"strings"
	"text/tabwriter"
)

func checkConfig(p *process) int {
	values, problems := p.resolve()
	c, wrong := readConfig(values)
	problems = append(problems, wrong...)
	table := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	for _, d := range settings {
		fmt.Fprintf(table, "%s\t%s\t%s\n", d.name, show(d, values[d.name]), values[d.name].source)
	}
	if err := table.Flush(); err != nil {
		return fail(p.stderr, exitFailure, err)
	}
	if len(problems) > 0 {
		fmt.Fprintln(p.stdout)
		return refuse(p.stderr, problems)
	}
	for _, m := range replacedMetrics(c.metrics) {
		fmt.Fprintf(p.stdout, "\n--metric %s=%s replaces the rule of a default metric, which is %s.\n", m.name, m.rule, m.before)
	}
	fmt.Fprintln(p.stdout, "\nThe configuration is good.")
	return exitOK
}

// show writes a value for people, without credentials.
func show(d definition, v value) string {
	text := strings.Join(v.texts, ",")
	switch {
	case text == "":
		return "(none)"
	case d.secret:
		return fmt.Sprintf("(set, %d bytes)", len(text))
	case d.name == "store":
		return urlPasswords.ReplaceAllString(redactStore(text), "$1***")
	}
	return text
}

// commandLine returns the arguments of serve as show writes them.
func commandLine(p *process) []string {
	line := []string{"tallycast", "serve"}
	for _, d := range settings {
		for _, text := range p.flags[d.name] {
			line = append(line, "--"+d.name+"="+show(d, value{texts: []string{text}}))
		}
	}
	return line
}

// urlPasswords are the parameters of a URL that are named as passwords.
var urlPasswords = regexp.MustCompile(`(?i)([?&][^=&]*(?:pass|secret|token)[^=&]*=)[^&]*`)
