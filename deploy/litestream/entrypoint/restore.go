package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// marker is the path of the file with the id of this disk.
func (o options) marker() string { return o.database + ".disk" }

// readMarker returns the id of this disk; empty if it has none.
func readMarker(o options) (id string, err error) {
	content, err := os.ReadFile(o.marker())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	return string(content), nil
}

// restore puts the newest database on this disk. newest is the id that the lease records: that
// of the disk of the last container that wrote. If this disk has another id, it may be empty or
// older. Then restore takes the database from the replica and removes the id of the disk.
func restore(ctx context.Context, o options, newest string) error {
	id, err := readMarker(o)
	if err != nil {
		return err
	}
	_, err = os.Stat(o.database)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case err == nil && id == newest:
		slog.Info("entrypoint: this disk has the newest database", "file", o.database)
		return nil
	}
	if err := restoreReplica(ctx, o); err != nil {
		return fmt.Errorf("restore the database from the replica: %w", err)
	}
	if err := os.Remove(o.marker()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// claimDisk records in the lease that this disk has the newest database from now on.
func claimDisk(ctx context.Context, o options, l *lease) error {
	id, err := readMarker(o)
	if err != nil || id != "" {
		return err
	}
	id = rand.Text()
	if err := l.setDisk(ctx, id); err != nil {
		return err
	}
	return os.WriteFile(o.marker(), []byte(id), 0o600)
}

// restoreReplica replaces the database by that of the replica, if the replica has one.
// tallycast restore gives the counts versions above all that open pages may show.
func restoreReplica(ctx context.Context, o options) error {
	downloaded := o.database + ".downloaded"
	if err := errors.Join(os.MkdirAll(filepath.Dir(o.database), 0o700), removeDatabase(downloaded)); err != nil {
		return err
	}
	if err := runChild(ctx, o, "litestream", "restore", "-config", o.config, "-if-replica-exists", "-o", downloaded, o.database); err != nil {
		return err
	}
	if _, err := os.Stat(downloaded); errors.Is(err, fs.ErrNotExist) {
		slog.Info("entrypoint: the replica is empty")
		return nil
	} else if err != nil {
		return err
	}
	if err := runChild(ctx, o, o.command[0], "restore", downloaded); err != nil {
		return err
	}
	// Litestream's notes on the replaced database.
	notes := filepath.Join(filepath.Dir(o.database), "."+filepath.Base(o.database)+"-litestream")
	return errors.Join(os.RemoveAll(notes), removeDatabase(downloaded))
}

// removeDatabase removes a database with the files beside it.
func removeDatabase(path string) (err error) {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if removing := os.Remove(path + suffix); !errors.Is(removing, fs.ErrNotExist) {
			err = errors.Join(err, removing)
		}
	}
	return err
}

func runChild(ctx context.Context, o options, name string, args ...string) error {
	command := exec.CommandContext(ctx, name, args...)
	command.Env, command.Stdout, command.Stderr = o.environment(), os.Stdout, os.Stderr
	if err := command.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", filepath.Base(name), strings.Join(args, " "), err)
	}
	return nil
}
