// Package newfile writes files that get their name when they are complete. Until then
// whatever has the name stays, so that a write that breaks off loses nothing. It keeps
// one rule for all commands that write a file: nothing is overwritten unless asked.
package newfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Options say what may happen to a file that has the name already.
type Options struct {
	Replace bool     // replace it
	Keep    []string // but never one of these files, by whatever name it is called
}

// File is a file that is being written. It is for one goroutine.
type File struct {
	*os.File // which has a temporary name
	path     string
	replace  bool
	done     bool
}

// Create begins a file that gets the name path by [File.Commit]. Only its owner may
// read it.
// Errors: [fs.ErrExist] if path exists and may not be replaced, and those of the file
// system.
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

// check reports why path may not be written.
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
		return fmt.Errorf("write %s: it belongs to the store that is read, and is not replaced", path)
	}
	return nil
}

// Commit closes the file and gives it its name. Both are on disk when it returns.
// If it fails, the file is removed.
// Errors: [fs.ErrExist] if the name was taken meanwhile, and those of the file system.
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
		// A file system without links, such as that of a memory stick.
		if err := check(f.path, Options{}); err != nil {
			return err
		}
	}
	if err := os.Rename(f.Name(), f.path); err != nil {
		return fmt.Errorf("write %s: %w", f.path, err)
	}
	return syncDirectory(f.path)
}

// Discard removes what was written. After [File.Commit] it does nothing.
func (f *File) Discard() {
	if f.done {
		return
	}
	f.done = true
	_ = f.Close()           // Commit may have closed it
	_ = os.Remove(f.Name()) // Commit may have renamed it
}

// syncDirectory has the name of the file at path written to the disk.
func syncDirectory(path string) (err error) {
	directory, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, directory.Close()) }()
	return directory.Sync()
}
