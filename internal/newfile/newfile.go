// Package newfile writes files that get their name when they are complete, so that a failed
// write loses nothing. Commands and the SQLite store use it. It keeps one invariant: an
// existing file is replaced only if the caller says so.
package newfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Options say whether an existing file is replaced.
type Options struct {
	Replace bool     // replace it
	Keep    []string // but not if it is one of these files, also by another name
}

// File is a file that is being written. It is for one goroutine.
type File struct {
	*os.File // with a temporary name
	path     string
	replace  bool
	done     bool
}

// Create creates a file that [File.Commit] names path. Only its owner can read it.
// Errors: [fs.ErrExist] if path exists and is not to be replaced, those of the file system.
func Create(path string, o Options) (*File, error) {
	if o.Replace {
		if target, err := filepath.EvalSymlinks(path); err == nil {
			path = target
		}
	}
	if err := check(path, o); err != nil {
		return nil, err
	}
	partial, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.partial")
	if err != nil {
		if e, ok := errors.AsType[*fs.PathError](err); ok {
			err = e.Err // it names the temporary file
		}
		return nil, fmt.Errorf("write %s: %w", path, err)
	}
	return &File{File: partial, path: path, replace: o.Replace}, nil
}

// check returns an error if path must not be written.
func check(path string, o Options) error {
	found, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !o.Replace:
		return fmt.Errorf("write %s: %w", path, fs.ErrExist)
	case !found.Mode().IsRegular():
		return fmt.Errorf("write %s: it is not a regular file and cannot be replaced", path)
	case slices.ContainsFunc(o.Keep, func(kept string) bool {
		other, err := os.Stat(kept)
		return err == nil && os.SameFile(found, other)
	}):
		return fmt.Errorf("write %s: it belongs to the store that is being read and cannot be replaced", path)
	}
	return nil
}

// Commit closes the file and gives it its name, and waits until both are on disk. If it
// fails it removes the file.
// Errors: [fs.ErrExist] if another file got the name meanwhile, those of the file system.
func (f *File) Commit() (err error) {
	defer f.Discard()
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", f.path, err)
	}
	if !f.replace {
		err := os.Link(f.Name(), f.path)
		switch {
		case err == nil:
			return syncDirectory(f.path)
		case errors.Is(err, fs.ErrExist):
			return fmt.Errorf("write %s: %w", f.path, fs.ErrExist)
		}
		// The file system has no links, as on a memory stick.
		if err := check(f.path, Options{}); err != nil {
			return err
		}
	}
	if err := os.Rename(f.Name(), f.path); err != nil {
		return fmt.Errorf("write %s: %w", f.path, err)
	}
	return syncDirectory(f.path)
}

// Discard removes the file. After [File.Commit] it does nothing.
func (f *File) Discard() {
	if f.done {
		return
	}
	f.done = true
	_ = f.Close()           // Commit may have closed it
	_ = os.Remove(f.Name()) // Commit may have renamed it
}

// syncDirectory writes the directory entry of path to the disk.
func syncDirectory(path string) (err error) {
	directory, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, directory.Close()) }()
	return directory.Sync()
}
