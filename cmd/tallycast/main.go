// Command tallycast broadcasts live counts.
//
// There is one file a subcommand. Configuration is read here and nowhere else:
// settings.go declares it, command.go reads the command line, layers.go decides
// which of flag, environment, file and default holds, config.go and the files of
// its parsers read and check it.
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
)

// Exit codes.
const (
	exitOK      = 0
	exitFailure = 1 // it was started, and failed
	exitUsage   = 2 // it was asked for something impossible; nothing was started
)

// errInterrupted ends the process's context where somebody at a terminal ended it.
var errInterrupted = errors.New("interrupted")

func main() {
	ctx, end := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // nohup ignores the signal, so that the process outlives its terminal
		signal.Notify(signals, syscall.SIGHUP)
	}
	go func() { // ends with the first signal, or the process
		first := <-signals
		// The first signal begins the end; with the handler gone the second one ends
		// the process at once.
		signal.Stop(signals)
		if first == syscall.SIGINT {
			end(errInterrupted)
		} else {
			end(nil)
		}
	}()
	os.Exit(run(ctx, os.Args[1:], environmentOf(os.Environ()), os.Stdout, os.Stderr))
}

// process is what a subcommand knows of the process it runs in.
type process struct {
	ctx            context.Context // ends when the process should end
	env            environment
	stdout, stderr io.Writer
	flags          map[string][]string // what the command line gave, by name
	args           []string            // and beside the flags
}

// run is the whole process. It returns the exit code.
func run(ctx context.Context, args []string, env environment, stdout, stderr io.Writer) int {
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
		fmt.Fprintf(stderr, "tallycast: %v\nRun \"tallycast %s--help\" for what there is.\n", err, of)
		return exitUsage
	}
	return chosen.run(&process{ctx: ctx, env: env, stdout: stdout, stderr: stderr, flags: flags, args: rest})
}

// resolve returns the value of each setting, and what is wrong with the names in
// the environment and with the configuration file.
func (p *process) resolve() (map[string]value, []problem) {
	file, problems := p.configFile()
	return layer(settings, p.flags, p.env, file), append(p.env.refuse(settings), problems...)
}

// configFile reads the configuration file, if one is named, and returns what is wrong
// with it.
func (p *process) configFile() (file configFile, problems []problem) {
	path := layerOne(fileSetting, p.flags[fileSetting.name], p.env, configFile{})
	if path.texts == nil {
		return file, nil
	}
	file, problems = loadFile(path.texts[0], settings)
	for i := range problems {
		if problems[i].source == "" {
			problems[i].source = path.source
		}
	}
	return file, problems
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
