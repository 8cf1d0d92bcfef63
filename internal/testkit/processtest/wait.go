package processtest

import (
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

const (
	// Timeout is how long tests wait for a condition. A long one costs time only if the
	// test fails.
	Timeout = 30 * time.Second

	// The pause between two checks of a condition is a share of the time waited so far,
	// between minPause and maxPause: reading a program's metrics is expensive.
	minPause, maxPause, pauseShare = 3 * time.Millisecond, 200 * time.Millisecond, 16
)

// Eventually waits until condition returns true, at most for [Timeout].
func Eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	Within(t, Timeout, what, condition)
}

// Within waits until condition returns true, at most for limit.
func Within(t testing.TB, limit time.Duration, what string, condition func() bool) {
	t.Helper()
	if !Await(limit, condition) {
		t.Fatalf("timeout after %s: %s", limit, what)
	}
}

// Await waits until condition returns true, at most for limit, and reports whether it did. The
// limit is that of an idle machine: while more threads want to run than there are processors, it
// is longer in proportion, up to [Timeout].
func Await(limit time.Duration, condition func() bool) bool {
	counted, waited := idleTime{last: time.Now()}, time.Duration(0)
	for !condition() {
		waited += counted.pass()
		if counted.counted > limit || waited > max(limit, Timeout) {
			return false
		}
		time.Sleep(max(minPause, min(waited/pauseShare, maxPause)))
	}
	return true
}

// getClient leaves no connection open after the test.
var getClient = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: Timeout}

// Get sends a GET request and returns status and body; status 0 and the reason if there
// is no response.
func Get(url string) (status int, body string) {
	response, err := getClient.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err.Error()
	}
	return response.StatusCode, string(text)
}

// Servers get ports of this range. Linux takes the ports of outgoing connections from
// 32768 to 60999; a server that restarts could find such a port taken.
const firstPort, ports = 12_000, 18_000

// FreePort returns a port of 127.0.0.1 on which no process listens. Tests of other processes do not
// get it before this one ends, even if nothing listens for a while.
func FreePort(t testing.TB) string {
	t.Helper()
	for range ports {
		port := strconv.Itoa(firstPort + rand.IntN(ports))
		release, ok := reserve(t, port)
		if !ok {
			continue
		}
		if l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port)); err == nil {
			_ = l.Close()
			t.Cleanup(release)
			return port
		}
		release()
	}
	t.Fatal("there is no free port")
	return ""
}

// reserve locks the file of a port. The system releases the lock when the process ends.
func reserve(t testing.TB, port string) (release func(), ok bool) {
	t.Helper()
	dir := filepath.Join(os.TempDir(), "tallycast-test-ports-"+strconv.Itoa(os.Getuid()))
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(filepath.Join(dir, port), os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		t.Fatal(err)
	}
	if syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		_ = file.Close()
		return nil, false
	}
	return func() { _ = file.Close() }, true
}

// FreeAddress returns 127.0.0.1 with a [FreePort].
func FreeAddress(t testing.TB) string {
	t.Helper()
	return net.JoinHostPort("127.0.0.1", FreePort(t))
}
