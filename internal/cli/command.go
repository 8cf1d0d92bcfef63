package cli

import (
	"errors"
	"fmt"
	"math"
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
	takes    string // the arguments, for the help; [X] may be left out, and X… may be repeated
	needs    string // the arguments, for the error about a wrong number of them
	new      func() action
	sub      []command // the commands below it, instead of new
}

// action is what a command does. Its fields are the values of its flags.
type action interface {
	// flags declares the flags. Their Parse stores the values in the action.
	flags() []config.Setting
	run(p *process) error
}

// settingsAction is an action whose flags are settings of serve. It parses them itself.
type settingsAction struct {
	settings []config.Setting
	do       func(*process) error
}

func (a settingsAction) flags() []config.Setting { return a.settings }
func (a settingsAction) run(p *process) error    { return a.do(p) }

// runs returns a command.new that makes a [settingsAction].
func runs(do func(*process) error, settings ...config.Setting) func() action {
	return func() action { return settingsAction{settings, do} }
}

// commands are all commands. Without a command's name the first one runs.
var commands = []command{
	{name: "serve", about: "Serve live counts; tallycast without a command does the same.",
		details: serveDetails, examples: serveExamples, new: runs(serve, config.Settings...)},
	{name: "check-config", about: "Print every setting with its source, and all errors.",
		details: checkConfigDetails, new: runs(checkConfig, config.Settings...)},
	{name: healthcheckName, about: "Ask a running instance whether it is ready; exit 0 or 1.",
		details: healthcheckDetails, new: func() action { return new(healthcheckCommand) }},
	{name: "watch", about: "Show counts of topics as they change.",
		details: watchDetails, examples: watchExamples, takes: "TOPIC…", needs: needsTopics, new: func() action { return new(watchCommand) }},
	{name: "history", about: "Show the count of a topic at the end of each day or hour.",
		details: historyDetails, examples: historyExamples, takes: "TOPIC", needs: "one topic, such as default/likes/hello", new: func() action { return new(historyCommand) }},
	{name: "seed", about: "Set initial counts from pages, tables or documents.",
		details: seedDetails, examples: seedExamples, takes: "FOLDER|FILE…", needs: "at least one folder or file, such as content/", new: func() action { return new(seedCommand) }},
	{name: "export", about: "Write all counts to a file, while the service runs.",
		details: exportDetails, examples: exportExamples, takes: "[FILE]", needs: "one file, or none for standard output", new: func() action { return new(exportCommand) }},
	{name: "import", about: "Restore an export, or import the counts of another counter.",
		details: importDetails, examples: importExamples, takes: "[FILE]", needs: needsImport, new: func() action { return new(importCommand) }},
	{name: "copy", about: "Copy a store to another one (SQLite, Redis), and compare them.",
		details: copyDetails, examples: copyExamples, new: func() action { return new(copyCommand) }},
	{name: "backup", about: "Copy an SQLite store to a file, while the service runs.",
		details: backupDetails, examples: backupExamples, takes: "FILE", needs: "one file for the backup, such as backup.db", new: func() action { return new(backupCommand) }},
	{name: "restore", about: "Replace an SQLite store with a backup.",
		details: restoreDetails, examples: restoreExamples, takes: "FILE", needs: "the backup, such as backup.db", new: runs(restore, storeFileFlags...)},
	{name: "topics", about: "List, set, rename, merge or delete topics; undo a spike; block or forget a visitor.",
		details: topicsDetails, examples: topicsExamples, sub: topicsCommands},
	pruneCommand,
	{name: "tokens", about: "Create, list and revoke tokens for the owners of some sites.",
		details: tokensDetails, examples: tokensExamples, sub: tokensCommands},
	{name: "doctor", about: "Check a page that uses the elements, and report what is wrong.",
		details: doctorDetails, takes: "PAGE", needs: "one page, such as https://blog.example.com/post", new: func() action { return new(doctorCommand) }},
	{name: "version", about: "Print version, commit and Go version.", new: runs(printVersion)},
}

// needsTopics describes TOPIC….
const needsTopics = "at least one topic, such as default/likes/hello"

// checkArgs returns a [usageError] unless the command takes so many arguments.
func (c command) checkArgs(n int) error {
	words := strings.Fields(c.takes)
	least, most := len(words), len(words)
	for _, word := range words {
		if strings.HasPrefix(word, "[") {
			least--
		}
		if strings.Contains(word, "…") {
			most = math.MaxInt
		}
	}
	if n < least || n > most {
		return usagef("name %s", c.needs)
	}
	return nil
}

// errHelp means that the arguments ask for the help of the command that parse returns, or of the
// program if parse returns none.
var errHelp = pflag.ErrHelp

// parse returns the command that args name, the values of its flags and its arguments. With an
// error it returns the command whose help explains the error, or no command.
func parse(args []string) (c command, given map[string][]string, rest []string, err error) {
	c, args = commands[0], normalize(args)
	named := len(args) > 0 && !strings.HasPrefix(args[0], "-")
	if named {
		if c, args, err = find("", commands, args); err != nil {
			return c, nil, nil, err
		}
	}
	settings := c.new().flags()
	flags := flagSet(settings)
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
	case errors.Is(err, errHelp) && !named:
		return command{}, nil, nil, err
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() == "":
		return c, nil, nil, fmt.Errorf("%w%s", err, config.DidYouMean("--", unknown.GetSpecifiedName(), namesOf(settings, func(s config.Setting) string { return s.Name })))
	case errors.As(err, &unknown) && strings.ContainsAny(unknown.GetSpecifiedName(), "0123456789"):
		return c, nil, nil, fmt.Errorf("-%s is not a flag, and numbers below 0 are not accepted", unknown.GetSpecifiedShortnames())
	case err != nil:
		return c, nil, nil, err
	case !named && slices.Contains(namesOf(commands, command.title), flags.Arg(0)):
		return command{}, nil, nil, fmt.Errorf("the command %s must come before all flags", flags.Arg(0))
	case flags.NArg() > 0 && c.takes == "":
		return c, nil, nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	return c, given, flags.Args(), nil
}

// find returns the command that args name, and the other args. It searches all and the commands
// below them. group is the name of the command above all, with a space at its end.
func find(group string, all []command, args []string) (c command, rest []string, err error) {
	i := slices.IndexFunc(all, func(c command) bool { return c.name == args[0] })
	if i < 0 {
		names := namesOf(all, command.title)
		if group == "" {
			names = append(names, helpWord)
		}
		hint := config.DidYouMean(group, args[0], names)
		if group != "" && slices.Contains(namesOf(commands, command.title), args[0]) {
			hint = "; did you mean " + args[0] + "?"
		}
		return command{name: strings.TrimSpace(group)}, nil, fmt.Errorf("there is no command %s%s%s", group, args[0], hint)
	}
	c, rest = all[i], args[1:]
	c.name = group + c.name
	switch {
	case c.sub == nil:
		return c, rest, nil
	case len(rest) > 0 && (rest[0] == "--help" || rest[0] == "-h"):
		return c, nil, errHelp
	case len(rest) == 0 || strings.HasPrefix(rest[0], "-"):
		return c, nil, fmt.Errorf("%[1]s needs a command directly after it, such as %[1]s %[2]s", c.name, c.sub[0].name)
	}
	return find(c.name+" ", c.sub, rest)
}

// helpWord before a command means the same as --help after it.
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

// flagValue is the value of a flag that takes one. Its text is parsed later, by [command.start].
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

func (c command) title() string { return c.name }

func namesOf[T any](all []T, name func(T) string) (names []string) {
	for _, each := range all {
		names = append(names, name(each))
	}
	return names
}
