package processtest

import (
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

const (
	// Patience is how long anything may take; it only costs time when it fails.
	Patience = 30 * time.Second
	// between is the pause between two looks at a condition.
	between = 3 * time.Millisecond
)

// Eventually waits until condition holds, at most for [Patience].
func Eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	Within(t, Patience, what, condition)
}

// Within waits until condition holds, at most for limit.
func Within(t testing.TB, limit time.Duration, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !condition(); time.Sleep(between) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s: %s", limit, what)
		}
	}
}

// asker leaves no connection behind, so that nothing outlives a test.
var asker = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: Patience}

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

// FreeAddress returns a loopback host:port on which nobody listens.
func FreeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
