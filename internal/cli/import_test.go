package cli

import (
	"bytes"
	"compress/gzip"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/tallycast/tallycast/internal/sqlitestore"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// tempFile returns a path in a folder of the test.
func tempFile(t *testing.T, name string) string { return filepath.Join(t.TempDir(), name) }

// checkCounts checks that the store has exactly these counts.
func checkCounts(t *testing.T, store string, want ...string) {
	t.Helper()
	code, out, errors := call(t, variables(), "export", "--store", store, "--format", "csv")
	got := strings.Split(strings.TrimSpace(out), "\n")[1:]
	slices.Sort(got)
	if slices.Sort(want); code != exitOK || !slices.Equal(got, want) {
		t.Errorf("%s holds %q, want %q: exit %d, %s", store, got, want, code, errors)
	}
}

// mustRun runs a command, which must succeed, and returns its output.
func mustRun(t *testing.T, args ...string) string {
	t.Helper()
	code, out, errors := call(t, variables(), args...)
	if code != exitOK {
		t.Fatalf("%v: exit %d, %s%s", args, code, out, errors)
	}
	return out
}

// The counts of options pass through CSV and JSON files into another store.
func TestImport_Options(t *testing.T) {
	t.Parallel()
	first := "sqlite:" + tempFile(t, "first.db")
	few := write(t, "few.csv", "topic,option,count\ndefault/rating/a,1,3\ndefault/rating/a,3,2\ndefault/rating/b,3,1\n")
	mustRun(t, "import", "--store", first, few)
	table := mustRun(t, "export", "--store", first, "--scope", "default/rating", "--format", "csv")
	if want := "topic,option,count\ndefault/rating/a,1,3\ndefault/rating/a,2,0\ndefault/rating/a,3,2\n"; !strings.HasPrefix(table, want) {
		t.Errorf("%q", table)
	}
	objects := mustRun(t, "export", "--store", first, "--format", "json")
	for name, path := range map[string]string{
		"CSV": write(t, "x.csv", table), "JSON": write(t, "x.json", objects),
		"few options": few,
	} {
		for _, as := range []string{"seed", "count"} {
			store := "sqlite:" + tempFile(t, "other.db")
			if out := mustRun(t, "import", "--store", store, "--as", as, "--dry-run", path); !strings.Contains(out, "2 would change") {
				t.Errorf("%s as %s: %s", name, as, out)
			}
			mustRun(t, "import", "--store", store, "--as", as, path)
			if got := mustRun(t, "export", "--store", store, "--scope", "default/rating", "--format", "csv"); got != table {
				t.Errorf("%s as %s: %q, want %q", name, as, got, table)
			}
		}
	}
	for text, want := range map[string]string{
		"topic,count\ndefault/rating/a,5\n":          "give a list of 5 numbers",
		"topic,option,count\ndefault/rating/a,6,1\n": "has 5 options",
		"topic,option,count\ndefault/likes/a,1,1\n":  "has no options",
	} {
		path := write(t, "x.csv", text)
		for _, args := range [][]string{{"import"}, {"import", "--dry-run"}} {
			if code, _, errors := call(t, variables(), append(args, "--store", "sqlite:"+tempFile(t, "other.db"), path)...); code != exitFailure || !strings.Contains(errors, want) {
				t.Errorf("%q %v: exit %d, %s", text, args, code, errors)
			}
		}
	}
}

func TestExport_ImportIntoOtherService(t *testing.T) {
	t.Parallel()
	r, ask := startOwned(t)
	for i := range 30 {
		send(t, "POST", fmt.Sprintf("%s/v1/blog/likes/posts/%d", r.public, i%3), fmt.Sprintf("visitor-%d", i))
	}
	path := tempFile(t, "numbers.jsonl.gz")
	if code, out, errors := ask("export", path); code != exitOK || out != "" {
		t.Fatalf("exit %d: %s%s", code, out, errors)
	}
	code, text, _ := ask("export", "--scope", "blog/likes/posts/1", "--format", "json", "-")
	if want := "[\n{\"topic\":\"blog/likes/posts/1\",\"count\":10}\n]\n"; code != exitOK || text != want {
		t.Errorf("exit %d: %q", code, text)
	}
	// Importing into the same service changes nothing; one with another secret refuses it.
	for _, mode := range []string{"merge", "replace"} {
		if code, out, errors := ask("import", "--mode", mode, path); code != exitOK || !strings.Contains(out, "3 topics and 30 contributions imported; 0 lines refused") {
			t.Errorf("%s: exit %d, %s%s", mode, code, out, errors)
		}
	}
	if a := send(t, "GET", r.public+"/v1/blog/likes/posts/1", "visitor-1"); a.Count != 10 || a.Mine != 1 {
		t.Errorf("%+v", a)
	}
	other, askOther := startOwned(t)
	if code, _, errors := askOther("import", path); code != exitFailure || !strings.Contains(errors, "fingerprint") {
		t.Errorf("under another secret: exit %d, %s", code, errors)
	}
	// Plain counts need no secret.
	if code, out, errors := askOther("import", "--format", "json", write(t, "x.json", text)); code != exitOK || !strings.Contains(out, "1 changed") {
		t.Errorf("exit %d, %s%s", code, out, errors)
	}
	if code, _, errors := askOther("import", "--as", "count", write(t, "x.csv", "topic,count\nblog/likes/a,5\nblog/nothing/b,1\n")); code != exitFailure || !strings.Contains(errors, "blog/nothing/b: ") {
		t.Errorf("exit %d, %s", code, errors)
	}
	for topic, want := range map[string]int64{"posts/1": 10, "a": 5} {
		if a := send(t, "GET", other.public+"/v1/blog/likes/"+topic, ""); a.Count != want {
			t.Errorf("%s: %+v", topic, a)
		}
	}
	// A dry run shows what would change.
	if code, out, _ := askOther("import", "--dry-run", write(t, "x.csv", "topic,count\nblog/likes/posts/1,10\nblog/likes/new,4\n")); code != exitOK || !strings.Contains(out, "blog/likes/new  4      0      4") || strings.Contains(out, "posts/1") || !strings.Contains(out, "1 would change") {
		t.Errorf("exit %d, %s", code, out)
	}
}

// write writes a file in a folder of the test.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := tempFile(t, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// forgetRules removes the rules of metrics from a store, as an earlier release left it.
func forgetRules(t *testing.T, store string) {
	t.Helper()
	db, err := sql.Open("sqlite", strings.TrimPrefix(store, "sqlite:"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`DELETE FROM meta WHERE name LIKE 'rule:%'`); err != nil {
		t.Error(err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

func TestImport_Secret(t *testing.T) {
	t.Parallel()
	from, to := sqlite(t), sqlite(t)
	r := start(t, variables(), "--store", from, "--drain", "0s", "--metric", "stars=amount:5", "--site", "blog")
	send(t, "POST", r.public+"/v1/blog/stars/a", "visitor-1")
	send(t, "POST", r.public+"/v1/blog/likes/a", "visitor-1")
	with, without := tempFile(t, "with.jsonl"), tempFile(t, "without.jsonl")
	// The store has the rules of its metrics.
	mustRun(t, "export", "--store", from, tempFile(t, "known.jsonl"))
	r.stop()
	r.waitExit(t)
	// A store of an earlier release has none, so the command refuses the export.
	forgetRules(t, from)
	if code, _, errors := call(t, variables(), "export", "--store", from, with); code != exitFailure || !strings.Contains(errors, "--metric stars=RULE") {
		t.Errorf("exit %d, %s", code, errors)
	}
	if _, err := os.Stat(with); !errors.Is(err, os.ErrNotExist) {
		t.Error("an export that failed left a file")
	}
	mustRun(t, "export", "--store", from, "--metric", "stars=amount:5", "--with-secret", with)
	mustRun(t, "export", "--store", from, "--metric", "stars=amount:5", without)
	redis := redistest.Start(t, redistest.Options{})
	for _, store := range []string{to, redis.URL(0)} {
		if code, _, errors := call(t, variables(), "import", "--store", store, without); code != exitFailure || !strings.Contains(errors, "secret") {
			t.Errorf("%s without a secret: exit %d, %s", store, code, errors)
		}
		code, out, errors := call(t, variables(), "import", "--store", store, with)
		if code != exitFailure || !strings.Contains(errors, "line 3: blog/stars/a: there is no metric") || !strings.Contains(out, "1 line refused") {
			t.Errorf("%s: exit %d, %s%s", store, code, out, errors)
		}
		mustRun(t, "import", "--store", store, "--metric", "stars=amount:5", with)
		mustRun(t, "import", "--store", store, "--metric", "stars=amount:5", without) // it has the secret now
	}
	r.stop()
	r.waitExit(t)
	again := start(t, variables(), "--store", to, "--drain", "0s", "--metric", "stars=amount:5", "--site", "blog")
	if a := send(t, "POST", again.public+"/v1/blog/stars/a", "visitor-1"); a.Changed || a.Count != 1 {
		t.Errorf("the visitor is not known again: %+v", a)
	}
}

// The counters of the article, moved over without losing a like.
func TestImport_RedisKeys(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	sum := int64(0)
	for i := range 25 {
		redis.Do("SET", fmt.Sprintf("adowise:blog:likes:post-%d", i), i*i)
		sum += int64(i * i)
	}
	redis.Do("LPUSH", "adowise:blog:likes:queue", "x")
	redis.Do("SADD", "adowise:blog:visitors:post-3", "a", "b")
	r, ask := startOwned(t)
	send(t, "POST", r.public+"/v1/blog/likes/post-3", "visitor-1")
	args := []string{"import", "--from", redis.URL(0), "--pattern", "adowise:blog:likes:*", "--topic", "blog/likes/{1}", "--seen", "adowise:blog:visitors:*"}
	for _, dry := range []bool{true, false, false} {
		run := args
		if dry {
			run = append(slices.Clone(args), "--dry-run")
		}
		code, out, errors := ask(run...)
		if code != exitFailure || !strings.Contains(errors, `"adowise:blog:likes:queue" is a list`) {
			t.Errorf("exit %d, %s%s", code, out, errors)
		}
		if !strings.Contains(out, "post-3 ") || !strings.Contains(out, "hold 2 visitors") || !strings.Contains(out, fmt.Sprintf("together %s", thousands(sum))) {
			t.Errorf("it says %s", out)
		}
	}
	total := int64(0)
	for i := range 25 {
		total += send(t, "GET", fmt.Sprintf("%s/v1/blog/likes/post-%d", r.public, i), "").Count
	}
	if total != sum+1 {
		t.Errorf("there are %d likes of %d and one more", total, sum)
	}
}

func TestImport_OtherCounters(t *testing.T) {
	t.Parallel()
	samples := filepath.Join("..", "..", "internal", "importer", "testdata")
	for format, test := range map[string]struct {
		file string
		args []string
		want []string
	}{
		"goatcounter": {"goatcounter-v1.csv", nil, []string{"blog/views/a.html,2", "blog/views/site,2", "blog/visitors/a.html,1", "blog/visitors/site,1"}},
		"umami":       {"umami-website_event.csv", []string{"--host", "blog.example.com", "--take", "views"}, []string{"blog/views/index,1", "blog/views/posts/hello,3", "blog/views/site,4"}},
		"applause":    {"applause-dynamodb.json", nil, []string{"blog/claps/posts/hello,12", "blog/claps/posts/two,7"}},
		"busuanzi":    {"busuanzi.jsonp", nil, []string{"blog/views/site,434", "blog/visitors/site,419"}},
	} {
		text, err := os.ReadFile(filepath.Join(samples, test.file))
		if err != nil {
			t.Fatal(err)
		}
		var packed bytes.Buffer
		packer := gzip.NewWriter(&packed)
		if _, err := packer.Write(text); err != nil || packer.Close() != nil {
			t.Fatal(err)
		}
		store := sqlite(t)
		mustRun(t, append([]string{"import", "--store", store, "--format", format, "--site", "blog", write(t, "export.gz", packed.String())}, test.args...)...)
		checkCounts(t, store, test.want...)
	}
}

// An import that is killed can be run again and counts no visitor twice.
func TestImport_AgainAfterKill(t *testing.T) {
	t.Parallel()
	from := "sqlite:" + tempFile(t, "from.db")
	source, err := sqlitestore.Open(context.Background(), strings.TrimPrefix(from, "sqlite:"), tally.NewOpenCatalog(tally.DefaultMetrics()), sqlitestore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var portions []tally.Portion
	for i := range 30 { // three batches of an import
		topic, _ := tally.ParseTopic(fmt.Sprintf("blog/likes/page-%d", i))
		p := tally.Portion{State: tally.State{Change: tally.Change{Topic: topic, Count: 1000, Version: 5}}, Sum: 1000, First: true, Last: true}
		for member := range 1000 {
			p.Contributions = append(p.Contributions, tally.Contribution{Member: tally.Member(uint64(member+1) * 0x9e3779b97f4a7c15), Amount: 1})
		}
		portions = append(portions, p)
	}
	if err := errors.Join(source.Restore(context.Background(), false, portions), source.Close()); err != nil {
		t.Fatal(err)
	}
	path := tempFile(t, "numbers.jsonl")
	mustRun(t, "export", "--store", from, "--with-secret", path)
	for _, mode := range []string{"merge", "replace"} {
		to := tempFile(t, "to.db")
		p := processtest.Start(t, os.Args[0], []string{asProgram + "=1"}, "import", "--store", "sqlite:"+to, "--mode", mode, path)
		eventually(t, "a stored batch", func() bool {
			wal, err := os.Stat(to + "-wal")
			return err == nil && wal.Size() > 1<<18 || p.HasEnded() // a batch has 10,000 contributions
		})
		if p.HasEnded() {
			t.Fatalf("%s: the import ended before it was killed", mode)
		}
		p.Kill()
		if out := mustRun(t, "import", "--store", "sqlite:"+to, "--mode", mode, path); !strings.Contains(out, "30 topics and 30000 contributions imported") {
			t.Errorf("%s: it says %s", mode, out)
		}
		if out := mustRun(t, "copy", "--from", from, "--to", "sqlite:"+to); !strings.Contains(out, "Both stores have the same") {
			t.Errorf("%s: %s", mode, out)
		}
	}
}

// The lines before the end of an incomplete compressed export are imported.
func TestImport_TruncatedGzip(t *testing.T) {
	t.Parallel()
	from := "sqlite:" + tempFile(t, "from.db")
	mustRun(t, "import", "--store", from, write(t, "x.csv", "topic,count\ndefault/likes/a,1\n"))
	var packed bytes.Buffer
	packer := gzip.NewWriter(&packed)
	if _, err := packer.Write([]byte(mustRun(t, "export", "--store", from, "--with-secret"))); err != nil {
		t.Fatal(err)
	}
	if err := packer.Close(); err != nil {
		t.Fatal(err)
	}
	path := write(t, "cut.jsonl.gz", packed.String()[:packed.Len()-4])
	code, out, errors := call(t, variables(), "import", "--store", "sqlite:"+tempFile(t, "to.db"), path)
	if code == exitOK || !strings.Contains(out, "1 topic and 0 contributions imported") || !strings.Contains(errors, "unexpected EOF") {
		t.Errorf("exit %d: %s%s", code, out, errors)
	}
}

func TestTransfer_InvalidCommandLines(t *testing.T) {
	t.Parallel()
	file := write(t, "x.csv", "topic,count\n")
	for args, want := range map[string]string{
		"export a b":                                            "one file",
		"export --store redis://a --at http://b":                "choose one",
		"export --with-secret x.jsonl":                          "needs a store",
		"export --with-secret --store sqlite:x x.csv":           "plain counts",
		"export --scope Blog --store sqlite:x":                  "site/metric",
		"export --format xml --store sqlite:x":                  "json",
		"export x.jsonl":                                        "--admin-token: is missing",
		"export --store sqlite:/nowhere/x.db":                   "does not exist",
		"import --store sqlite:x " + write(t, "x.txt", "a 1\n"): "x.txt: line 1 is not the header of an export, {\"tallycast\":\"export\",…}; --format names the format of another file",
		"import --store sqlite:x " + t.TempDir():                ": it cannot be read: is a directory",
		"import":                                                "name one file",
		"import a b":                                            "name one file",
		"import --take hearts=x " + file:                        "views, visitors or claps",
		"import --from redis://a x":                             "takes no file",
		"import --from redis://a --pattern likes":               "site/metric/key",
		"import --from redis://a --topic a/b/c":                 "have a * for the part that differs",
		"import --from tcp://a --pattern a* --topic a/b/{1}":    "redis://host",
		"import --store sqlite:/nowhere/x /nowhere/y":           "cannot be read",
		"import --topic blog/likes --store sqlite:x " + file:    "site/metric/key",
		"import --format goatcounter --store sqlite:x " + file:  "1Path or 2Path",
		"copy --from sqlite:x":                                  "name two stores",
		"copy --from sqlite:x --to sqlite:x":                    "the same store",
		"copy --from sqlite:/nowhere/x --to sqlite:/nowhere/y":  "does not exist",
		"backup":                             "name one file",
		"backup --store sqlite:/nowhere/x y": "does not exist",
	} {
		code, out, errors := call(t, variables(), strings.Fields(args)...)
		if code == exitOK || out != "" || !strings.Contains(errors, want) {
			t.Errorf("%s: exit %d, lacks %q: %s%s", args, code, want, out, errors)
		}
	}
}

// A compressed export with its secret restores into a new store also through a pipe, which
// can be read once.
func TestImport_Pipe(t *testing.T) {
	t.Parallel()
	path, pipe := tempFile(t, "counts.jsonl.gz"), tempFile(t, "pipe")
	mustRun(t, "export", "--store", storeWith(t, "default/likes/x"), "--with-secret", path)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	go func() { // ends when the import has read the pipe
		_ = os.WriteFile(pipe, text, 0o600)
	}()
	if out := mustRun(t, "import", "--format", "jsonl", "--store", sqlite(t), pipe); !strings.Contains(out, "1 topic and 0 contributions imported") {
		t.Error(out)
	}
}
