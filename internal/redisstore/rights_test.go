package redisstore_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A right that appendRights does not try would be missing only at the first like.
func TestCheck_AllCommandsOfScripts(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("script/*.lua")
	parts, err2 := filepath.Glob("script/part/*.lua")
	if err != nil || err2 != nil || len(paths) == 0 || len(parts) == 0 {
		t.Fatalf("scripts: %v, %v, %v, %v", paths, err, parts, err2)
	}
	paths = append(paths, parts...)
	check, err := os.ReadFile("check.go")
	if err != nil {
		t.Fatal(err)
	}
	call := regexp.MustCompile(`redis\.p?call\('(\w+)'`)
	for _, path := range paths {
		source, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range call.FindAllStringSubmatch(string(source), -1) {
			if !regexp.MustCompile(`(?i)pipe\.` + match[1] + `N?\(`).Match(check) {
				t.Errorf("%s uses %s, which appendRights does not try", path, match[1])
			}
			if !strings.Contains(rights, "+"+strings.ToLower(match[1])) {
				t.Errorf("%s uses %s, which the tests' user has no right to", path, match[1])
			}
		}
	}
}

// deploy/README.md lists all rights that a user needs.
func TestRights_README(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../deploy/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, right := range strings.Fields(rights) {
		if !regexp.MustCompile(`(?m)\s` + regexp.QuoteMeta(right) + `(\s|$)`).Match(readme) {
			t.Errorf("deploy/README.md does not list %s", right)
		}
	}
}
