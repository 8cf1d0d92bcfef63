// Command entrypoint is the first process of a container whose disk may disappear. It makes
// sure that one container at a time writes to a replica in object storage, restores the
// database from there if this disk does not have the newest one, and runs the given
// command under litestream replicate.
//
//	entrypoint [flags] tallycast serve [flags of serve]
//
// The environment names the database (TALLYCAST_STORE) and the replica
// (LITESTREAM_REPLICA_URL).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// options are the settings of a run.
type options struct {
	database string // path of the SQLite file
	replica  string // URL, as Litestream takes it
	config   string // path of litestream.yml
	sync     time.Duration
	lease    time.Duration
	wait     time.Duration
	command  []string
}

func main() {
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stderr, nil)))
	code, err := run()
	if err != nil {
		slog.Error("entrypoint: ended", "cause", err)
	}
	os.Exit(code)
}

// run returns the exit code: that of the command if it ran.
func run() (code int, err error) {
	o, err := parse(os.Args[1:], os.Getenv)
	if errors.Is(err, flag.ErrHelp) {
		return 0, nil
	}
	if err != nil {
		return 2, err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	l, err := newLease(ctx, o.replica, o.leaseFile(), o.lease)
	if err != nil {
		return 2, err
	}
	if err := l.acquire(ctx, o.wait); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, l.release()) }()
	newest := l.record.Disk
	err = l.holdWhile(ctx, func(held context.Context) error { return restore(held, o, newest) })
	if err == nil {
		err = claimDisk(ctx, o, l)
	}
	if err != nil {
		return 1, err
	}
	code = 1
	err = l.holdWhile(context.Background(), func(held context.Context) (err error) {
		code, err = supervise(ctx, held, o)
		return err
	})
	return code, err
}

func parse(args []string, getenv func(string) string) (o options, err error) {
	flags := flag.NewFlagSet("entrypoint", flag.ContinueOnError)
	flags.StringVar(&o.config, "config", "/etc/litestream.yml", "configuration of Litestream")
	flags.DurationVar(&o.sync, "sync", time.Second, "interval within which an acknowledged change is sent to the replica")
	flags.DurationVar(&o.lease, "lease", 30*time.Second, "how long another container waits after this one was killed")
	flags.DurationVar(&o.wait, "wait", 2*time.Minute, "how long this container waits for another one to end")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	o.command = flags.Args()
	if len(o.command) < 2 || o.command[1] != "serve" {
		return o, errors.New("the command is missing; write: entrypoint [flags] tallycast serve")
	}
	if o.sync <= 0 || o.lease < time.Second {
		return o, errors.New("-sync must be above 0, and -lease at least 1s")
	}
	var isFile bool
	if o.database, isFile = strings.CutPrefix(getenv("TALLYCAST_STORE"), "sqlite:"); !isFile || o.database == "" {
		return o, fmt.Errorf("TALLYCAST_STORE is %q; Litestream replicates a file, so set it to sqlite:/data/tallycast.db", getenv("TALLYCAST_STORE"))
	}
	if o.replica = getenv("LITESTREAM_REPLICA_URL"); o.replica == "" {
		return o, errors.New("LITESTREAM_REPLICA_URL is missing; set it to the place of the replica, such as s3://bucket/tallycast?endpoint=https://storage.example.com&region=auto")
	}
	return o, nil
}

// environment returns the environment of the child processes. litestream.yml uses these
// variables.
func (o options) environment() []string {
	// Litestream reads a change from the file after at most half of the interval, and sends it
	// after at most the other half.
	return append(os.Environ(), "LITESTREAM_DATABASE="+o.database, "LITESTREAM_INTERVAL="+(o.sync/2).String())
}

// leaseFile is the path of the file for --lease-file.
func (o options) leaseFile() string { return o.database + ".lease" }

// supervise runs the command under Litestream until it ends, and returns the exit code. When
// ctx ends, Litestream passes the signal on, waits for the command, and sends the last
// changes to the replica. When held ends, the lease is lost, and both are killed.
func supervise(ctx, held context.Context, o options) (code int, err error) {
	command := exec.Command("litestream", "replicate", "-config", o.config, "-exec", quote(append(o.command, "--lease-file", o.leaseFile())))
	command.Env, command.Stdout, command.Stderr = o.environment(), os.Stdout, os.Stderr
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // to kill the command with it
	if err := command.Start(); err != nil {
		return 1, err
	}
	slog.Info("entrypoint: started", "group", command.Process.Pid)
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }() // ends with the process
	for signalled := ctx.Done(); ; {
		select {
		case <-signalled:
			signalled = nil
			_ = command.Process.Signal(syscall.SIGTERM) // it may have ended
		case <-held.Done():
			killErr := syscall.Kill(-command.Process.Pid, syscall.SIGKILL)
			<-ended
			return 1, killErr
		case err := <-ended:
			// The command ends before Litestream, unless Litestream was killed.
			_ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL)
			if code := command.ProcessState.ExitCode(); code >= 0 {
				return code, nil
			}
			return 1, fmt.Errorf("litestream: %w", err)
		}
	}
}

// quote returns a command line for -exec, which splits it like a shell.
func quote(words []string) string {
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	return strings.Join(quoted, " ")
}
