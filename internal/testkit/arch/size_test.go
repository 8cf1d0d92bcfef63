package arch_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// sizeLimit is what the binary may weigh, in bytes. It has less than 20 MB now;
// what is left is for features, not for a library that is linked whole.
const sizeLimit = 25_000_000

// The binary is built as the Makefile builds it, save for where it is put. A
// program that looks a method up by a name which the linker does not know gets
// all exported methods of all types: html/template and most libraries for
// command lines do that, at a cost of 12 MB here.
func TestTheBinaryStaysSmall(t *testing.T) {
	recipe := exec.Command("make", "--no-print-directory", "-n", "build")
	recipe.Dir = "../../.."
	out, err := recipe.Output()
	if err != nil {
		t.Fatalf("make -n build: %v", err)
	}
	binary := filepath.Join(t.TempDir(), "tallycast")
	script := strings.NewReplacer(" -o tallycast ", " -o '"+binary+"' ", `-ldflags "`, `-ldflags "-dumpdep `).Replace(string(out))
	build := exec.Command("sh", "-euc", script)
	build.Dir = recipe.Dir
	build.Env = append(os.Environ(), "GOFLAGS=-buildvcs=false")
	told, err := build.CombinedOutput() // what needs what, a line each
	info, missing := os.Stat(binary)
	if err != nil || missing != nil {
		t.Fatalf("%s: %v, %v\n%s", script, err, missing, told[max(0, len(told)-2000):])
	}
	t.Logf("%d bytes", info.Size())
	if info.Size() > sizeLimit {
		t.Errorf("the binary has %d bytes, at most %d allowed", info.Size(), sizeLimit)
	}
	if !strings.Contains(string(told), "main.main -> ") {
		t.Error("the linker does not tell what needs what: -dumpdep does not work any more")
	}
	for line := range strings.Lines(string(told)) {
		if line = strings.TrimSpace(line); strings.HasSuffix(line, "<ReflectMethod>") {
			t.Errorf("the linker keeps every exported method because of %s", line)
			break // what it keeps has more of these
		}
	}
}
