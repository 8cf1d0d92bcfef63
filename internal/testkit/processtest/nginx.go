package processtest

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Nginx is a running nginx.
type Nginx struct {
	*Process
	Address string // host:port on which it listens

	dir string
}

// StartNginx starts nginx in front of instances with the configuration file at path. The
// test writes only the two files that it includes.
func StartNginx(t testing.TB, path string, instances ...*Instance) *Nginx {
	t.Helper()
	if _, err := exec.LookPath("nginx"); err != nil {
		t.Fatalf("this test needs nginx: apt-get install nginx-light (%v)", err)
	}
	n := &Nginx{dir: t.TempDir(), Address: FreeAddress(t)}
	shipped, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	n.write(t, "nginx.conf", string(shipped))
	n.write(t, "nginx/listen.conf", "listen "+n.Address+";\n")
	n.writeInstances(t, instances)
	n.Process = Start(t, "nginx", nil, "-p", n.dir, "-c", filepath.Join(n.dir, "nginx.conf"), "-e", "stderr",
		"-g", "daemon off; pid "+filepath.Join(n.dir, "nginx.pid")+";")
	n.TerminateAtEnd() // a kill would leave its workers
	n.await(t, n.Address)
	return n
}

// Reload makes nginx read its configuration again, with the given instances and one more
// address to listen on. It waits until nginx answers there and returns that address.
func (n *Nginx) Reload(t testing.TB, instances ...*Instance) (added string) {
	t.Helper()
	added = FreeAddress(t)
	n.write(t, "nginx/listen.conf", "listen "+n.Address+";\nlisten "+added+";\n")
	n.writeInstances(t, instances)
	n.Signal(syscall.SIGHUP)
	n.await(t, added)
	return added
}

func (n *Nginx) await(t testing.TB, address string) {
	t.Helper()
	Eventually(t, "nginx", func() bool {
		if n.HasEnded() {
			t.Fatalf("nginx ended:\n%s", n.Log)
		}
		status, _ := Get("http://" + address + "/healthz")
		return status == http.StatusOK
	})
}

func (n *Nginx) writeInstances(t testing.TB, instances []*Instance) {
	t.Helper()
	var lines []string
	for _, i := range instances {
		lines = append(lines, "server "+i.Address()+" max_fails=0;") // as in the shipped file
	}
	n.write(t, "nginx/instances.conf", strings.Join(lines, "\n"))
}

func (n *Nginx) write(t testing.TB, name, text string) {
	t.Helper()
	path := filepath.Join(n.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
