package main

import (
	"fmt"
	"io"
	"strings"
)

const serveDetails = `
Each --some-name may also be given as the environment variable
TALLYCAST_SOME_NAME (comma-separated where repeatable), or as some-name in the
YAML file of --config. A flag beats the environment, which beats the file, which
beats PORT and REDIS_URL. Defaults and variables stand in parentheses. Times are
written 50ms, 10s or 1m30s.
`

const serveExamples = `
Examples:
  tallycast
      A blog on one machine: counts in data/tallycast.db, demo at
      http://localhost:8080/.

  tallycast --allow-origin https://blog.example.com --trusted-proxy private
      The same, embedded in a page of another origin, behind a proxy on this
      network.

  tallycast --store redis://cache.internal:6379/0 --site blog=https://blog.example.com
      One of many instances that share a Redis.
`

const checkConfigDetails = `
Takes the settings of serve. Nothing is started, no store is opened; exit code 2
when something is wrong.
`

const healthcheckDetails = `
Finds the instance by its own configuration: --config, environment and the flags
below.
`

const programHelp = `Usage: tallycast [command] [flags]

Live counts, pushed: likes, visitors and readers that move on every open page.

Commands:
`

const programExamples = `
Examples:
  tallycast                            serve a blog; demo on http://localhost:8080/
  tallycast --store redis://localhost  share the counts between instances
  tallycast check-config               what would hold, and what says so
  tallycast serve --help               every setting, with its default
`

// helpColumns is how wide help is: what every terminal shows.
const helpColumns = 80

// printHelp prints the help of a command, or of the program where none is named.
func printHelp(out io.Writer, c command) {
	if c.name == "" {
		fmt.Fprint(out, programHelp)
		listCommands(out, commands)
		fmt.Fprint(out, programExamples)
		return
	}
	if c.sub != nil {
		fmt.Fprintf(out, "Usage: tallycast %s COMMAND [flags]\n\n%s\n%s\nCommands:\n", c.name, c.about, c.details)
		listCommands(out, c.sub)
		fmt.Fprintf(out, "%s\nRun \"tallycast %s COMMAND --help\" for its flags.\n", c.examples, c.name)
		return
	}
	usage := c.name
	if len(c.flags) > 0 {
		usage += " [flags]"
	}
	if c.takes != "" {
		usage += " " + c.takes
	}
	fmt.Fprintf(out, "Usage: tallycast %s\n\n%s\n%s", usage, c.about, c.details)
	for _, group := range groupsOf(c.flags) {
		title := group[0].group
		if title == "" {
			title = "Flags"
		}
		fmt.Fprintf(out, "\n%s:\n%s", title, flagSet(group).FlagUsagesWrapped(helpColumns))
	}
	fmt.Fprint(out, c.examples)
}

// groupsOf returns the flags of each heading together, in the order of their first.
func groupsOf(flags []definition) (groups [][]definition) {
	at := map[string]int{}
	for _, d := range flags {
		i, ok := at[d.group]
		if !ok {
			i = len(groups)
			at[d.group], groups = i, append(groups, nil)
		}
		groups[i] = append(groups[i], d)
	}
	return groups
}

func listCommands(out io.Writer, all []command) {
	for _, each := range all {
		fmt.Fprintf(out, "  %-14s%s\n", each.name, each.about)
	}
}

// describe is the help of a flag and, on a line of their own, its default and its
// variable.
func (d definition) describe() string {
	var more []string
	if d.fallback != "" {
		more = append(more, d.fallback)
	}
	if env := d.env(); env != "" {
		more = append(more, env)
	}
	if len(more) == 0 {
		return d.help
	}
	return d.help + "\n(" + strings.Join(more, "; ") + ")"
}
