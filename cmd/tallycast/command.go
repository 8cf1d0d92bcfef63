package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// command is a subcommand.
type command struct {
	name     string
	about    string // in one line
	details  string // what else the help says before the flags,
	examples string // and after them
	takes    string // what stands for its arguments in the help; none: it has none
	flags    []definition
	run      func(*process) int // returns the exit code
	sub      []command          // in place of flags and run: the commands that follow its name
}

// commands are the subcommands. A bare tallycast is the first of them.
var commands = []command{
	{name: "serve", about: "Serve live counts. This is what a bare tallycast does.",
		details: serveDetails, examples: serveExamples, flags: settings, run: serve},
	{name: "check-config", about: "Print the configuration, its sources, and all that is wrong.",
		details: checkConfigDetails, flags: settings, run: checkConfig},
	{name: "healthcheck", about: "Ask a running instance whether it is ready, for containers: exit 0 or 1.",
		details: healthcheckDetails, flags: slices.Concat(healthcheckFlags, listeners, []definition{fileSetting}), run: healthcheck},
	{name: "watch", about: "Show topics' numbers as they change, in this terminal or as lines.",
		details: watchDetails, examples: watchExamples, takes: "TOPIC…", flags: watchFlags, run: watchTopics},
	{name: "seed", about: "Give counts the numbers that pages, tables or documents name.",
		details: seedDetails, examples: seedExamples, takes: "FOLDER|FILE…", flags: seedFlags, run: seedTopics},
	{name: "export", about: "Write the numbers to a file, while the service runs.",
		details: exportDetails, examples: exportExamples, takes: "[FILE]", flags: exportFlags, run: exportNumbers},
	{name: "import", about: "Restore an export, or take over what another counter counted.",
		details: importDetails, examples: importExamples, takes: "FILE", flags: importFlags, run: importNumbers},
	{name: "copy", about: "Copy a store to another, SQLite to Redis or back, and compare them.",
		details: copyDetails, examples: copyExamples, flags: copyFlags, run: copyStore},
	{name: "backup", about: "Copy an SQLite store to a file, while the service runs.",
		details: backupDetails, examples: backupExamples, takes: "FILE", flags: backupFlags, run: backup},
	{name: "restore", about: "Put such a backup back in the place of a store.",
		details: restoreDetails, examples: restoreExamples, takes: "FILE", flags: restoreFlags, run: restore},
	{name: "topics", about: "List, set, rename, merge or end topics; undo a spike; block or forget somebody.",
		details: topicsDetails, examples: topicsExamples, sub: topicsCommands},
	pruneCommand,
	{name: "doctor", about: "Examine a page that uses the widgets, and say what keeps them from working.",
		details: doctorDetails, takes: "PAGE", flags: doctorFlags, run: doctor},
	{name: "version", about: "Print version, commit and Go version.", run: printVersion},
}

// errHelp says that help was asked for: of the program where no command was named.
var errHelp = errors.New("help was asked for")

// parse returns the command that args choose, what they give each flag, and what
// stands beside the flags. Whoever asks for help gets errHelp, with the command
// that was named if any.
// With any other error comes the command whose help says what is right, if one.
func parse(args []string) (c command, given map[string][]string, rest []string, err error) {
	c, args = commands[0], ownForm(args)
	named := len(args) > 0 && !strings.HasPrefix(args[0], "-")
	if named {
		i := slices.IndexFunc(commands, func(c command) bool { return c.name == args[0] })
		if i < 0 {
			return command{}, nil, nil, fmt.Errorf("there is no command %s%s", args[0], didYouMean("", args[0], append(commandNames(), helpWord)))
		}
		if c, args, err = commands[i].follow(args[1:]); err != nil {
			return c, nil, nil, err
		}
	}
	flags := flagSet(c.flags)
	given = map[string][]string{}
	err = flags.ParseAll(args, func(flag *pflag.Flag, text string) error {
		if word, _, _ := strings.Cut(text, "="); strings.HasPrefix(word, "--") && flags.Lookup(word[2:]) != nil {
			return fmt.Errorf("--%s needs a value, and %s is a flag", flag.Name, word)
		}
		if v, ok := flag.Value.(unread); !ok || !v.repeatable {
			given[flag.Name] = nil // the last one holds
		}
		given[flag.Name] = append(given[flag.Name], text)
		return nil
	})
	var unknown *pflag.NotExistError
	switch {
	case errors.Is(err, pflag.ErrHelp) && named:
		return c, nil, nil, errHelp
	case errors.Is(err, pflag.ErrHelp):
		return command{}, nil, nil, errHelp
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() == "":
		return c, nil, nil, fmt.Errorf("%w%s", err, didYouMean("--", unknown.GetSpecifiedName(), c.flagNames()))
	case errors.As(err, &unknown) && strings.ContainsAny(unknown.GetSpecifiedName(), "0123456789"):
		return c, nil, nil, fmt.Errorf("-%s is no flag, and no number below 0 is taken", unknown.GetSpecifiedShortnames())
	case err != nil:
		return c, nil, nil, err
	case slices.Contains(commandNames(), flags.Arg(0)):
		return command{}, nil, nil, fmt.Errorf("the command %s stands before all flags", flags.Arg(0))
	case flags.NArg() > 0 && c.takes == "":
		return c, nil, nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	return c, given, flags.Args(), nil
}

// follow returns the subcommand that args choose, by its whole name, and what follows
// it; c itself where it has none.
func (c command) follow(args []string) (command, []string, error) {
	switch {
	case c.sub == nil:
		return c, args, nil
	case len(args) > 0 && (args[0] == "--help" || args[0] == "-h"):
		return c, nil, errHelp
	case len(args) == 0 || strings.HasPrefix(args[0], "-"):
		return c, nil, fmt.Errorf("%s what? Name one of its commands, before all flags", c.name)
	}
	names := make([]string, len(c.sub))
	for i, each := range c.sub {
		if names[i] = each.name; each.name == args[0] {
			each.name = c.name + " " + each.name
			return each, args[1:], nil
		}
	}
	return c, nil, fmt.Errorf("there is no command %s %s%s", c.name, args[0], didYouMean(c.name+" ", args[0], names))
}

// helpWord asks for help as --help does, of the command that follows it if one does.
const helpWord = "help"

// ownForm returns args in the form that parse knows, where they ask for help or
// the version as other programs are asked.
func ownForm(args []string) []string {
	switch {
	case len(args) == 0:
		return nil
	case args[0] == "--version":
		return append([]string{"version"}, args[1:]...)
	case args[0] != helpWord:
		return args
	case len(args) == 1 || args[1] == helpWord || strings.HasPrefix(args[1], "-"):
		return []string{"--help"}
	}
	return append(slices.Clone(args[1:]), "--help")
}

// unread is the value of a flag that takes one: texts are kept as they are given,
// and read when all layers are known.
type unread struct{ definition }

func (unread) String() string   { return "" }
func (unread) Set(string) error { return nil }
func (u unread) Type() string   { return u.takes } // what the help shows for the value

// flagSet returns the flags of definitions.
func flagSet(definitions []definition) *pflag.FlagSet {
	flags := pflag.NewFlagSet("tallycast", pflag.ContinueOnError)
	flags.SortFlags = false
	flags.Usage = func() {} // printHelp prints it
	for _, d := range definitions {
		if d.takes == "" {
			flags.Bool(d.name, false, d.describe())
		} else {
			flags.Var(unread{d}, d.name, d.describe())
		}
	}
	return flags
}

// didYouMean ends the refusal of a name with the one that it resembles, if any.
func didYouMean(before, name string, names []string) string {
	if near, ok := nearest(name, names); ok {
		return "; did you mean " + before + near + "?"
	}
	return ""
}

func commandNames() (names []string) {
	for _, c := range commands {
		names = append(names, c.name)
	}
	return names
}

func (c command) flagNames() (names []string) {
	for _, d := range c.flags {
		names = append(names, d.name)
	}
	return names
}
