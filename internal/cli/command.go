package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/tallycast/tallycast/internal/config"
)

// command is a command, such as export or topics list.
type command struct {
	name     string
	about    string // one line
	details  string // printed before the flags in the help
	examples string // printed after them
	takes    string // placeholder for its arguments in the help; empty: it has none
	flags    []config.Setting
	run      func(*process) error
	sub      []command // the commands below it, instead of flags and run
}

// commands are all commands. Without a command's name the first one runs.
var commands = []command{
	{name: "serve", about: "Serve live counts; tallycast without a command does the same.",
		details: serveDetails, examples: serveExamples, flags: config.Settings, run: serve},
	{name: "check-config", about: "Print every setting with its source, and all errors.",
		details: checkConfigDetails, flags: config.Settings, run: checkConfig},
	{name: "healthcheck", about: "Ask a running instance whether it is ready; exit 0 or 1.",
		details: healthcheckDetails, flags: slices.Concat(healthcheckFlags, config.ListenSettings, []config.Setting{config.FileSetting}), run: healthcheck},
	{name: "watch", about: "Show counts of topics as they change.",
		details: watchDetails, examples: watchExamples, takes: "TOPIC…", flags: watchFlags, run: watchTopics},
	{name: "seed", about: "Set initial counts from pages, tables or documents.",
		details: seedDetails, examples: seedExamples, takes: "FOLDER|FILE…", flags: seedFlags, run: seedTopics},
	{name: "export", about: "Write all counts to a file, while the service runs.",
		details: exportDetails, examples: exportExamples, takes: "[FILE]", flags: exportFlags, run: exportCounts},
	{name: "import", about: "Restore an export, or import the counts of another counter.",
		details: importDetails, examples: importExamples, takes: "FILE", flags: importFlags, run: importFile},
	{name: "copy", about: "Copy a store to another one (SQLite, Redis), and compare them.",
		details: copyDetails, examples: copyExamples, flags: copyFlags, run: copyStore},
	{name: "backup", about: "Copy an SQLite store to a file, while the service runs.",
		details: backupDetails, examples: backupExamples, takes: "FILE", flags: backupFlags, run: backup},
	{name: "restore", about: "Replace an SQLite store with a backup.",
		details: restoreDetails, examples: restoreExamples, takes: "FILE", flags: restoreFlags, run: restore},
	{name: "topics", about: "List, set, rename, merge or delete topics; undo a spike; block or forget a visitor.",
		details: topicsDetails, examples: topicsExamples, sub: topicsCommands},
	pruneCommand,
	{name: "doctor", about: "Check a page that uses the widgets, and report what is wrong.",
		details: doctorDetails, takes: "PAGE", flags: doctorFlags, run: doctor},
	{name: "version", about: "Print version, commit and Go version.", run: printVersion},
}

// errHelp means that help was asked for: of a command, or of the program if parse returns
// none.
var errHelp = errors.New("help was asked for")

// parse returns the command that args name, the values of its flags and its arguments.
// Errors: errHelp with the command, if one is named; any other error with the command
// whose help explains it, if there is one.
func parse(args []string) (c command, given map[string][]string, rest []string, err error) {
	c, args = commands[0], normalize(args)
	named := len(args) > 0 && !strings.HasPrefix(args[0], "-")
	if named {
		i := slices.IndexFunc(commands, func(c command) bool { return c.name == args[0] })
		if i < 0 {
			return command{}, nil, nil, fmt.Errorf("there is no command %s%s", args[0], config.DidYouMean("", args[0], append(commandNames(), helpWord)))
		}
		if c, args, err = commands[i].descend(args[1:]); err != nil {
			return c, nil, nil, err
		}
	}
	flags := flagSet(c.flags)
	given = map[string][]string{}
	err = flags.ParseAll(args, func(flag *pflag.Flag, text string) error {
		if word, _, _ := strings.Cut(text, "="); strings.HasPrefix(word, "--") && flags.Lookup(word[2:]) != nil {
			return fmt.Errorf("--%s needs a value, and %s is a flag", flag.Name, word)
		}
		if v, ok := flag.Value.(flagValue); !ok || !v.Repeatable {
			given[flag.Name] = nil // the last one applies
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
		return c, nil, nil, fmt.Errorf("%w%s", err, config.DidYouMean("--", unknown.GetSpecifiedName(), c.flagNames()))
	case errors.As(err, &unknown) && strings.ContainsAny(unknown.GetSpecifiedName(), "0123456789"):
		return c, nil, nil, fmt.Errorf("-%s is not a flag, and numbers below 0 are not accepted", unknown.GetSpecifiedShortnames())
	case err != nil:
		return c, nil, nil, err
	case slices.Contains(commandNames(), flags.Arg(0)):
		return command{}, nil, nil, fmt.Errorf("the command %s must come before all flags", flags.Arg(0))
	case flags.NArg() > 0 && c.takes == "":
		return c, nil, nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	return c, given, flags.Args(), nil
}

// descend returns the command below c that args name, and the rest of args; c itself if it
// has none below.
func (c command) descend(args []string) (command, []string, error) {
	switch {
	case c.sub == nil:
		return c, args, nil
	case len(args) > 0 && (args[0] == "--help" || args[0] == "-h"):
		return c, nil, errHelp
	case len(args) == 0 || strings.HasPrefix(args[0], "-"):
		return c, nil, fmt.Errorf("%s needs one of its commands, before all flags", c.name)
	}
	names := make([]string, len(c.sub))
	for i, each := range c.sub {
		if names[i] = each.name; each.name == args[0] {
			each.name = c.name + " " + each.name
			return each, args[1:], nil
		}
	}
	return c, nil, fmt.Errorf("there is no command %s %s%s", c.name, args[0], config.DidYouMean(c.name+" ", args[0], names))
}

// helpWord asks for help as --help does, of the command that follows it, if any.
const helpWord = "help"

// normalize returns args with help and --version in the form that parse knows.
func normalize(args []string) []string {
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

// flagValue is the value of a flag that takes one. Its text is parsed after all layers
// are known.
type flagValue struct{ config.Setting }

func (flagValue) String() string   { return "" }
func (flagValue) Set(string) error { return nil }
func (v flagValue) Type() string   { return v.Value } // the placeholder in the help

// flagSet returns the flags of settings.
func flagSet(settings []config.Setting) *pflag.FlagSet {
	flags := pflag.NewFlagSet("tallycast", pflag.ContinueOnError)
	flags.SortFlags = false
	flags.Usage = func() {} // printHelp prints it
	for _, s := range settings {
		if s.Value == "" {
			flags.Bool(s.Name, false, flagHelp(s))
		} else {
			flags.Var(flagValue{s}, s.Name, flagHelp(s))
		}
	}
	return flags
}

func commandNames() (names []string) {
	for _, c := range commands {
		names = append(names, c.name)
	}
	return names
}

func (c command) flagNames() (names []string) {
	for _, s := range c.flags {
		names = append(names, s.Name)
	}
	return names
}
