// Package deploy_test runs the files of this directory: the proxies' configurations in
// front of real instances and a real Redis, and the settings of the compose file, the
// manifests and the service unit.
package deploy_test

import (
	"net"
	"net/http"
	"testing"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// binary is the path of the program under test.
var binary string

// parallel is how many tests run at the same time. Most of them wait.
const parallel = 8

func TestMain(m *testing.M) { processtest.Main(m, parallel, &binary, nil) }

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
