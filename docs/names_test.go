package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// ARCHITECTURE.md has every package in its table, apart from those below a listed one.
func TestArchitecture_Packages(t *testing.T) {
	text, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "list", "-f", "{{.Dir}}", "../internal/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	for dir := range strings.Lines(string(out)) {
		name, err := filepath.Rel(root, strings.TrimSpace(dir))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(name, "internal/testkit") && !regexp.MustCompile("(?m)^\\|[^|]*`"+name+"`").Match(text) {
			t.Errorf("the table of packages lacks %s", name)
		}
	}
}

// Paths are the names of files and folders in a document's code spans.
var paths = regexp.MustCompile("`((?:internal|cmd|web|bench|deploy|docs|script)/[\\w./-]+)`")

// Files and folders that the documents for developers name exist.
func TestDocuments_Paths(t *testing.T) {
	for _, path := range []string{"../README.md", "../CONTRIBUTING.md", "../SECURITY.md", "ARCHITECTURE.md", "../deploy/README.md", "guides/hosting.md"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range paths.FindAllStringSubmatch(string(text), -1) {
			name := match[1]
			if strings.HasPrefix(name, "script/") { // as the text around it says
				name = "internal/redisstore/" + name
			}
			if _, err := os.Stat(filepath.Join("..", name)); err != nil {
				t.Errorf("%s names %s: %v", path, match[1], err)
			}
		}
	}
}

// The README and the npm package have the version of the newest release in CHANGELOG.md.
func TestDocuments_Version(t *testing.T) {
	changelog, err := os.ReadFile("../CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	newest := regexp.MustCompile(`(?m)^## \[(\d+\.\d+\.\d+)\]`).FindSubmatch(changelog)
	if newest == nil {
		t.Fatal("CHANGELOG.md has no release")
	}
	for path, pattern := range map[string]string{
		"../README.md":             `(?m)^Version (\S+),`,
		"../web/package.json":      `"version": "(\S+)"`,
		"../web/package-lock.json": `"version": "(\S+)"`,
	} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if found := regexp.MustCompile(pattern).FindSubmatch(text); found == nil || string(found[1]) != string(newest[1]) {
			t.Errorf("%s names %q, not release %s", path, found, newest[1])
		}
	}
}
