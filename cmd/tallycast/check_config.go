package main

import (
	"fmt"
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
		return redactStore(text)
	}
	return text
}
