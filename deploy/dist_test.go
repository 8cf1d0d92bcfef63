//go:build dist

package deploy_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// built returns the only file of dist/ that matches a pattern.
func built(t *testing.T, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(absolute(t, "../dist/"+pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("dist/%s matches %v; make dist builds it (%v)", pattern, found, err)
	}
	return found[0]
}

func mustRun(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	command := exec.Command(name, args...)
	command.Dir = dir
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// The archive of this system has a program that serves and knows its version.
func TestDist_Archive(t *testing.T) {
	dir := t.TempDir()
	archive := built(t, "tallycast_*_"+runtime.GOOS+"_"+runtime.GOARCH+".tar.gz")
	mustRun(t, dir, "tar", "-xzf", archive, "--strip-components=1")
	if version := mustRun(t, dir, "./tallycast", "version"); !strings.Contains(filepath.Base(archive), "_"+strings.Fields(version)[1]+"_") {
		t.Errorf("%s has version %s", archive, version)
	}
	for _, name := range []string{"LICENSE", "README.md"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	i := processtest.Serve(t, filepath.Join(dir, "tallycast"), nil)
	i.AwaitReady()
	if status, count := like(t, client, i.URL, "default/likes/post", "visitor-1"); status != http.StatusOK || count != 1 {
		t.Errorf("a like: %d, count %d", status, count)
	}
	mustRun(t, filepath.Dir(archive), "sha256sum", "--check", "--strict", "SHA256SUMS")
}

// npm installs the package, and a program imports it.
func TestDist_Package(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "package.json"), []byte(`{"private":true,"type":"module"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	mustRun(t, dir, "npm", "install", "--offline", "--no-audit", "--no-fund", built(t, "*.tgz"))
	const program = `import { connect } from '@tallycast/web'; import '@tallycast/web/elements'; console.log(typeof connect)`
	if out := mustRun(t, dir, "node", "--input-type=module", "--eval", program); out != "function" {
		t.Errorf("connect is a %s", out)
	}
}
