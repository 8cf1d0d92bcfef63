// Package deploy_test runs the files of this directory: the proxies' configurations in
// front of real instances and a real Redis, and the settings of the compose file, the
// manifests and the service unit.
package deploy_test

import (
	"net"
	"net/http"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// binary is the program under test, built once.
var binary string

// parallel is how many tests run at the same time. Most of them wait.
const parallel = 8

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "tallycast-deploy")
	if err != nil {
		panic(err)
	}
	if binary, err = processtest.Build(dir); err != nil {
		panic(err)
	}
	processtest.SetParallel(parallel)
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// startInstance starts an instance and waits until it is ready.
func startInstance(t *testing.T, args ...string) *processtest.Instance {
	t.Helper()
	i := processtest.Serve(t, binary, nil, args...)
	i.AwaitReady()
	return i
}

var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: processtest.Timeout}

// clientFrom returns a client that sends from a loopback address.
func clientFrom(address string) *http.Client {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	return &http.Client{
		Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true},
		Timeout:   processtest.Timeout,
	}
}
