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

// front is a proxy that runs with the configuration that is shipped for it.
type front struct {
	*processtest.Process
	url string
	// reload makes it read its configuration again and waits until it has.
	reload func(t *testing.T)
	// cutsPages tells that a reload closes the pages that are open.
	cutsPages bool
}

// shipped says what stands in a configuration file, and where the proxy starts.
type shipped struct {
	path  string
	start func(t *testing.T, path string, certificate *certificate, instances ...*processtest.Instance) *front
}

var fronts = map[string]shipped{
	"nginx":   {"nginx.conf", startNginx},
	"HAProxy": {"haproxy.cfg", startHAProxy},
	"Caddy":   {"Caddyfile", startCaddy},
}

func startNginx(t *testing.T, path string, _ *certificate, instances ...*processtest.Instance) *front {
	t.Helper()
	nginx := processtest.StartNginx(t, path, instances...)
	f := &front{Process: nginx.Process, url: "http://" + nginx.Address}
	f.reload = func(t *testing.T) { f.url = "http://" + nginx.Reload(t, instances...) }
	return f
}

// startHAProxy starts it as its image and its service unit do: a master, whose
// workers serve.
func startHAProxy(t *testing.T, path string, own *certificate, instances ...*processtest.Instance) *front {
	t.Helper()
	needs(t, "haproxy")
	address, master := processtest.FreeAddress(t), processtest.FreeAddress(t)
	f, bind := &front{url: "http://" + address}, address
	if own != nil {
		f.url, bind = "https://"+address, address+" ssl crt "+own.both+" alpn h2,http/1.1"
	}
	env := []string{"TALLYCAST_BIND=" + bind}
	for n := 1; n <= 3; n++ {
		i := instances[(n-1)%len(instances)]
		env = append(env, fmt.Sprintf("TALLYCAST_%d=%s", n, i.Address()))
	}
	f.Process = processtest.Start(t, "haproxy", env, "-W", "-S", master, "-f", absolute(t, path))
	f.TerminateAtEnd() // its workers would outlive a kill
	loaded := func(times int) {
		t.Helper()
		processtest.Eventually(t, "HAProxy", func() bool {
			if f.HasEnded() {
				t.Fatalf("HAProxy ended:\n%s", f.Log)
			}
			return strings.Count(f.Log.String(), "Loading success") >= times
		})
	}
	loaded(1)
	f.reload = func(t *testing.T) {
		// As the signal USR2 would, which is lost while the master itself still starts:
		// it answers here when it has.
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
	f.await(t, own)
	return f
}

func startCaddy(t *testing.T, path string, own *certificate, instances ...*processtest.Instance) *front {
	t.Helper()
	needs(t, "caddy")
	address, admin := processtest.FreeAddress(t), processtest.FreeAddress(t)
	f := &front{url: "http://" + address, cutsPages: true}
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
		f.url = "https://" + address
		env = append(env, "TALLYCAST_TLS=tls "+own.chain+" "+own.key)
	}
	env = append(env, "TALLYCAST_ADDRESS="+f.url)
	arguments := []string{"--config", absolute(t, path), "--adapter", "caddyfile"}
	f.Process = processtest.Start(t, "caddy", env, append([]string{"run"}, arguments...)...)
	f.reload = func(t *testing.T) {
		again := processtest.Start(t, "caddy", env, append([]string{"reload", "--force", "--address", admin}, arguments...)...)
		if code := again.ExitCode(); code != 0 {
			t.Fatalf("caddy reload: exit %d\n%s", code, again.Log)
		}
	}
	f.await(t, own)
	return f
}

// await waits until the proxy passes requests on.
func (f *front) await(t *testing.T, own *certificate) {
	t.Helper()
	by := own.client()
	processtest.Eventually(t, "the proxy", func() bool {
		if f.HasEnded() {
			t.Fatalf("the proxy ended:\n%s", f.Log)
		}
		response, err := by.Get(f.url + "/healthz")
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
}

func needs(t *testing.T, tool string) {
	t.Helper()
	if _, err := exec.LookPath(tool); err != nil {
		t.Fatalf("this test runs a real %s: .ci/tools installs it (%v)", tool, err)
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

// certificate is one for 127.0.0.1, in files.
type certificate struct {
	chain, key, both string
	trusted          *x509.CertPool
}

func newCertificate(t *testing.T) *certificate {
	t.Helper()
	server := httptest.NewTLSServer(http.NotFoundHandler()) // it has one for 127.0.0.1
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

// client returns one that trusts the certificate and makes a connection a request;
// without a certificate, one for plain HTTP.
func (c *certificate) client() *http.Client {
	if c == nil {
		return client
	}
	return &http.Client{
		Timeout:   processtest.Timeout,
		Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: c.trusted}},
	}
}
