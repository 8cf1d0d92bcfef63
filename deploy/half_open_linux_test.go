package deploy_test

import (
	"bufio"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// haproxyConfig returns a copy of the shipped configuration, in which HAProxy gives up a
// half-open connection sooner. The long form uses the shipped file.
func haproxyConfig(t *testing.T) (path string, timeout time.Duration) {
	t.Helper()
	const shipped, setting = "haproxy.cfg", "tcp-ut 30s"
	text, err := os.ReadFile(shipped)
	if err != nil || !strings.Contains(string(text), setting) {
		t.Fatalf("%s has no %q: %v", shipped, setting, err)
	}
	if processtest.Long() {
		return shipped, 30 * time.Second
	}
	path = filepath.Join(t.TempDir(), shipped)
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(text), setting, "tcp-ut 5s")), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, 5 * time.Second
}

// HAProxy closes half-open pages. The instance cannot detect them, because the proxy
// accepts everything that the instance sends.
func TestHAProxy_HalfOpenPages(t *testing.T) {
	t.Parallel()
	const topic, present = "default/likes/vanish", "default/readers/vanish"
	config, timeout := haproxyConfig(t)
	i := startInstance(t, "--trusted-proxy", "127.0.0.1", "--drain", "0s", "--rate-limit", "off", "--topic-limit", "off")
	p := startHAProxy(t, config, nil, i)
	watcher := openStream(t, client, p.url, present)
	neighbour := openSocket(t, client, p.url, topic)
	query := "?topic=" + topic + "&present=" + present
	for _, text := range []string{
		"GET /v1/stream" + query + " HTTP/1.1\r\nHost: h\r\n\r\n",
		"GET /v1/ws" + query + " HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
	} {
		c, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
		reader := bufio.NewReader(c)
		for received := ""; !strings.HasSuffix(received, live); {
			next, err := reader.ReadByte()
			if err != nil {
				t.Fatalf("%v after %q", err, received)
			}
			received += string(next)
		}
		processtest.DropIncoming(t, c.(*net.TCPConn))
	}
	watcher.awaitCount(t, 2)
	startLiking(t, p.url, topic) // frames that the half-open pages do not acknowledge
	processtest.Within(t, timeout+processtest.Timeout, "HAProxy closes the pages", func() bool {
		return i.Metric(`tallycast_viewers_left_total{reason="gone"}`) == 2
	})
	processtest.Eventually(t, "no readers", func() bool {
		frames, _, _ := watcher.state()
		return watcher.count(frames) == 0
	})
	if frames, disconnects, _ := neighbour.state(); disconnects > 0 || neighbour.count(frames) == 0 {
		t.Error("another page was disconnected or received nothing")
	}
}
