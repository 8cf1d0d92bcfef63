package deploy_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// runningProxy is a proxy that runs with its shipped configuration.
type runningProxy struct {
	*processtest.Process
	url string
	// reload makes the proxy read its configuration again and waits until it did.
	reload func(t *testing.T)
	// reloadDisconnects reports whether a reload closes open pages.
	reloadDisconnects bool
}

// proxy is a proxy that the project ships a configuration for.
type proxy struct {
	config string // path
	start  func(t *testing.T, config string, certificate *certificate, instances ...*processtest.Instance) *runningProxy
}

var proxies = map[string]proxy{
	"nginx":   {"nginx.conf", startNginx},
	"HAProxy": {"haproxy.cfg", startHAProxy},
	"Caddy":   {"Caddyfile", startCaddy},
}

func startNginx(t *testing.T, path string, _ *certificate, instances ...*processtest.Instance) *runningProxy {
	t.Helper()
	nginx := processtest.StartNginx(t, path, instances...)
	p := &runningProxy{Process: nginx.Process, url: "http://" + nginx.Address}
	p.reload = func(t *testing.T) { p.url = "http://" + nginx.Reload(t, instances...) }
	return p
}

// startHAProxy starts HAProxy like its image and its service unit: a master with workers.
func startHAProxy(t *testing.T, path string, own *certificate, instances ...*processtest.Instance) *runningProxy {
	t.Helper()
	requireTool(t, "haproxy")
	address, master := processtest.FreeAddress(t), processtest.FreeAddress(t)
	p, bind := &runningProxy{url: "http://" + address}, address
	if own != nil {
		p.url, bind = "https://"+address, address+" ssl crt "+own.both+" alpn h2,http/1.1"
	}
	env := []string{"TALLYCAST_BIND=" + bind}
	for n := 1; n <= 3; n++ {
		i := instances[(n-1)%len(instances)]
		env = append(env, fmt.Sprintf("TALLYCAST_%d=%s", n, i.Address()))
	}
	p.Process = processtest.Start(t, "haproxy", env, "-W", "-S", master, "-f", absolute(t, path))
	p.TerminateAtEnd() // a kill would leave its workers
	loaded := func(times int) {
		t.Helper()
		processtest.Eventually(t, "HAProxy", func() bool {
			if p.HasEnded() {
				t.Fatalf("HAProxy ended:\n%s", p.Log)
			}
			return strings.Count(p.Log.String(), "Loading success") >= times
		})
	}
	loaded(1)
	p.reload = func(t *testing.T) {
		// Like the signal USR2, which is lost while the master still starts. The socket
		// answers after the start.
		processtest.Eventually(t, "HAProxy's master", func() bool {
			connection, err := net.Dial("tcp", master)
			if err != nil {
				return false
			}
			defer connection.Close()
			_, err = connection.Write([]byte("reload\n"))
			return err == nil
		})
		loaded(2)
	}
	p.await(t, own)
	return p
}

func startCaddy(t *testing.T, path string, own *certificate, instances ...*processtest.Instance) *runningProxy {
	t.Helper()
	requireTool(t, "caddy")
	address, admin := processtest.FreeAddress(t), processtest.FreeAddress(t)
	p := &runningProxy{url: "http://" + address, reloadDisconnects: true}
	var upstreams []string
	for _, i := range instances {
		upstreams = append(upstreams, i.Address())
	}
	_, unused, _ := net.SplitHostPort(processtest.FreeAddress(t))
	env := []string{
		"TALLYCAST_INSTANCES=" + strings.Join(upstreams, " "),
		"CADDY_ADMIN=" + admin, "CADDY_HTTP_PORT=" + unused,
	}
	if own != nil {
		p.url = "https://" + address
		env = append(env, "TALLYCAST_TLS=tls "+own.chain+" "+own.key)
	}
	env = append(env, "TALLYCAST_ADDRESS="+p.url)
	arguments := []string{"--config", absolute(t, path), "--adapter", "caddyfile"}
	p.Process = processtest.Start(t, "caddy", env, append([]string{"run"}, arguments...)...)
	p.reload = func(t *testing.T) {
		again := processtest.Start(t, "caddy", env, append([]string{"reload", "--force", "--address", admin}, arguments...)...)
		if code := again.ExitCode(); code != 0 {
			t.Fatalf("caddy reload: exit %d\n%s", code, again.Log)
		}
	}
	p.await(t, own)
	return p
}

// await waits until the proxy forwards requests.
func (p *runningProxy) await(t *testing.T, own *certificate) {
	t.Helper()
	client := own.client()
	processtest.Eventually(t, "the proxy", func() bool {
		if p.HasEnded() {
			t.Fatalf("the proxy ended:\n%s", p.Log)
		}
		response, err := client.Get(p.url + "/healthz")
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
}

// requireTool fails the test if a program is missing.
func requireTool(t *testing.T, tool string) {
	t.Helper()
	if _, err := exec.LookPath(tool); err != nil {
		t.Fatalf("this test needs %s: .ci/tools installs it (%v)", tool, err)
	}
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// certificate is a certificate for 127.0.0.1, in files.
type certificate struct {
	chain, key, both string
	trusted          *x509.CertPool
}

func newCertificate(t *testing.T) *certificate {
	t.Helper()
	server := httptest.NewTLSServer(http.NotFoundHandler()) // has a certificate for 127.0.0.1
	server.Close()
	own, dir := server.TLS.Certificates[0], t.TempDir()
	key, err := x509.MarshalPKCS8PrivateKey(own.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	c := &certificate{
		chain: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem"), both: filepath.Join(dir, "both.pem"),
		trusted: x509.NewCertPool(),
	}
	c.trusted.AddCert(server.Certificate())
	public := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own.Certificate[0]})
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	for path, text := range map[string][]byte{c.chain: public, c.key: private, c.both: append(public[:len(public):len(public)], private...)} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// client returns a client that trusts the certificate and opens a connection for each
// request. Without a certificate it returns the client for plain HTTP.
func (c *certificate) client() *http.Client {
	if c == nil {
		return client
	}
	return &http.Client{
		Timeout:   processtest.Timeout,
		Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: c.trusted}},
	}
}
