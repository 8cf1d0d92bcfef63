// Package redistest starts real Redis servers for tests: single servers, Sentinels and
// clusters, with proxies that lose data. Each server has a free loopback port and a
// directory of the test, and ends with it. Tests of every package import it.
package redistest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

const (
	// startTimeout is how long a server may take until it answers.
	startTimeout = 60 * time.Second
	// pingPause is the pause between two attempts to reach a server.
	pingPause = 5 * time.Millisecond
	// maxBinds is how many ports are tried. Another process may take a free port before
	// the server does.
	maxBinds = 5
	// logTail is how many bytes of the server's log a failed test shows.
	logTail = 2000
)

// Options are the options of a server. The zero value is a server without persistence,
// passwords or TLS.
type Options struct {
	// Args are additional arguments, such as "--appendonly", "yes".
	Args []string
	// Password is the password of the user "default", which Do uses; empty for none.
	Password string
	// Users are additional users in the form of ACL SETUSER: "app on >secret ~* &* +@all".
	Users []string
	// Hosted makes the server like a hosted service: [Server.URL] names a user who lacks the
	// commands that such services forbid, and idle connections are closed after a second.
	Hosted bool
	// TLS makes the server accept TLS only, with a certificate for 127.0.0.1.
	TLS bool
	// Data is the path of a dump (RDB) to load a copy of; empty for none.
	Data string
	// Clock makes [Server.SetClock] possible.
	Clock bool

	// sentinel is the configuration of a Sentinel without its address; empty for a Redis.
	sentinel string
}

// Server is a running redis-server. Only the test's goroutine may call its methods.
type Server struct {
	// Addr is host:port, Dir the directory of the data. Restarts do not change them.
	Addr string
	Dir  string
	// RootCAs trusts the server's certificate; nil without TLS.
	RootCAs *x509.CertPool

	t       testing.TB
	options Options
	port    string
	admin   *redis.Client
	command *exec.Cmd
	ended   chan struct{} // closed after the process was waited for
	clock   []byte        // the mapped file of the clock; nil without Options.Clock
}

// Start starts a server that ends with the test, and waits until it answers.
func Start(t testing.TB, options Options) *Server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Fatalf("this test needs Redis: apt-get install redis-server (%v)", err)
	}
	s := &Server{t: t, options: options, Dir: t.TempDir()}
	if options.TLS {
		s.RootCAs = writeCertificate(t, s.Dir)
	}
	if options.Data != "" {
		dump, err := os.ReadFile(options.Data)
		if err == nil {
			err = os.WriteFile(filepath.Join(s.Dir, "dump.rdb"), dump, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if options.Hosted {
		s.options.Users = append(slices.Clip(options.Users), hostedUser+" on >"+hostedPassword+" "+hostedRights)
		s.options.Args = append([]string{"--timeout", "1"}, options.Args...)
	}
	if len(s.options.Users) > 0 {
		s.writeUsers()
	}
	if options.Clock {
		s.mapClock()
	}
	t.Cleanup(s.cleanUp)
	for attempt := 1; ; attempt++ {
		s.port = processtest.FreePort(t)
		s.Addr = net.JoinHostPort("127.0.0.1", s.port)
		err := s.launch()
		if err == nil {
			break
		}
		if attempt == maxBinds {
			t.Fatalf("redis-server does not start: %v\n%s", err, s.Log())
		}
	}
	return s
}

// The user of a hosted server. Services differ; this one forbids what any of them forbids.
const (
	hostedUser     = "hosted"
	hostedPassword = "password-of-hosted"
	hostedRights   = "~* &* +@all -@admin -client -info -keys -memory -object -slowlog -wait"
)

// URL returns the server's URL for the user "default", or that of a hosted server, and a
// database.
func (s *Server) URL(database int) string {
	if s.options.Hosted {
		return s.URLAs(hostedUser, hostedPassword, database)
	}
	return s.URLAs("", s.options.Password, database)
}

// URLAs returns the server's URL for a user and a database.
func (s *Server) URLAs(user, password string, database int) string {
	u := url.URL{Scheme: "redis", Host: s.Addr, Path: "/" + strconv.Itoa(database)}
	if s.options.TLS {
		u.Scheme = "rediss"
	}
	if user != "" || password != "" {
		u.User = url.UserPassword(user, password)
	}
	return u.String()
}

// Do runs a command on database 0 and returns its reply; an error fails the test.
func (s *Server) Do(args ...any) any {
	s.t.Helper()
	reply, err := s.Try(args...)
	if err != nil {
		s.t.Fatalf("redis %v: %v", args, err)
	}
	return reply
}

// Try runs a command on database 0. A reply of nil is not an error; it fails if the server
// was killed.
func (s *Server) Try(args ...any) (any, error) {
	if s.admin == nil {
		return nil, errors.New("the server was killed")
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	reply, err := s.admin.Do(ctx, args...).Result()
	if errors.Is(err, redis.Nil) {
		err = nil
	}
	return reply, err
}

// Restart starts a killed server with the same port and data.
func (s *Server) Restart() {
	s.t.Helper()
	s.Kill()
	if err := s.launch(); err != nil {
		s.t.Fatalf("redis-server does not restart: %v\n%s", err, s.Log())
	}
}

// Empty removes the data of a killed server.
func (s *Server) Empty() {
	s.t.Helper()
	for _, pattern := range []string{"appendonlydir", "*.aof", "*.rdb"} {
		paths, _ := filepath.Glob(filepath.Join(s.Dir, pattern))
		for _, path := range paths {
			if err := os.RemoveAll(path); err != nil {
				s.t.Fatal(err)
			}
		}
	}
}

// Suspend makes the server hang until Resume.
func (s *Server) Suspend() { s.signal(syscall.SIGSTOP) }

// Resume ends Suspend.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

// Pid returns the id of the server's process.
func (s *Server) Pid() int { return s.command.Process.Pid }

// CPU returns the processor time that the server's process used so far.
func (s *Server) CPU() time.Duration {
	s.t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.Pid()))
	if err != nil {
		s.t.Fatal(err)
	}
	// proc(5): utime and stime are fields 14 and 15, in ticks of 1/100 s. The name before
	// them is in parentheses and may contain spaces.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// Log returns the server's log.
func (s *Server) Log() string {
	text, _ := os.ReadFile(filepath.Join(s.Dir, "redis.log"))
	return string(text)
}

func (s *Server) signal(signal syscall.Signal) {
	s.t.Helper()
	if err := s.command.Process.Signal(signal); err != nil {
		s.t.Fatalf("signal %v: %v", signal, err)
	}
}

// args returns the command line of the server.
func (s *Server) args() []string {
	if s.options.sentinel != "" {
		return append([]string{s.writeSentinel(), "--sentinel"}, s.options.Args...)
	}
	args := []string{
		"--bind", "127.0.0.1", "--dir", s.Dir, "--logfile", filepath.Join(s.Dir, "redis.log"),
		"--save", "", "--daemonize", "no",
	}
	if s.options.TLS {
		args = append(args, "--port", "0", "--tls-port", s.port, "--tls-auth-clients", "no",
			"--tls-cert-file", filepath.Join(s.Dir, certificateFile),
			"--tls-key-file", filepath.Join(s.Dir, keyFile),
			"--tls-ca-cert-file", filepath.Join(s.Dir, certificateFile))
	} else {
		args = append(args, "--port", s.port)
	}
	switch {
	case len(s.options.Users) > 0:
		args = append(args, "--aclfile", filepath.Join(s.Dir, usersFile))
	case s.options.Password != "":
		args = append(args, "--requirepass", s.options.Password)
	}
	return append(args, s.options.Args...)
}

// writeSentinel writes the configuration of a Sentinel. The Sentinel stores its state there.
func (s *Server) writeSentinel() (path string) {
	path = filepath.Join(s.Dir, "sentinel.conf")
	text := fmt.Sprintf("bind 127.0.0.1\nport %s\ndir %s\nlogfile %s\n%s",
		s.port, s.Dir, filepath.Join(s.Dir, "redis.log"), s.options.sentinel)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

const usersFile = "users.acl"

// writeUsers writes the ACL file, the user "default" included.
func (s *Server) writeUsers() {
	password := "nopass"
	if s.options.Password != "" {
		password = ">" + s.options.Password
	}
	lines := []string{"user default on " + password + " ~* &* +@all"}
	for _, user := range s.options.Users {
		lines = append(lines, "user "+user)
	}
	path := filepath.Join(s.Dir, usersFile)
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// launch starts the process and waits until it answers and its data is loaded.
func (s *Server) launch() error {
	s.command = exec.Command("redis-server", s.args()...)
	if s.options.Clock {
		s.command.Env = append(os.Environ(), s.clockEnvironment()...)
	}
	if err := s.command.Start(); err != nil {
		return err
	}
	command, ended := s.command, make(chan struct{})
	s.ended = ended
	go func() { // ends with the process; Kill waits for it
		_ = command.Wait()
		close(ended)
	}()
	s.admin = s.client()
	deadline := time.Now().Add(startTimeout)
	for {
		err := s.ping(deadline)
		if err == nil {
			return nil
		}
		select {
		case <-ended:
			return errors.New("the process ended")
		case <-time.After(pingPause):
		}
		if time.Now().After(deadline) {
			return err
		}
	}
}

// ping checks that the server answers at its address, not another process that took the port.
// It dials first, since go-redis writes failures to standard error.
func (s *Server) ping(deadline time.Time) error {
	conn, err := net.DialTimeout("tcp", s.Addr, time.Until(deadline))
	if err != nil {
		return err
	}
	_ = conn.Close()
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	if err := s.admin.Ping(ctx).Err(); err != nil {
		return err
	}
	if id := s.info("server")["process_id"]; id != strconv.Itoa(s.Pid()) {
		return fmt.Errorf("process %s listens at %s, not %d", id, s.Addr, s.Pid())
	}
	return nil
}

func (s *Server) client() *redis.Client {
	options := &redis.Options{
		Addr: s.Addr, Password: s.options.Password,
		ContextTimeoutEnabled: true, DisableIdentity: true, PoolSize: 2,
		DialerRetries: 1, MaxRetries: -1,
		DialTimeout: startTimeout, ReadTimeout: startTimeout, WriteTimeout: startTimeout, // of a busy machine
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if s.options.TLS {
		options.TLSConfig = &tls.Config{RootCAs: s.RootCAs, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}
	}
	return redis.NewClient(options)
}

// Kill ends the server like a crash, also if it is suspended, and waits for its end.
func (s *Server) Kill() {
	if s.command == nil || s.command.Process == nil {
		return
	}
	_ = s.command.Process.Kill()
	<-s.ended
	if s.admin != nil {
		_ = s.admin.Close()
		s.admin = nil
	}
}

// cleanUp ends the server, and shows the end of its log if the test failed.
func (s *Server) cleanUp() {
	s.Kill()
	if s.t.Failed() {
		log := s.Log()
		s.t.Logf("log of the redis-server at %s:\n%s", s.Addr, log[max(0, len(log)-logTail):])
	}
}
