package arch_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// sizeLimit is the largest size of the binary, in bytes: room for features, but not for
// a library that is linked whole.
const sizeLimit = 25_000_000

// The released binary stays small. If the program looks up a method by a name that the
// linker does not know, the linker keeps all exported methods of all types: html/template
// and most libraries for command lines cause that, at a cost of 12 MB.
func TestBinary_Size(t *testing.T) {
	const root, dir = "../../..", "../../../.ci/bin"
	if out, err := exec.Command("make", "--no-print-directory", "-C", root, ".ci/bin/tallycast").CombinedOutput(); err != nil {
		t.Fatalf("make: %v\n%s", err, out)
	}
	info, err := os.Stat(filepath.Join(dir, "tallycast"))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes", info.Size())
	if info.Size() > sizeLimit {
		t.Errorf("the binary has %d bytes, at most %d are allowed", info.Size(), sizeLimit)
	}
	dependencies, err := os.ReadFile(filepath.Join(dir, "dependencies"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(dependencies), "main.main -> ") {
		t.Error("the linker's option -dumpdep does not list dependencies")
	}
	for line := range strings.Lines(string(dependencies)) {
		if line = strings.TrimSpace(line); strings.HasSuffix(line, "<ReflectMethod>") {
			t.Errorf("the linker keeps every exported method because of %s", line)
			break // the kept methods have more of these
		}
	}
}
