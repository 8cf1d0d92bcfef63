package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/tallycast/tallycast/internal/config"
)

const programHelp = `Usage: tallycast [command] [flags]

Live counts, pushed: likes, visitors and readers that move on every open page.

Commands:
`

const programExamples = `
Examples:
  tallycast                            serve a blog; demo on http://localhost:8080/
  tallycast --store redis://localhost  share the counts between instances
  tallycast check-config               print every setting and its source
  tallycast serve --help               every setting, with its default
`

// helpColumns is the width of the help: every terminal shows it.
const helpColumns = 80

// printHelp prints the help of a command, or of the program if c has no name.
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
	usage, flags := c.name, c.new().flags()
	if len(flags) > 0 {
		usage += " [flags]"
	}
	if c.takes != "" {
		usage += " " + c.takes
	}
	fmt.Fprintf(out, "Usage: tallycast %s\n\n%s\n%s", usage, c.about, c.details)
	for _, group := range groupsOf(flags) {
		title := group[0].Group
		if title == "" {
			title = "Flags"
		}
		fmt.Fprintf(out, "\n%s:\n%s", title, flagSet(group).FlagUsagesWrapped(helpColumns))
	}
	fmt.Fprint(out, c.examples)
}

// groupsOf returns the flags of each group together, in the order of their first flags.
func groupsOf(flags []config.Setting) (groups [][]config.Setting) {
	at := map[string]int{}
	for _, d := range flags {
		i, ok := at[d.Group]
		if !ok {
			i = len(groups)
			at[d.Group], groups = i, append(groups, nil)
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

// flagHelp returns the help of a flag and, on another line, its default and its variable.
func flagHelp(s config.Setting) string {
	var more []string
	if s.Default != "" {
		more = append(more, s.Default)
	}
	if variable := s.Variable(); variable != "" {
		more = append(more, variable)
	}
	if len(more) == 0 {
		return s.Help
	}
	return s.Help + "\n(" + strings.Join(more, "; ") + ")"
}
