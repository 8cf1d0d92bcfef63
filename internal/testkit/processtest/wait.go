package processtest

import (
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"
)

const (
	// Timeout is how long anything may take; it only costs time when it fails.
	Timeout = 30 * time.Second
	// soonest and latest bound the pause between two looks at a condition. It is a
	// share of what was waited for so far: a look at a program's metrics costs more than
	// what most tests do, where the program looks for races.
	soonest, latest, share = 3 * time.Millisecond, 200 * time.Millisecond, 16
)

// Eventually waits until condition holds, at most for [Timeout].
func Eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	Within(t, Timeout, what, condition)
}

// Within waits until condition holds, at most for limit.
func Within(t testing.TB, limit time.Duration, what string, condition func() bool) {
	t.Helper()
	for began := time.Now(); !condition(); {
		waited := time.Since(began)
		if waited > limit {
			t.Fatalf("waited in vain for %s: %s", limit, what)
		}
		time.Sleep(max(soonest, min(waited/share, latest)))
	}
}

// asker leaves no connection behind, so that nothing outlives a test.
var asker = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: Timeout}

// Get returns what a GET was answered; status 0 and the reason where nobody answers.
func Get(url string) (status int, body string) {
	response, err := asker.Get(url)
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

// Ports that are given to servers; Linux takes those of outgoing connections from
// 32768 to 60999, any of which may be taken while a server is restarted.
const firstPort, ports = 12_000, 18_000

// FreePort returns a port of 127.0.0.1 on which nobody listens, and which no outgoing
// connection will have.
func FreePort(t testing.TB) string {
	t.Helper()
	for range ports {
		port := strconv.Itoa(firstPort + rand.IntN(ports))
		if l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port)); err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatal("there is no free port")
	return ""
}

// FreeAddress returns 127.0.0.1 with a [FreePort].
func FreeAddress(t testing.TB) string {
	t.Helper()
	return net.JoinHostPort("127.0.0.1", FreePort(t))
}
