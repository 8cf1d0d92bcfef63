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
	// startWithin is the time for a server to listen.
	startWithin = 20 * time.Second
	// endWithin is the time for a server to end after a signal.
	endWithin = 5 * time.Second
	// logTail is the part of a server's log in an error, in bytes.
	logTail = 2000
)

// CPU is the CPU time of a server and its Redis.
type CPU struct {
	Server, Redis time.Duration
}

// Sub returns the difference to an earlier reading.
func (c CPU) Sub(before CPU) CPU {
	return CPU{Server: c.Server - before.Server, Redis: c.Redis - before.Redis}
}

// assigned holds the addresses that freeAddress returned, so that none is returned twice
// before a server listens.
var assigned sync.Map

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
		if _, taken := assigned.LoadOrStore(l.Addr().String(), true); !taken {
			return l.Addr().String(), nil
		}
	}
}

// process is a running program.
type process struct {
	command *exec.Cmd
	log     string
	ended   chan struct{} // closed when it ends
}

// startProcess starts a program whose output goes to the file log.
func startProcess(log, name string, arguments ...string) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	p := &process{command: exec.Command(name, arguments...), log: log, ended: make(chan struct{})}
	p.command.Stdout, p.command.Stderr = out, out
	// Its own process group: an interrupt at the terminal reaches the bench only, which
	// then ends its servers.
	p.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := errors.Join(p.command.Start(), out.Close()); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() { // ends with the process; stop waits for it
		_ = p.command.Wait() // it is ended by a signal
		close(p.ended)
	}()
	return p, nil
}

func (p *process) pid() int { return p.command.Process.Pid }

// stop sends SIGTERM, and SIGKILL after endWithin.
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

// untilListening waits until address accepts connections.
func (p *process) untilListening(ctx context.Context, address string) error {
	return p.until(ctx, "it does not listen at "+address, func() bool {
		conn, err := net.Dial("tcp4", address)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
}

// until waits until ready returns true. The error begins with not.
func (p *process) until(ctx context.Context, not string, ready func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond) // finer than the start-up times derived from it
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

// tail returns the end of the log.
func (p *process) tail() string {
	data, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(data[max(0, len(data)-logTail):])
}

// lookPath returns the path of a program. The error says how to install it.
func lookPath(name, debian string) (string, error) {
	for _, candidate := range []string{name, "/usr/sbin/" + name, "/usr/local/bin/" + name} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is missing; install it as root: apt-get install -y --no-install-recommends %s", name, debian)
}
