package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/tallycast/tallycast/internal/config"
	"github.com/tallycast/tallycast/internal/server"
)

// Exit codes.
const (
	exitOK      = 0
	exitFailure = 1 // the command was started and failed
	exitUsage   = 2 // the command line or the configuration is wrong; nothing was started
)

// Main runs the command that the process's arguments name, and exits. version and commit
// are those that the linker set, or empty.
func Main(version, commit string) {
	linkedVersion, linkedCommit = version, commit
	ctx, end := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // nohup ignores it, so that the process outlives its terminal
		signal.Notify(signals, syscall.SIGHUP)
	}
	go func() { // ends with the first signal, or with the process
		first := <-signals
		signal.Stop(signals) // so that a second signal ends the process at once
		if first == syscall.SIGINT {
			end(server.ErrInterrupted)
		} else {
			end(nil)
		}
	}()
	os.Exit(run(ctx, os.Args[1:], config.ParseEnvironment(os.Environ()), os.Stdout, os.Stderr))
}

// process is one run of a command.
type process struct {
	ctx            context.Context // ends when the process is asked to end
	env            config.Environment
	stdout, stderr io.Writer
	flags          map[string][]string // given on the command line, by name
	args           []string            // the other arguments
	settings       []config.Setting    // the flags of the command
}

// run runs a command line and returns the exit code.
func run(ctx context.Context, args []string, env config.Environment, stdout, stderr io.Writer) int {
	chosen, flags, rest, err := parse(args)
	switch {
	case errors.Is(err, errHelp):
		printHelp(stdout, chosen)
		return exitOK
	case err != nil:
		of := ""
		if chosen.name != "" {
			of = chosen.name + " "
		}
		fmt.Fprintf(stderr, "tallycast: %v\nRun \"tallycast %s--help\" for usage.\n", err, of)
		return exitUsage
	}
	err = chosen.start(&process{ctx: ctx, env: env, stdout: stdout, stderr: stderr, flags: flags, args: rest})
	var status exitStatus
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &status):
		return int(status)
	}
	fmt.Fprintf(stderr, "tallycast: %v\n", err)
	if errors.As(err, new(usageError)) && chosen.name != healthcheckName {
		return exitUsage
	}
	return exitFailure
}

// start parses the values of the flags and runs the command.
func (c command) start(p *process) error {
	a := c.new()
	p.settings = a.flags()
	r := &config.Reader{Values: config.Resolve(p.settings, p.flags, p.env, config.File{})} // flags have no key in the file
	r.Parse(p.settings)
	if err := r.Problems.Err(); err != nil {
		return usageError{err}
	}
	if err := c.checkArgs(len(p.args)); err != nil {
		return err
	}
	return a.run(p)
}

// resolve returns the values of the settings, and the problems of the environment's names
// and of the configuration file.
func (p *process) resolve() (config.Values, config.Problems) {
	file, problems := p.configFile()
	return config.Resolve(config.Settings, p.flags, p.env, file), append(p.env.Unknown(config.Settings), problems...)
}

// configure returns the configuration and all its problems.
func (p *process) configure() (config.Config, config.Values, config.Problems) {
	values, problems := p.resolve()
	c, more := config.Parse(values)
	return c, values, append(problems, more...)
}

// configFile reads the configuration file, if a flag or a variable names one, and returns its
// problems.
func (p *process) configFile() (file config.File, problems config.Problems) {
	path := config.ResolveOne(config.FileSetting, p.flags[config.FileSetting.Name], p.env, config.File{})
	if !path.IsGiven() {
		return file, nil
	}
	file, problems = config.LoadFile(path.Texts[0], config.Settings)
	for i := range problems {
		if problems[i].Source == "" {
			problems[i].Source = path.Source
		}
	}
	return file, problems
}

// usageError is an error of the command line or the environment: exit code 2.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// configError returns the problems of a configuration as a [usageError].
func configError(problems config.Problems) error {
	lines := []string{"the configuration is wrong, nothing was started:"}
	for _, each := range problems {
		lines = append(lines, each.String())
	}
	return usagef("%s", strings.Join(lines, "\n  "))
}

// exitStatus is the error of a command that has printed the reason already: its exit code.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }
