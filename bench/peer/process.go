package peer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

const (
	// startWithin is how long a server may take until it listens.
	startWithin = 20 * time.Second
	// endWithin is how long a server may take to end by itself.
	endWithin = 5 * time.Second
	// logTail is how much of a server's log is shown when it fails, in bytes.
	logTail = 2000
)

// CPU is the time that a server and its Redis took.
type CPU struct {
	Server, Redis time.Duration
}

// Sub returns what was added since before.
func (c CPU) Sub(before CPU) CPU {
	return CPU{Server: c.Server - before.Server, Redis: c.Redis - before.Redis}
}

// given are the addresses that freeAddress returned: a server may be given two before it
// listens on the first.
var given sync.Map

// freeAddress returns a loopback address on which nothing listens.
func freeAddress() (string, error) {
	for {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return "", fmt.Errorf("find a free port: %w", err)
		}
		if err := l.Close(); err != nil {
			return "", err
		}
		if _, taken := given.LoadOrStore(l.Addr().String(), true); !taken {
			return l.Addr().String(), nil
		}
	}
}

// process is a program that runs.
type process struct {
	command *exec.Cmd
	log     string
	ended   chan struct{} // closed once it ended
}

// startProcess starts a program whose output goes to the file log.
func startProcess(log, name string, arguments ...string) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	p := &process{command: exec.Command(name, arguments...), log: log, ended: make(chan struct{})}
	p.command.Stdout, p.command.Stderr = out, out
	// A process group of its own: an interrupt at the terminal is the bench's, which
	// then ends what it started.
	p.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := errors.Join(p.command.Start(), out.Close()); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() { // ends with the process, for which stop waits
		_ = p.command.Wait() // how it ended does not matter: it is ended by a signal
		close(p.ended)
	}()
	return p, nil
}

func (p *process) pid() int { return p.command.Process.Pid }

// stop asks the process to end, and ends it when it does not.
func (p *process) stop() error {
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.ended:
		return nil
	case <-time.After(endWithin):
	}
	// Its children are in its group.
	if err := syscall.Kill(-p.pid(), syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	<-p.ended
	return nil
}

// untilListening waits until something accepts connections at address.
func (p *process) untilListening(ctx context.Context, address string) error {
	return p.until(ctx, "it does not listen at "+address, func() bool {
		conn, err := net.Dial("tcp4", address)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
}

// until waits until ready says so; the error says what is not.
func (p *process) until(ctx context.Context, not string, ready func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond) // finer than the start-up times that are read from it
	defer tick.Stop()
	for !ready() {
		select {
		case <-p.ended:
			return fmt.Errorf("it ended: %s", p.tail())
		case <-ctx.Done():
			return fmt.Errorf("%s: %w: %s", not, ctx.Err(), p.tail())
		case <-tick.C:
		}
	}
	return nil
}

// tail returns the end of the process's log.
func (p *process) tail() string {
	data, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(data[max(0, len(data)-logTail):])
}

// find returns where an installed program is; the error says how to install it.
func find(name, debian string) (string, error) {
	for _, candidate := range []string{name, "/usr/sbin/" + name, "/usr/local/bin/" + name} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is missing; install it as root: apt-get install -y --no-install-recommends %s", name, debian)
}
