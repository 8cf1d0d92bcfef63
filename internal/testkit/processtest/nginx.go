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

// StartNginx starts nginx with the configuration file at path as it is, before
// instances. Only the two files that it includes are the test's own.
func StartNginx(t testing.TB, path string, instances ...*Instance) *Nginx {
	t.Helper()
	if _, err := exec.LookPath("nginx"); err != nil {
		t.Fatalf("this test runs a real nginx: apt-get install nginx-light (%v)", err)
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
	n.TerminateAtEnd() // its workers would outlive a kill
	n.awaitAt(t, n.Address)
	return n
}

// Reload makes nginx read its configuration again, in which it has the instances
// given and listens on one address more, which is returned: when nginx answers
// there it has reloaded.
func (n *Nginx) Reload(t testing.TB, instances ...*Instance) (more string) {
	t.Helper()
	more = FreeAddress(t)
	n.write(t, "nginx/listen.conf", "listen "+n.Address+";\nlisten "+more+";\n")
	n.writeInstances(t, instances)
	n.Signal(syscall.SIGHUP)
	n.awaitAt(t, more)
	return more
}

func (n *Nginx) awaitAt(t testing.TB, address string) {
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
		lines = append(lines, "server "+i.Address()+" max_fails=0;") // as it is shipped
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
