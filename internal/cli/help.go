package cli

import (
	"cmp"
	"fmt"
	"io"
	"slices"
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
	for len(flags) > 0 {
		group := flags[0].Group
		n := slices.IndexFunc(flags, func(s config.Setting) bool { return s.Group != group })
		if n < 0 {
			n = len(flags)
		}
		fmt.Fprintf(out, "\n%s:\n%s", cmp.Or(group, "Flags"), flagSet(flags[:n]).FlagUsagesWrapped(helpColumns))
		flags = flags[n:]
	}
	fmt.Fprint(out, c.examples)
}

func listCommands(out io.Writer, all []command) {
	for _, each := range all {
		fmt.Fprintf(out, "  %-14s%s\n", each.name, each.about)
	}
}

// flagHelp returns the help of a flag and, on another line, its default and its variable.
func flagHelp(s config.Setting) string {
	more := slices.DeleteFunc([]string{s.Default, s.Variable()}, func(text string) bool { return text == "" })
	if len(more) == 0 {
		return s.Help
	}
	return s.Help + "\n(" + strings.Join(more, "; ") + ")"
}
