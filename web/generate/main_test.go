package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/tallycast/tallycast/web/bundle"
)

// A release adds the new scripts, also those that tally.js loads on first use, and changes nothing else.
func TestAddRelease(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir("released", 0o755); err != nil {
		t.Fatal(err)
	}
	old, first, second := []byte("/* old */"), []byte("/* first */"), []byte("/* second */")
	kept := filepath.Join("released", bundle.Name(old))
	for path, content := range map[string]string{"released/list.txt": bundle.Name(old) + "\n", kept: string(old)} {
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	files := map[string][]byte{"signin.js": first, "whole.js": second, "tally.js": []byte("/* other */"), "admin/admin.js": []byte("/* other */"), "gallery.html": nil}
	// The second run adds nothing.
	for range 2 {
		if err := addRelease(files); err != nil {
			t.Fatal(err)
		}
	}
	if entries, err := os.ReadDir("released"); err != nil || len(entries) != 4 {
		t.Errorf("%v, %v", entries, err)
	}
	for path, want := range map[string]string{
		"released/list.txt": bundle.Name(old) + "\n" + bundle.Name(first) + "\n" + bundle.Name(second) + "\n",
		kept:                string(old),
		filepath.Join("released", bundle.Name(first)):  string(first),
		filepath.Join("released", bundle.Name(second)): string(second),
	} {
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%s is %q (%v), not %q", path, got, err, want)
		}
	}
}
