package newfile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/tallycast/tallycast/internal/newfile"
)

// write writes a file and returns the error.
func write(path, text string, o newfile.Options) error {
	f, err := newfile.Create(path, o)
	if err != nil {
		return err
	}
	defer f.Discard()
	if _, err := f.WriteString(text); err != nil {
		return err
	}
	return f.Commit()
}

// checkFiles fails unless the directory has exactly these files with these contents.
func checkFiles(t *testing.T, directory string, want map[string]string) {
	t.Helper()
	entries, err := os.ReadDir(directory)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		text, err := os.ReadFile(filepath.Join(directory, entry.Name()))
		if expected, ok := want[entry.Name()]; !ok || err != nil || string(text) != expected {
			t.Errorf("%s holds %q, error %v", entry.Name(), text, err)
		}
	}
	if len(entries) != len(want) {
		t.Errorf("there are %v", entries)
	}
}

func TestFile_ExistingFile(t *testing.T) {
	directory := t.TempDir()
	path := filepath.Join(directory, "a")
	if err := write(path, "one", newfile.Options{}); err != nil {
		t.Fatal(err)
	}
	if err := write(path, "two", newfile.Options{}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second time: %v", err)
	}
	dangling := filepath.Join(directory, "link")
	if err := os.Symlink("nowhere", dangling); err != nil {
		t.Fatal(err)
	}
	if err := write(dangling, "two", newfile.Options{}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a dangling link: %v", err)
	}
	if err := os.Remove(dangling); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, error %v", info, err)
	}
	checkFiles(t, directory, map[string]string{"a": "one"})
}

// A file that got the name meanwhile is not replaced.
func TestFile_NameTakenMeanwhile(t *testing.T) {
	directory := t.TempDir()
	path := filepath.Join(directory, "a")
	f, err := newfile.Create(path, newfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("theirs"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.Commit(); !errors.Is(err, fs.ErrExist) {
		t.Errorf("%v", err)
	}
	checkFiles(t, directory, map[string]string{"a": "theirs"})
}

func TestFile_Replace(t *testing.T) {
	directory := t.TempDir()
	path, link := filepath.Join(directory, "a"), filepath.Join(directory, "link")
	if err := errors.Join(write(path, "one", newfile.Options{}), os.Symlink("a", link)); err != nil {
		t.Fatal(err)
	}
	o := newfile.Options{Replace: true}
	f, err := newfile.Create(path, o)
	if err != nil {
		t.Fatal(err)
	}
	f.Discard()
	checkFiles(t, directory, map[string]string{"a": "one", "link": "one"})
	if err := write(link, "two", o); err != nil {
		t.Fatal(err)
	}
	if target, err := os.Readlink(link); err != nil || target != "a" {
		t.Errorf("the link became %q, error %v", target, err)
	}
	checkFiles(t, directory, map[string]string{"a": "two", "link": "two"})
	if err := write(link, "three", newfile.Options{Replace: true, Keep: []string{filepath.Join(directory, "b"), path}}); err == nil {
		t.Error("a file to be kept was replaced")
	}
	for _, special := range []string{directory, "/dev/null", filepath.Join(directory, "absent", "a")} {
		if err := write(special, "two", o); err == nil {
			t.Errorf("%s was written", special)
		}
	}
	checkFiles(t, directory, map[string]string{"a": "two", "link": "two"})
}
