package redisstore_test

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// cuttingProxy forwards connections. It can close the clients' side of all of them while
// Redis still gets what the clients sent.
type cuttingProxy struct {
	target   string
	listener net.Listener

	sent atomic.Int64 // bytes that Redis got

	mu    sync.Mutex
	conns []net.Conn
	isCut bool
}

func startCuttingProxy(t *testing.T, target string) *cuttingProxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cuttingProxy{target: target, listener: listener}
	var running sync.WaitGroup
	running.Go(func() { // ends with the listener
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			c.forward(&running, client)
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		c.cut()
		running.Wait()
	})
	return c
}

func (c *cuttingProxy) forward(running *sync.WaitGroup, client net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	server, err := net.Dial("tcp", c.target)
	if c.isCut || err != nil {
		_ = client.Close()
		if err == nil {
			_ = server.Close()
		}
		return
	}
	c.conns = append(c.conns, client)
	running.Go(func() { // ends with the client's side
		_, _ = io.Copy(io.MultiWriter(server, counter{&c.sent}), client)
		_ = server.Close()
	})
	running.Go(func() { // ends with the server's side
		_, _ = io.Copy(client, server)
		_ = client.Close()
	})
}

// counter counts the bytes that are written.
type counter struct{ n *atomic.Int64 }

func (c counter) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return len(p), nil
}

// cut resets the clients' side of all connections, and refuses further ones.
func (c *cuttingProxy) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.isCut = true
	for _, client := range c.conns {
		_ = client.(*net.TCPConn).SetLinger(0)
		_ = client.Close()
	}
	c.conns = nil
}

// A Redis that hung applies what it got when it continues, unless the deadline has passed.
// So a like whose connection was lost fails only after its deadline.
//
// The test is not parallel: it measures time.
func TestApply_LostReply(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	prefix := newPrefix()
	direct := storeConfig{server: server, url: server.URL(0)}.connect(t, catalog(), prefix)
	cuttingProxy := startCuttingProxy(t, server.Addr)
	store := storeConfig{server: server, url: "redis://" + cuttingProxy.listener.Addr().String()}.connect(t, catalog(), prefix)
	page := topic(t, "default/likes/page")
	service := tally.NewService(store, catalog())
	assert := func(visitor string) error {
		_, err := service.Assert(t.Context(), tally.Assertion{Topic: page, Visitor: visitor, Amount: 1, MayCreate: true})
		return err
	}
	// It reads settings and rules; the next one only calls a script.
	if err := assert("visitor-1"); err != nil {
		t.Fatal(err)
	}

	server.Suspend()
	answered, before := make(chan error, 1), cuttingProxy.sent.Load()
	var err error
	took := processtest.Measure(func() {
		go func() { answered <- assert("visitor-2") }() // ends within 3 s
		processtest.Eventually(t, "it was sent", func() bool { return cuttingProxy.sent.Load() > before })
		cuttingProxy.cut()
		err = <-answered
	})
	server.Resume()
	if tally.AsError(err).Code != tally.CodeStoreUnavailable || took > 3*time.Second {
		t.Fatalf("answered %v after %v, want store_unavailable within 3 s", err, took)
	}
	read(t, direct, page, 0) // Redis takes what it got before
	if count := read(t, direct, page, 0).Change.Count; count != 1 {
		t.Errorf("count %d, want 1: the like was applied after it was refused", count)
	}
}
