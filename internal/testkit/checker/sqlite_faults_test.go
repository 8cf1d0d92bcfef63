package checker_test

import (
	"bytes"
	"database/sql"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	_ "modernc.org/sqlite" // opens the file like any tool

	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// openFile opens a database like another program.
func openFile(t testing.TB, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// refusedStart kills the instance, damages its file and starts it. The instance must exit
// with one log line that names the file and the reason, and not change the file. The end of
// the fault restores the file.
func (r *run) refusedStart(name, path, why string, damage func(), prefix ...string) fault {
	return fault{name: name, signals: signals{instances: func() []*processtest.Instance { return nil }}, begin: func(*rand.Rand) func() {
		r.instances[0].Kill()
		info, err := os.Stat(path)
		if err != nil {
			r.t.Fatal(err)
		}
		kept := map[string][]byte{path: readFile(r.t, path), path + "-wal": readFile(r.t, path+"-wal")}
		damage()
		damaged := readFile(r.t, path)
		command := append(prefix, binary)
		p := processtest.Start(r.t, command[0], r.env, append(append(command[1:], r.flags(0)...), "--internal-listen=")...)
		if code := p.ExitCode(); code != 1 {
			r.t.Errorf("exit code %d, want 1", code)
		}
		found := 0
		for line := range strings.Lines(p.Log.String()) {
			if strings.Contains(line, path) && strings.Contains(line, why) {
				found++
			}
		}
		if found != 1 {
			r.t.Errorf("%d lines name the file and contain %q:\n%s", found, why, p.Log)
		}
		if !bytes.Equal(readFile(r.t, path), damaged) {
			r.t.Error("the file was changed")
		}
		return func() {
			for name, content := range kept {
				if err := os.WriteFile(name, content, info.Mode()); err != nil {
					r.t.Fatal(err)
				}
			}
			_ = os.Remove(path + "-shm") // the index of the previous log
			r.launch(0)
			r.instances[0].AwaitReady()
		}
	}}
}

// diskFull makes the kernel refuse that the instance's files grow, like a full disk.
func (r *run) diskFull() fault {
	limit := func(size string) {
		pid := strconv.Itoa(r.instances[0].Command.Process.Pid)
		if out, err := exec.Command("prlimit", "--pid", pid, "--fsize="+size+":unlimited").CombinedOutput(); err != nil {
			r.t.Fatalf("prlimit: %v: %s", err, out)
		}
	}
	expected := signals{readyz: `"store":{"status":"away"`, metric: decreases(storeUp), log: "sqlite: the file cannot be written"}
	return fault{name: "the disk is full", signals: expected, begin: func(*rand.Rand) func() {
		limit("1024")
		return func() { limit("unlimited") }
	}}
}

// secondProcess starts a second process on the file.
func (r *run) secondProcess(path string) fault {
	none := func() []*processtest.Instance { return nil }
	return fault{name: "a second process opens the file", signals: signals{instances: none}, begin: func(*rand.Rand) func() {
		flags := append(r.flags(0), "--listen", "127.0.0.1:0", "--internal-listen=")
		p := processtest.Start(r.t, binary, r.env, flags...)
		if code, log := p.ExitCode(), p.Log.String(); code != 1 || !strings.Contains(log, path) ||
			!strings.Contains(log, "process "+strconv.Itoa(r.instances[0].Command.Process.Pid)) {
			r.t.Errorf("exit code %d, log:\n%s", code, log)
		}
		return nil
	}}
}

// Each fault of an SQLite file alone breaks no promise, and operators see it.
func TestFault_SQLite(t *testing.T) {
	t.Parallel()
	trials := map[string]trial{}
	try := func(name string, make func(r *run, path string) fault) {
		var path string
		trials[name] = trial{func(t *testing.T) (s *deployment) {
			s, path = sqliteDeployment(t)
			return s
		}, func(r *run) fault { return make(r, path) }}
	}
	try("the disk is full", func(r *run, _ string) fault { return r.diskFull() })
	try("two processes on one file", (*run).secondProcess)
	try("the file is corrupt", func(r *run, path string) fault {
		return r.refusedStart("the file is corrupt", path, "corrupt", func() {
			if err := os.Remove(path + "-wal"); err != nil {
				r.t.Fatal(err)
			}
			if err := os.WriteFile(path, append([]byte("SQLite format 3\x00"), bytes.Repeat([]byte("garbage!"), 2000)...), 0o600); err != nil {
				r.t.Fatal(err)
			}
		})
	})
	try("the file is of a newer version", func(r *run, path string) fault {
		return r.refusedStart("the file is newer", path, "newer", func() {
			db := openFile(r.t, path)
			defer db.Close()
			if _, err := db.Exec(`PRAGMA user_version = 99`); err != nil {
				r.t.Fatal(err)
			}
		})
	})
	try("the file is read-only", func(r *run, path string) fault {
		var prefix []string
		if os.Getuid() == 0 { // root ignores file permissions
			prefix = []string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"}
		}
		return r.refusedStart("the file is read-only", path, "permission denied", func() {
			for dir := filepath.Dir(path); dir != filepath.Clean(os.TempDir()); dir = filepath.Dir(dir) {
				if err := os.Chmod(dir, 0o755); err != nil {
					r.t.Fatal(err)
				}
			}
			if err := os.Chmod(path, 0o444); err != nil {
				r.t.Fatal(err)
			}
		}, prefix...)
	})
	runTrials(t, trials)
}
