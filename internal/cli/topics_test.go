package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/admin"
)

const ownerToken = "owner-token-of-this-test"

// startOwned starts a service with an admin token, and returns a function that runs
// commands against it.
func startOwned(t *testing.T, args ...string) (*running, func(args ...string) (code int, out, errors string)) {
	t.Helper()
	r := start(t, variables("TALLYCAST_ADMIN_TOKEN="+ownerToken), append(args, "--store", sqlite(t), "--drain", "0s",
		"--site", "blog", "--rate-limit", "off", "--topic-limit", "off", "--new-topic-limit", "off")...)
	return r, func(args ...string) (int, string, string) {
		t.Helper()
		return call(t, variables("TALLYCAST_AT="+r.public, "TALLYCAST_ADMIN_TOKEN="+ownerToken), args...)
	}
}

// lines reads lines of JSON.
func jsonLines(t *testing.T, out string) (all []map[string]any) {
	t.Helper()
	for line := range strings.Lines(out) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("%v: %q", err, line)
		}
		all = append(all, fields)
	}
	return all
}

func TestTopics_Service(t *testing.T) {
	t.Parallel()
	r, topics := startOwned(t, "--base-path", "/tally")
	does := func(want string, args ...string) string {
		t.Helper()
		code, out, errors := topics(append([]string{"topics"}, args...)...)
		if code != exitOK || !strings.Contains(out, want) {
			t.Fatalf("%v: exit %d, lacks %q: %s%s", args, code, want, out, errors)
		}
		return out
	}
	count := func(topic string) int64 { return send(t, "GET", r.public+"/v1/"+topic, "").Count }
	for i := range 3 {
		send(t, "POST", r.public+"/v1/blog/likes/posts/old", fmt.Sprintf("visitor-%d", i))
	}
	does(`"count":42`, "set", "blog/likes/a%b", "42")
	does(`"count":50`, "seed", "blog/likes/a%b", "8")
	does(`"seed":8`, "show", "blog/likes/a%b", "blog/likes/posts/old")
	if all := jsonLines(t, does("posts/old", "list", "--site", "blog")); len(all) != 2 || all[0]["topic"] != "blog/likes/a%b" || all[1]["count"] != 3.0 {
		t.Errorf("%v", all)
	}
	does(`"topic":"blog/likes/posts/new","count":3`, "rename", "--yes", "blog/likes/posts/old", "blog/likes/posts/new")
	does(`"count":53`, "merge", "--yes", "blog/likes/posts/new", "--into", "blog/likes/a%b")
	does(`{"contributions":1}`, "forget", "--yes", "visitor-1")
	if n := count("blog/likes/a%25b"); n != 52 {
		t.Errorf("%d", n)
	}
	does("", "block", "192.0.2.0/24", "--reason", "a flood")
	does("", "block", "--visitor", "visitor-9")
	if a := send(t, "POST", r.public+"/v1/blog/likes/x", "visitor-9"); a.Code != "blocked" {
		t.Errorf("%+v", a)
	}
	if all := jsonLines(t, does("a flood", "blocks")); len(all) != 2 {
		t.Errorf("%v", all)
	}
	does("", "unblock", "192.0.2.0/24")
	does("", "unblock", "--visitor", "visitor-9")
	for i := range 40 {
		send(t, "POST", r.public+"/v1/blog/likes/storm", fmt.Sprintf("visitor-%d", i))
	}
	spike := jsonLines(t, does("storm", "spikes", "--since", "1d"))[0]
	source := spike["sources"].([]any)[0].(map[string]any)["source"].(string)
	does(`"contributions":40`, "undo", "--yes", "blog/likes/storm", "--from", "1h", "--source", source)
	if n := count("blog/likes/storm"); n != 0 {
		t.Errorf("%d", n)
	}
	does(`"undone":false`, "undo", "blog/likes/storm", "--from", "1h", "--address", "127.0.0.1")
	does(`"changed":true`, "reset", "--yes", "blog/likes/a%b")
	does(`"changed":true`, "delete", "--yes", "blog/likes/a%b")
	all := jsonLines(t, does("undo", "audit", "--limit", "off"))
	if len(all) < 10 || !strings.HasPrefix(all[0]["actor"].(string), "admin 127.0.0.1") {
		t.Errorf("%v", all)
	}
	if two := jsonLines(t, does("", "audit", "--limit", "2")); len(two) != 2 || two[0]["at"] != all[0]["at"] {
		t.Errorf("%v", two)
	}
	if code, out, errors := topics("prune", "--site", "blog", "--untouched", "1d"); code != exitOK || out != "" {
		t.Errorf("exit %d: %s%s", code, out, errors)
	}
	eventually(t, "a time that has passed since", func() bool {
		code, out, _ := topics("prune", "--site", "blog", "--untouched", "1ms", "--yes")
		return code == exitOK && strings.Contains(out, "storm")
	})
}

func TestTopics_Help(t *testing.T) {
	t.Parallel()
	_, want, _ := call(t, variables(), "topics", "undo", "--help")
	if code, out, _ := call(t, variables(), "help", "topics", "undo"); code != exitOK || out != want || !strings.Contains(out, "Usage: tallycast topics undo [flags] [TOPIC…]") {
		t.Errorf("exit %d: %s", code, out)
	}
}

func TestHelp_Headings(t *testing.T) {
	t.Parallel()
	var all [][]string
	for _, c := range commands {
		for _, sub := range c.sub {
			all = append(all, []string{c.name, sub.name})
		}
		all = append(all, []string{c.name})
	}
	for _, args := range all {
		_, out, _ := call(t, variables(), append(args, "--help")...)
		seen := map[string]bool{}
		for line := range strings.Lines(out) {
			if line = strings.TrimSpace(line); strings.HasSuffix(line, ":") && seen[line] {
				t.Errorf("%v: the heading %q stands twice", args, line)
			}
			seen[strings.TrimSpace(line)] = true
		}
	}
}

func TestTopics_Confirmation(t *testing.T) {
	t.Parallel()
	r, topics := startOwned(t)
	send(t, "POST", r.public+"/v1/blog/likes/x", "visitor-1")
	for _, args := range []string{
		"topics reset blog/likes/x", "topics delete blog/likes/x", "topics rename blog/likes/x blog/likes/y", "topics merge blog/likes/x --into blog/likes/y",
		"topics forget visitor-1", "topics undo blog/likes/x --from 1h",
	} {
		if code, _, errors := topics(strings.Fields(args)...); code != exitUsage || !strings.Contains(errors, "--yes") {
			t.Errorf("%s: exit %d, %s", args, code, errors)
		}
	}
	if a := send(t, "GET", r.public+"/v1/blog/likes/x", ""); a.Count != 1 {
		t.Errorf("%+v", a)
	}
}

func TestTopics_InvalidCommandLines(t *testing.T) {
	t.Parallel()
	_, topics := startOwned(t)
	for _, args := range []string{
		"topics", "topics nonsense", "topics --json list", "topics show", "topics show x", "topics set blog/likes/x", "topics set blog/likes/x -1", "topics set blog/likes/x many",
		"topics rename blog/likes/x", "topics merge blog/likes/x", "topics forget", "topics forget x", "topics block", "topics block 192.0.2.1 --visitor visitor-1",
		"topics undo --yes --from 1h", "topics undo blog/likes/x", "topics undo blog/likes/x --from yesterday", "topics list --order best", "topics list --limit -1",
		"topics spikes --since ever", "prune --untouched 1d", "prune --site blog", "prune --site blog --untouched 1",
	} {
		if code, out, errors := topics(strings.Fields(args)...); code != exitUsage || errors == "" || out != "" {
			t.Errorf("%s: exit %d, %s%s", args, code, out, errors)
		}
	}
	for args, want := range map[string]string{
		"topics set nowhere/likes/x 1": "unknown_site", "topics block 0.0.0.0/0": "every address", "topics rename --yes blog/likes/x blog/likes/y": "blog/likes/x does not exist",
	} {
		if code, _, errors := topics(strings.Fields(args)...); code != exitFailure || !strings.Contains(errors, want) {
			t.Errorf("%s: exit %d, lacks %q: %s", args, code, want, errors)
		}
	}
}

// During an upgrade a command may reach a service of the release 0.2.0. It refuses fields that it does not have,
// so the command sends them only if their flags are given.
func TestTopics_PreviousRelease(t *testing.T) {
	t.Parallel()
	fields := map[string]string{
		"/admin/v1/blocks": "range reason visitor",
		"/admin/v1/forget": "site visitor",
		"/admin/v1/undo":   "addresses from metric prefix preview site sources to topics",
		"/admin/v1/prune":  "metric prefix preview site untouched_since",
	}
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := map[string]any{}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		for name := range body {
			if !slices.Contains(strings.Fields(fields[r.URL.Path]), name) {
				t.Errorf("%s %s has the field %s", r.Method, r.URL.Path, name)
			}
		}
		_, _ = fmt.Fprint(w, `{"contributions":1,"topics":[]}`)
	}))
	defer service.Close()
	for _, args := range []string{
		"topics block 203.0.113.0/24", "topics unblock --visitor visitor-1", "topics forget --yes visitor-1",
		"topics undo --yes --from 1h blog/likes/x", "topics undo --yes --from 1h --site blog", "prune --yes --site blog --untouched 1d",
	} {
		if code, out, errors := call(t, variables("TALLYCAST_AT="+service.URL, "TALLYCAST_ADMIN_TOKEN="+ownerToken), strings.Fields(args)...); code != exitOK {
			t.Errorf("%s: exit %d: %s%s", args, code, out, errors)
		}
	}
}

func TestClient_Errors(t *testing.T) {
	t.Parallel()
	r, _ := startOwned(t)
	closed := start(t, variables(), "--store", sqlite(t), "--drain", "0s")
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if strings.HasPrefix(q.URL.Path, "/moved") {
			http.Redirect(w, q, "https://elsewhere.example/admin/", http.StatusPermanentRedirect)
			return
		}
		fmt.Fprint(w, "<p>hello")
	}))
	defer other.Close()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(ownerToken+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	list := []string{"topics", "list"}
	for _, c := range []struct {
		env  []string
		args []string
		code int
		want string
	}{
		{nil, []string{"--at", r.public, "--admin-token-file", file}, exitOK, ""},
		{[]string{"TALLYCAST_ADMIN_TOKEN_FILE=" + file, "TALLYCAST_AT=" + r.public + "/"}, nil, exitOK, ""},
		{nil, []string{"--at", r.public}, exitUsage, "--admin-token: is missing"},
		{nil, []string{"--at", r.public, "--admin-token-file", file + "x"}, exitUsage, "cannot be read"},
		{nil, []string{"--at", r.public, "--admin-token-file", file, "--admin-token", ownerToken}, exitUsage, "given once"},
		{nil, []string{"--at", "nonsense", "--admin-token", ownerToken}, exitUsage, "not the URL of a service"},
		{nil, []string{"--at", "http://name:" + ownerToken + "@127.0.0.1:1", "--admin-token", ownerToken}, exitUsage, "should have neither"},
		{nil, []string{"--at", r.public, "--admin-token", "not-the-token-of-it"}, exitFailure, "does not accept this token"},
		{nil, []string{"--at", closed.public, "--admin-token", ownerToken}, exitFailure, "with --admin-token to enable"},
		{nil, []string{"--at", r.public + "/elsewhere", "--admin-token", ownerToken}, exitFailure, "--at should be"},
		{nil, []string{"--at", other.URL, "--admin-token", ownerToken}, exitFailure, "unexpected data"},
		{nil, []string{"--at", other.URL + "/moved", "--admin-token", ownerToken}, exitFailure, "https://elsewhere.example/admin/"},
		{nil, []string{"--at", "http://127.0.0.1:1", "--admin-token", ownerToken}, exitFailure, "--at should be"},
	} {
		code, out, errors := call(t, variables(c.env...), append(list, c.args...)...)
		if code != c.code || !strings.Contains(errors, c.want) {
			t.Errorf("%v %v: exit %d, lacks %q: %s%s", c.env, c.args, code, c.want, out, errors)
		}
		if strings.Contains(errors+out, ownerToken) {
			t.Errorf("%v: shows the token", c.args)
		}
	}
	for _, command := range []string{"topics list", "export", "import " + write(t, "x.jsonl", `{"tallycast":"export","format":1}`+"\n"), "seed " + file} {
		if code, _, errors := call(t, variables(), strings.Fields(command)...); code != exitUsage || !strings.Contains(errors, "--admin-token: is missing") {
			t.Errorf("%s without a token: exit %d, %s", command, code, errors)
		}
	}
}

func TestTopics_Tables(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	c := &ownerCommand{process: &process{stdout: &out}, asTable: true}
	c.printEdit(nil, "blog/likes/x", admin.Edited{Before: admin.State{Count: 1234}, After: admin.State{Count: 5}, Changed: true})
	err := printList(c, stateHead, "none", func(yield func(json.RawMessage, error) bool) {
		_ = yield(json.RawMessage(`{"topic":"blog/likes/a\u001b[2J","count":1234567,"version":1790000000000001,"seed":1,"adjustment":-2000,"changed":"2026-11-22T10:00:00Z"}`), nil) &&
			yield(json.RawMessage(`{"topic":"blog/likes/nobody"}`), nil)
	}, addState)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC).Local().Format("2006-01-02 15:04")
	want := "blog/likes/x: 1,234 → 5\n" +
		"TOPIC              COUNT      SEED  ADJUSTMENT  CHANGED\n" +
		"blog/likes/a\uFFFD[2J   1,234,567  1     -2,000      " + at + "\n" +
		"blog/likes/nobody  0          0     0           never\n"
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	out.Reset()
	if err := printList(c, stateHead, "none", func(func(json.RawMessage, error) bool) {}, addState); err != nil || out.String() != "none\n" {
		t.Errorf("%v %q", err, out.String())
	}
}

func TestTopics_Store(t *testing.T) {
	t.Parallel()
	file := sqlite(t)
	r := start(t, variables(), "--store", file, "--drain", "0s", "--site", "blog")
	send(t, "POST", r.public+"/v1/blog/likes/x", "visitor-1")
	topics := func(args ...string) (int, string, string) {
		t.Helper()
		return call(t, variables(), append(append([]string{"topics"}, args...), "--store", file)...)
	}
	if code, _, errors := topics("list", "--site", "blog"); code != exitFailure || !strings.Contains(errors, "ask it instead: --at http://127.0.0.1:8080") {
		t.Errorf("exit %d: %s", code, errors)
	}
	r.stop()
	if code := r.waitExit(t); code != exitOK {
		t.Fatalf("exit %d", code)
	}
	for _, c := range []struct{ args, want string }{
		{"list --site blog --metric likes", `"topic":"blog/likes/x","count":1`},
		{"set blog/likes/x 42", `"changed":true`},
		{"rename --yes blog/likes/x blog/likes/y", `"count":42`},
		{"undo --yes blog/likes/y --from 1h", `"undone":false`}, // renaming ended the journal
		{"audit --limit 1", `"actor":"tallycast rename"`},
		{"block 192.0.2.0/24", ""},
		{"delete --yes blog/likes/y", `"changed":true`},
	} {
		if code, out, errors := topics(strings.Fields(c.args)...); code != exitOK || !strings.Contains(out, c.want) {
			t.Errorf("%s: exit %d, lacks %q: %s%s", c.args, code, c.want, out, errors)
		}
	}
	if code, _, errors := topics("list", "--at", "http://127.0.0.1:1"); code != exitUsage || !strings.Contains(errors, "choose one") {
		t.Errorf("exit %d: %s", code, errors)
	}
	if code, _, errors := call(t, variables(), "topics", "list", "--store", sqlite(t)); code != exitFailure || !strings.Contains(errors, "does not exist") {
		t.Errorf("exit %d: %s", code, errors)
	}
}
