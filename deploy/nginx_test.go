package deploy_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/tallycast/tallycast/internal/redistest"
)

// nginx is a running nginx with the configuration that is shipped.
type nginx struct {
	*process
	dir       string
	instances []string
	address   string
}

// startNginx starts nginx with nginx.conf as it is. Only the two files that it
// includes are the test's own.
func startNginx(t *testing.T, instances ...*instance) *nginx {
	t.Helper()
	if _, err := exec.LookPath("nginx"); err != nil {
		t.Fatalf("this test runs a real nginx: apt-get install nginx-light (%v)", err)
	}
	n := &nginx{dir: t.TempDir(), address: freePort(t)}
	for _, i := range instances {
		n.instances = append(n.instances, "server "+i.address+";")
	}
	shipped, err := os.ReadFile("nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	n.write(t, "nginx.conf", string(shipped))
	n.write(t, "nginx/instances.conf", strings.Join(n.instances, "\n"))
	n.write(t, "nginx/listen.conf", "listen "+n.address+";\n")
	n.process = start(t, "nginx", "-p", n.dir, "-c", filepath.Join(n.dir, "nginx.conf"), "-e", "stderr",
		"-g", "daemon off; pid "+filepath.Join(n.dir, "nginx.pid")+";")
	n.awaitAt(t, n.address)
	return n
}

func (n *nginx) awaitAt(t *testing.T, address string) {
	t.Helper()
	eventually(t, "nginx", func() bool {
		if !n.running() {
			t.Fatalf("nginx ended:\n%s", n.said())
		}
		status, _ := get("http://" + address + "/healthz")
		return status == http.StatusOK
	})
}

func (n *nginx) write(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join(n.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// page is an open page: what it was sent.
type page struct {
	mu     sync.Mutex
	frames []string
	err    error
}

func (p *page) note(frame string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frames = append(p.frames, frame)
}

func (p *page) end(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

// awaitCount waits until the page shows count, and tells how long that took.
func (p *page) awaitCount(t *testing.T, count int) {
	t.Helper()
	p.await(t, fmt.Sprintf(`"count":%d,`, count))
}

func (p *page) await(t *testing.T, text string) {
	t.Helper()
	eventually(t, "a frame with "+text, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, frame := range p.frames {
			if strings.Contains(frame, text) {
				return true
			}
		}
		if p.err != nil {
			t.Fatalf("the page was cut off: %v", p.err)
		}
		return false
	})
}

// openStream opens a page by Server-Sent Events.
func openStream(t *testing.T, address, topic string) *page {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	request, err := http.NewRequestWithContext(ctx, "GET", "http://"+address+"/v1/stream?topic="+topic, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	p, done := &page{}, make(chan struct{})
	go func() { // ends with the stream; the cleanup waits for it
		defer close(done)
		scanner := bufio.NewScanner(response.Body)
		for scanner.Scan() {
			p.note(scanner.Text())
		}
		p.end(fmt.Errorf("end of stream, %v", scanner.Err()))
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		response.Body.Close()
	})
	p.await(t, `{"event":"live"}`)
	return p
}

// openSocket opens a page by WebSocket.
func openSocket(t *testing.T, address, topic string) *page {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	socket, _, err := websocket.Dial(ctx, "ws://"+address+"/v1/ws?topic="+topic, nil)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	p, done := &page{}, make(chan struct{})
	go func() { // ends with the socket; the cleanup waits for it
		defer close(done)
		for {
			_, frame, err := socket.Read(ctx)
			if err != nil {
				p.end(err)
				return
			}
			p.note(string(frame))
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		_ = socket.CloseNow()
	})
	p.await(t, `{"event":"live"}`)
	return p
}

// like posts as visitor, or as nobody in particular, and returns the answer.
func like(t *testing.T, by *http.Client, address, topic, visitor string, header ...string) (status, count int) {
	t.Helper()
	body := ""
	if visitor != "" {
		body = `{"visitor":"` + visitor + `"}`
	}
	request, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+address+"/v1/"+topic, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := by.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct{ Count int }
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatalf("%s: %v", response.Status, err)
	}
	return response.StatusCode, answer.Count
}

// three starts three instances that share a Redis, behind nginx. They trust the
// address from which nginx comes, 127.0.0.1, and no other.
func three(t *testing.T, args ...string) ([]*instance, *nginx) {
	t.Helper()
	server := redistest.Start(t, redistest.Options{})
	args = append(args, "--store", server.URL(0), "--trusted-proxy", "127.0.0.1")
	var all []*instance
	for range 3 {
		all = append(all, startInstance(t, args...))
	}
	return all, startNginx(t, all...)
}

func TestThroughNginxEveryPageOnEveryInstanceSeesALike(t *testing.T) {
	const topic = "default/likes/hello"
	instances, nginx := three(t, "--drain", "0s")
	var pages []*page
	for range len(instances) {
		pages = append(pages, openStream(t, nginx.address, topic), openSocket(t, nginx.address, topic))
	}
	for _, i := range instances {
		_, metrics := get("http://" + i.internal + "/metrics")
		if !strings.Contains(metrics, "tallycast_viewers") || strings.Contains(metrics, "\ntallycast_viewers 0\n") {
			t.Error("the pages are not balanced: an instance has none")
		}
	}
	for n := 1; n <= 3; n++ {
		if status, count := like(t, client, nginx.address, topic, fmt.Sprintf("visitor-%d", n)); status != http.StatusOK || count != n {
			t.Fatalf("a like: %d, count %d", status, count)
		}
		began := time.Now()
		for _, p := range pages {
			p.awaitCount(t, n)
		}
		t.Logf("like %d was on all pages %v after its answer", n, time.Since(began).Round(time.Millisecond))
	}
}

func TestThroughNginxTheClientsAddressIsKept(t *testing.T) {
	const topic = "default/likes/addresses"
	_, nginx := three(t, "--drain", "0s", "--rate-limit", "10/h")
	one, other := clientFrom("127.0.0.2"), clientFrom("127.0.0.3")
	// Who names no visitor is known by the address.
	for range 2 {
		if _, count := like(t, one, nginx.address, topic, ""); count != 1 {
			t.Errorf("the first address: count %d", count)
		}
	}
	if _, count := like(t, other, nginx.address, topic, ""); count != 2 {
		t.Errorf("the second address: count %d", count)
	}
	if _, count := like(t, one, nginx.address, topic, "", "X-Forwarded-For", "203.0.113.9"); count != 2 {
		t.Errorf("an address that the client made up: count %d", count)
	}
	// Limits are of an address: 30 at once, and what instances did not know yet.
	limited := false
	for n := 0; n < 300 && !limited; n++ {
		status, _ := like(t, one, nginx.address, topic, fmt.Sprintf("visitor-%d", n))
		limited = status == http.StatusTooManyRequests
	}
	if !limited {
		t.Error("one address was never limited")
	}
	if status, _ := like(t, other, nginx.address, topic, "visitor-x"); status != http.StatusOK {
		t.Errorf("the other address was limited too: %d", status)
	}
}

func TestAReloadOfNginxCutsNoPageOff(t *testing.T) {
	const topic = "default/likes/reload"
	_, nginx := three(t, "--drain", "0s")
	pages := []*page{openStream(t, nginx.address, topic), openSocket(t, nginx.address, topic)}
	more := freePort(t)
	nginx.write(t, "nginx/listen.conf", "listen "+nginx.address+";\nlisten "+more+";\n")
	nginx.signal(syscall.SIGHUP)
	nginx.awaitAt(t, more)
	if status, _ := like(t, client, more, topic, "visitor-1"); status != http.StatusOK {
		t.Fatalf("a like: %d", status)
	}
	for _, p := range pages {
		p.awaitCount(t, 1)
	}
}

func TestNoLikeIsRefusedWhileAnInstanceEnds(t *testing.T) {
	const topic = "default/likes/rolling"
	instances, nginx := three(t, "--drain", "100ms", "--rate-limit", "off")
	survivor := openStream(t, instances[2].address, topic)
	const likes = 150
	for n := 1; n <= likes; n++ {
		if n == likes/3 {
			instances[0].signal(syscall.SIGTERM)
		}
		if n == 2*likes/3 {
			instances[1].signal(syscall.SIGTERM)
		}
		if status, _ := like(t, client, nginx.address, topic, fmt.Sprintf("visitor-%d", n)); status != http.StatusOK {
			t.Fatalf("like %d: %d", n, status)
		}
	}
	survivor.awaitCount(t, likes)
	eventually(t, "the end of two instances", func() bool { return !instances[0].running() && !instances[1].running() })
	for _, i := range instances[:2] {
		if code := i.command.ProcessState.ExitCode(); code != 0 {
			t.Errorf("exit %d", code)
		}
	}
}
