// Command tallycast broadcasts live counts.
//
// There is one file a subcommand. Configuration is read here and nowhere else:
// settings.go declares it, layers.go decides which of flag, environment, file
// and default holds, config.go and the files of its parsers read and check it.
// What is left for the subcommands is to wire the parts together.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// Exit codes.
const (
	exitOK      = 0
	exitFailure = 1 // it was started, and failed
	exitUsage   = 2 // it was asked for something impossible; nothing was started
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	// The first signal begins the end; with the handler gone the second one ends
	// the process at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.LookupEnv, os.Stdout, os.Stderr))
}

// commandLine are the subcommands. A bare tallycast serves.
type commandLine struct {
	Serve       serveCommand       `cmd:"" default:"withargs" help:"Serve live counts. This is what a bare tallycast does."`
	CheckConfig checkConfigCommand `cmd:"" help:"Print the configuration and where each value comes from, and all that is wrong with it."`
	Healthcheck healthcheckCommand `cmd:"" help:"Ask a running instance whether it is ready, for containers: exit 0 or 1."`
	Version     versionCommand     `cmd:"" help:"Print version, commit and Go version."`
}

// process is what a subcommand knows of the process it runs in.
type process struct {
	ctx            context.Context // ends when the process should end
	env            environment
	stdout, stderr io.Writer
	definitions    []definition        // of all settings
	flags          map[string][]string // settings that the command line gave
}

// command is a subcommand; run returns the exit code.
type command interface{ run(p *process) int }

// run is the whole process. It returns the exit code.
func run(ctx context.Context, args []string, env environment, stdout, stderr io.Writer) int {
	return runWith(ctx, args, env, stdout, stderr, command.run)
}

// runWith parses args and hands the subcommand they choose to start.
func runWith(ctx context.Context, args []string, env environment, stdout, stderr io.Writer, start func(command, *process) int) int {
	var line commandLine
	helped := false
	parser, err := kong.New(&line,
		kong.Name("tallycast"),
		kong.Description("Live counts, pushed: likes, visitors and readers that move on every open page."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(int) { helped = true }), // kong exits after --help only
		kong.ExplicitGroups(groups),
		kong.Help(printHelp),
		kong.ValueFormatter(describe),
	)
	if err != nil {
		return fail(stderr, exitFailure, err) // the declarations are wrong; tests see to it that they are not
	}
	parsed, err := parser.Parse(args)
	switch {
	case helped:
		return exitOK
	case err != nil:
		fmt.Fprintf(stderr, "tallycast: %v\nRun \"tallycast --help\" for what there is.\n", err)
		return exitUsage
	}
	node := parsed.Selected()
	chosen, ok := node.Target.Addr().Interface().(command)
	if !ok {
		return fail(stderr, exitFailure, errors.New(node.Name+" does nothing"))
	}
	return start(chosen, &process{
		ctx: ctx, env: env, stdout: stdout, stderr: stderr,
		definitions: define(settingFlags(parser.Model)),
		flags:       given(node.Flags),
	})
}

// settingFlags returns the flags of serve, which are all settings.
func settingFlags(app *kong.Application) []*kong.Flag {
	for _, child := range app.Children {
		if child.Name == "serve" {
			return child.Flags
		}
	}
	return nil
}

// resolve returns the value of each setting, and what is wrong with the
// configuration file.
func (p *process) resolve() (map[string]value, []problem) {
	var file configFile
	var problems []problem
	path := layer(p.definitions, p.flags, p.env, file)["config"]
	if path.texts != nil {
		file, problems = loadFile(path.texts[0], p.definitions)
		for i := range problems {
			if problems[i].source == "" {
				problems[i].source = path.source
			}
		}
	}
	return layer(p.definitions, p.flags, p.env, file), problems
}

// refuse says everything that is wrong with the configuration.
func refuse(stderr io.Writer, problems []problem) int {
	fmt.Fprintln(stderr, "tallycast: the configuration is wrong, nothing was started:")
	for _, each := range problems {
		fmt.Fprintf(stderr, "  %s\n", each)
	}
	return exitUsage
}

// fail says err and returns code.
func fail(stderr io.Writer, code int, err error) int {
	fmt.Fprintf(stderr, "tallycast: %v\n", err)
	return code
}
