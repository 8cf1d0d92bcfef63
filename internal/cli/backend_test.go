package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tallycast/tallycast/internal/config"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// storeWith creates an SQLite store with one topic, and returns its URL.
func storeWith(t *testing.T, topic string) string {
	t.Helper()
	store := sqlite(t)
	mustRun(t, "import", "--store", store, write(t, "counts.csv", "topic,count\n"+topic+",5\n"))
	return store
}

// Every command works on the store that serve would use with the same settings, and
// prints it.
func TestBackend_Variables(t *testing.T) {
	t.Parallel()
	flag, environment, file, platform := storeWith(t, "default/likes/flag"), storeWith(t, "default/likes/environment"), storeWith(t, "default/likes/file"), storeWith(t, "default/likes/platform")
	config := writeFile(t, "store: "+file+"\n")
	commands := map[string][]string{
		"topics list": {"topics", "list"},
		"export":      {"export"},
		"import":      {"import", "--dry-run", write(t, "more.csv", "topic,count\ndefault/likes/x,1\n")},
		"seed":        {"seed", "--dry-run", write(t, "seeds.csv", "topic,count\ndefault/likes/x,1\n")},
		"prune":       {"prune", "--site", "default", "--untouched", "365d"},
		"backup":      {"backup"}, // the file is appended
	}
	for name, command := range commands {
		for _, c := range []struct {
			layer     string
			env, args []string
			store     string
		}{
			{"platform", []string{"REDIS_URL=" + platform}, nil, platform},
			{"file", []string{"REDIS_URL=" + platform, "TALLYCAST_CONFIG=" + config}, nil, file},
			{"file by flag", []string{"REDIS_URL=" + platform}, []string{"--config", config}, file},
			{"environment", []string{"TALLYCAST_STORE=" + environment, "TALLYCAST_CONFIG=" + config}, nil, environment},
			{"flag", []string{"TALLYCAST_STORE=" + environment, "TALLYCAST_AT=http://127.0.0.1:1"}, []string{"--store", flag}, flag},
			{"an empty variable is none", []string{"TALLYCAST_STORE=" + environment, "TALLYCAST_AT="}, nil, environment},
		} {
			args := append(append([]string{}, command...), c.args...)
			if name == "backup" {
				args = append(args, tempFile(t, "backup.db"))
			}
			code, out, errors := call(t, variables(c.env...), args...)
			if code != exitOK || !strings.HasPrefix(errors, "store: "+c.store+" (") {
				t.Errorf("%s, %s: exit %d, does not name %s: %s%s", name, c.layer, code, c.store, out, errors)
			}
			if name == "topics list" && !strings.Contains(out, "default/likes/"+strings.Fields(c.layer)[0]) && c.layer != "an empty variable is none" {
				t.Errorf("%s, %s: lists %s", name, c.layer, out)
			}
		}
	}
}

// A layer must not name both a service and a store. Between layers the higher one applies.
func TestBackend_Contradictions(t *testing.T) {
	t.Parallel()
	store := storeWith(t, "default/likes/x")
	redis := redistest.Start(t, redistest.Options{})
	_, ask := startOwned(t)
	env := func(pairs ...string) config.Environment { return variables(pairs...) }
	export := []string{"export", "--format", "csv"}
	for _, c := range []struct {
		name string
		env  config.Environment
		args []string
		code int
		want string
	}{
		{"both variables", env("TALLYCAST_AT=http://127.0.0.1:1", "TALLYCAST_STORE="+store), export, exitUsage, "choose one"},
		{"both flags", env(), append(export, "--at", "http://127.0.0.1:1", "--store", store), exitUsage, "choose one"},
		{"both variables, topics", env("TALLYCAST_AT=http://127.0.0.1:1", "TALLYCAST_STORE="+store), []string{"topics", "list"}, exitUsage, "choose one"},
		{"both variables, import", env("TALLYCAST_AT=http://127.0.0.1:1", "TALLYCAST_STORE="+store), []string{"import", "--dry-run", write(t, "x.csv", "topic,count\ndefault/likes/a,5\n")}, exitUsage, "choose one"},
		{"both variables, seed", env("TALLYCAST_AT=http://127.0.0.1:1", "TALLYCAST_STORE="+store), []string{"seed", "--dry-run", write(t, "y.csv", "topic,count\ndefault/likes/a,5\n")}, exitUsage, "choose one"},
		{"both variables, backup", env("TALLYCAST_AT=http://127.0.0.1:1", "TALLYCAST_STORE="+store), []string{"backup", tempFile(t, "a.db")}, exitUsage, "choose one"},
		{"a flag beats a variable", env("TALLYCAST_AT=http://127.0.0.1:1"), append(export, "--store", store), exitOK, "store: " + store + " (flag --store)"},
		{"a flag beats a variable, the other way", env("TALLYCAST_STORE=" + store), append(export, "--at", "http://127.0.0.1:1", "--admin-token", ownerToken), exitFailure, "no service answers at http://127.0.0.1:1"},
		{"a variable that is mistyped", env("TALLYCAST_STOR=" + store), export, exitUsage, "did you mean TALLYCAST_STORE?"},
		{"a store that is none", env("TALLYCAST_STORE=mysql://x"), export, exitUsage, "--store (environment TALLYCAST_STORE): should begin with"},
		{"a config that is absent", env("TALLYCAST_CONFIG=/absent.yaml"), export, exitUsage, "cannot be read"},
		{"backup of a service", env("TALLYCAST_AT=http://127.0.0.1:1"), []string{"backup", tempFile(t, "b.db")}, exitUsage, "environment TALLYCAST_AT names a running service, but backup works on the file"},
		{"restore over a service", env("TALLYCAST_AT=http://127.0.0.1:1"), []string{"restore", tempFile(t, "b.db")}, exitUsage, "restore works on the file"},
		{"backup of a Redis by its variable", env("TALLYCAST_STORE=" + redis.URL(0)), []string{"backup", tempFile(t, "c.db")}, exitUsage, "appendonly yes"},
		{"backup of a Redis of the platform", env("REDIS_URL=" + redis.URL(0)), []string{"backup", tempFile(t, "d.db")}, exitUsage, "appendonly yes"},
		{"backup beside a service, of a named store", env("TALLYCAST_AT=http://127.0.0.1:1"), []string{"backup", "--store", store, tempFile(t, "e.db")}, exitOK, "store: " + store + " (flag --store)"},
	} {
		code, out, errors := call(t, c.env, c.args...)
		if code != c.code || !strings.Contains(errors, c.want) {
			t.Errorf("%s: exit %d, lacks %q: %s%s", c.name, code, c.want, out, errors)
		}
		if file := c.args[len(c.args)-1]; c.code != exitOK && strings.HasSuffix(file, ".db") && exists(file) {
			t.Errorf("%s: wrote %s", c.name, file)
		}
	}
	// A store never prints its password.
	_, _, errors := call(t, env("TALLYCAST_STORE=redis://name:hunter2-hunter2@127.0.0.1:1/0"), "topics", "list")
	if !strings.Contains(errors, "store: redis://name:***@127.0.0.1:1/0") || strings.Contains(errors, "hunter2") {
		t.Error(errors)
	}
	// A service says which store it has.
	for _, args := range [][]string{{"topics", "list"}, {"export"}, {"import", "--dry-run", write(t, "z.csv", "topic,count\ndefault/likes/a,5\n")}, {"topics", "show", "nosite/likes/x"}} {
		_, _, errors := ask(args...)
		if !strings.HasPrefix(errors, "service: http://127.0.0.1:") || !strings.Contains(errors, " (environment TALLYCAST_AT), whose store is sqlite:/") || strings.Count(errors, "service: ") != 1 {
			t.Errorf("%v: %s", args, errors)
		}
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// Commands that write a file keep an existing one unless --force is given, and always keep
// the store that they read.
func TestWrittenFiles_Existing(t *testing.T) {
	t.Parallel()
	store := storeWith(t, "default/likes/x")
	path := strings.TrimPrefix(store, "sqlite:")
	_, ask := startOwned(t)
	direct := func(args ...string) (int, string, string) {
		return call(t, variables("TALLYCAST_STORE="+store), args...)
	}
	for name, c := range map[string]struct {
		call func(...string) (int, string, string)
		args []string
	}{
		"backup": {direct, []string{"backup"}}, "export": {direct, []string{"export"}}, "export packed": {direct, []string{"export", "--format", "csv"}},
		"export of a service": {ask, []string{"export"}},
	} {
		file := write(t, "numbers.gz", "precious")
		code, _, errors := c.call(append(c.args, file)...)
		if text, err := os.ReadFile(file); code != exitFailure || string(text) != "precious" || err != nil || !strings.Contains(errors, "--force replaces it") {
			t.Errorf("%s: exit %d, %s, the file holds %q", name, code, errors, text)
		}
		if code, _, errors := c.call(append(c.args, "--force=false", file)...); code != exitFailure {
			t.Errorf("%s: exit %d, %s", name, code, errors)
		}
		code, _, errors = c.call(append(c.args, "--force", file)...)
		if text, err := os.ReadFile(file); code != exitOK || string(text) == "precious" || err != nil {
			t.Errorf("%s --force: exit %d, %s, the file holds %q", name, code, errors, text)
		}
		if left, _ := filepath.Glob(filepath.Join(filepath.Dir(file), "*.partial*")); len(left) > 0 {
			t.Errorf("%s: %v is left", name, left)
		}
	}
	link := tempFile(t, "link.db")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{path, link, path + ".lock", filepath.Dir(path), "/dev/null"} {
		for _, command := range []string{"backup", "export"} {
			if code, out, errors := direct(command, "--force", file); code != exitFailure {
				t.Errorf("%s to %s: exit %d, %s%s", command, file, code, out, errors)
			}
		}
	}
	checkCounts(t, store, "default/likes/x,5")
}
