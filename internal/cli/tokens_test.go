package cli

import (
	"strings"
	"testing"
)

// A token made on the command line works in place of the admin token, for its sites.
func TestTokens_Service(t *testing.T) {
	t.Parallel()
	r, admin := startOwned(t, "--site", "docs")
	made := func(run func(...string) (int, string, string), args ...string) string {
		t.Helper()
		code, out, errors := run(args...)
		if code != exitOK {
			t.Fatalf("%v: exit %d: %s%s", args, code, out, errors)
		}
		return out
	}
	refused := func(run func(...string) (int, string, string), want string, args ...string) {
		t.Helper()
		if code, out, errors := run(args...); code == exitOK || !strings.Contains(errors, want) {
			t.Errorf("%v: exit %d, lacks %q: %s%s", args, code, want, out, errors)
		}
	}
	made(admin, "topics", "set", "blog/likes/a", "3")
	made(admin, "topics", "set", "docs/likes/b", "4")
	token, _ := jsonLines(t, made(admin, "tokens", "create", "--site", "blog", "--role", "editor", "--name", "editorial"))[0]["token"].(string)
	editor := func(args ...string) (int, string, string) {
		return call(t, variables("TALLYCAST_AT="+r.public, "TALLYCAST_ADMIN_TOKEN="+token), args...)
	}
	if all := jsonLines(t, made(editor, "topics", "list")); len(all) != 1 || all[0]["topic"] != "blog/likes/a" {
		t.Errorf("topics: %v", all)
	}
	if _, _, errors := editor("topics", "list"); strings.Contains(errors, "sqlite") {
		t.Errorf("the store is named: %s", errors)
	}
	made(editor, "topics", "block", "192.0.2.0/24")
	if all := jsonLines(t, made(admin, "topics", "blocks")); len(all) != 1 || all[0]["site"] != "blog" {
		t.Errorf("blocks: %v", all)
	}
	file := t.TempDir() + "/blog.jsonl"
	made(editor, "export", file)
	made(editor, "import", file)
	refused(editor, "there is no site", "topics", "set", "docs/likes/b", "5")
	refused(editor, "role_not_allowed", "tokens", "list")
	if all := jsonLines(t, made(admin, "tokens", "list")); len(all) != 1 || all[0]["name"] != "editorial" || all[0]["role"] != "editor" || all[0]["token"] != nil {
		t.Errorf("tokens: %v", all)
	}
	refused(admin, "already", "tokens", "create", "--site", "blog", "--role", "viewer", "--name", "editorial")
	refused(admin, "there is no site", "tokens", "create", "--site", "none", "--role", "viewer", "--name", "x")
	refused(admin, "--role", "tokens", "create", "--site", "blog", "--name", "x")
	refused(admin, "--site", "tokens", "create", "--role", "viewer", "--name", "x")
	refused(admin, "--name", "tokens", "create", "--site", "blog", "--role", "viewer")
	refused(admin, "viewer", "tokens", "create", "--site", "blog", "--role", "admin", "--name", "x")
	made(admin, "tokens", "revoke", "editorial")
	refused(editor, "does not accept this token", "topics", "list")
	refused(admin, "there is no token", "tokens", "revoke", "editorial")
}

// Tokens are in backups of a store, and neither in exports nor in copies.
func TestTokens_BackupExportCopy(t *testing.T) {
	t.Parallel()
	store, dir := sqlite(t), t.TempDir()
	run := func(args ...string) string {
		t.Helper()
		code, out, errors := call(t, nil, args...)
		if code != exitOK {
			t.Fatalf("%v: exit %d: %s%s", args, code, out, errors)
		}
		return out
	}
	r := start(t, nil, "--store", store, "--drain", "0s")
	r.stop()
	r.waitExit(t)
	run("tokens", "create", "--store", store, "--site", "blog", "--role", "viewer", "--name", "editorial")
	run("backup", "--store", store, dir+"/backup.db")
	run("export", "--store", store, "--with-secret", dir+"/export.jsonl")
	run("import", "--store", "sqlite:"+dir+"/imported.db", dir+"/export.jsonl")
	run("copy", "--from", store, "--to", "sqlite:"+dir+"/copied.db")
	for name, want := range map[string]bool{"backup": true, "imported": false, "copied": false} {
		if out := run("tokens", "list", "--store", "sqlite:"+dir+"/"+name+".db"); strings.Contains(out, "editorial") != want {
			t.Errorf("tokens in %s: %q, want %t", name, out, want)
		}
	}
}
