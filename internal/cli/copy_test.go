package cli

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

func TestCopy_RedisAndBack(t *testing.T) {
	t.Parallel()
	from, back := sqlite(t), sqlite(t)
	redis := redistest.Start(t, redistest.Options{})
	text := "topic,count\n"
	for i := range 40 {
		text += fmt.Sprintf("blog/likes/posts/%d,%d\n", i, i)
	}
	mustRun(t, "import", "--store", from, write(t, "seeds.csv", text))
	r := start(t, variables(), "--store", from, "--drain", "0s", "--site", "blog", "--rate-limit", "off", "--topic-limit", "off")
	for i := range 60 {
		send(t, "POST", fmt.Sprintf("%s/v1/blog/likes/posts/%d", r.public, i%7), fmt.Sprintf("visitor-%d", i))
	}
	for _, pair := range [][2]string{{from, redis.URL(0)}, {redis.URL(0), back}, {back, redis.URL(0)}} {
		out := mustRun(t, "copy", "--from", pair[0], "--to", pair[1])
		if !strings.Contains(out, "40 topics and 60 contributions copied") || !strings.Contains(out, "Both stores have the same") {
			t.Errorf("%v: %s", pair, out)
		}
	}
	var want []string
	for i := range 40 {
		n := i
		if i < 7 {
			n += 60/7 + min(1, max(0, 60%7-i))
		}
		want = append(want, fmt.Sprintf("blog/likes/posts/%d,%d", i, n))
	}
	checkCounts(t, back, want...)
	// Missing data is reported by topic.
	mustRun(t, "import", "--store", back, "--as", "adjustment", write(t, "x.csv", "topic,count\nblog/likes/posts/3,5\n"))
	code, out, errors := call(t, variables(), "copy", "--from", from, "--to", back)
	if code != exitOK || !strings.Contains(out, "1 topic had data in the target before the copy; the target now has more than the source") || !strings.Contains(out, "blog/likes/posts/3  adjustment: 0 in the source, 5 in the target") {
		t.Errorf("exit %d, %s%s", code, out, errors)
	}
	mustRun(t, "copy", "--from", from, "--to", back, "--mode", "replace")
	checkCounts(t, back, want...)
	// The same store by another name is refused.
	for store, alias := range map[string]string{redis.URL(0): strings.Replace(redis.URL(0), "127.0.0.1", "localhost", 1), back: strings.Replace(back, "/tally.db", "/./tally.db", 1)} {
		if alias == store {
			t.Fatalf("%s has no other name", store)
		}
		code, _, errors := call(t, variables(), "copy", "--from", store, "--to", alias, "--mode", "replace")
		if code != exitFailure || !strings.Contains(errors, "one store with two names") {
			t.Errorf("from %s to %s: exit %d, %s", store, alias, code, errors)
		}
	}
	other := sqlite(t)
	mustRun(t, "import", "--store", other, write(t, "x.csv", "topic,count\nblog/likes/a,5\n"))
	if code, _, errors := call(t, variables(), "copy", "--from", from, "--to", other); code != exitFailure || !strings.Contains(errors, "secret") {
		t.Errorf("to a store with another secret: exit %d, %s", code, errors)
	}
}

func TestCopy_SourceChanges(t *testing.T) {
	t.Parallel()
	from, to := sqlite(t), sqlite(t)
	text := "topic,count\n"
	for i := range 500 {
		text += fmt.Sprintf("blog/likes/posts/%d,%d\n", i, i)
	}
	mustRun(t, "import", "--store", from, write(t, "seeds.csv", text))
	r := start(t, variables(), "--store", from, "--drain", "0s", "--site", "blog", "--rate-limit", "off", "--topic-limit", "off")
	stop := make(chan struct{})
	likes := likesWhile(t, "blog/likes/posts/1", stop, r.public)
	eventually(t, "a copy of what changes", func() bool {
		code, out, errors := call(t, variables(), "copy", "--from", from, "--to", to)
		if code != exitOK && code != exitChanged || (code == exitChanged) != strings.Contains(out, "changed in the source during the copy") {
			t.Fatalf("exit %d, %s%s", code, out, errors)
		}
		return code == exitChanged
	})
	close(stop)
	want := likes() + 1
	mustRun(t, "copy", "--from", from, "--to", to)
	code, out, _ := call(t, variables(), "export", "--store", to, "--scope", "blog/likes/posts/1", "--format", "csv")
	if line := fmt.Sprintf("blog/likes/posts/1,%d\n", want); code != exitOK || !strings.Contains(out, line) {
		t.Errorf("exit %d, lacks %q", code, line)
	}
}

func TestBackup_Restore(t *testing.T) {
	t.Parallel()
	from, to := sqlite(t), tempFile(t, "backup.db")
	r := start(t, variables(), "--store", from, "--drain", "0s")
	for i := range 20 {
		send(t, "POST", r.public+"/v1/default/likes/a", fmt.Sprintf("visitor-%d", i))
	}
	if out := mustRun(t, "backup", "--store", from, to); !strings.Contains(out, "1 topic and 20 contributions") {
		t.Error(out)
	}
	if left, _ := filepath.Glob(to + "-*"); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
	if code, _, errors := call(t, variables(), "backup", "--store", from, to); code != exitFailure || !strings.Contains(errors, "--force replaces it") {
		t.Errorf("a second time: exit %d, %s", code, errors)
	}
	if code, _, errors := call(t, variables(), "restore", "--store", from, to); code != exitFailure || !strings.Contains(errors, "in use") {
		t.Errorf("over a store that is held: exit %d, %s", code, errors)
	}
	for i := range 3 {
		send(t, "POST", r.public+"/v1/default/likes/b", fmt.Sprintf("visitor-%d", i))
	}
	r.stop()
	r.waitExit(t)
	if out := mustRun(t, "restore", "--store", from, to); !strings.Contains(out, "1 topic in ") || !strings.Contains(out, "The replaced store is now ") {
		t.Error(out)
	}
	checkCounts(t, from, "default/likes/a,20")
	before, _ := filepath.Glob(strings.TrimPrefix(from, "sqlite:") + ".before-*Z")
	if len(before) != 1 {
		t.Fatalf("before is %v", before)
	}
	checkCounts(t, "sqlite:"+before[0], "default/likes/a,20", "default/likes/b,3")
	for args, want := range map[string]string{"restore": "name the backup", "restore --store redis://a x.db": "tallycast import"} {
		if code, _, errors := call(t, variables(), strings.Fields(args)...); code != exitUsage || !strings.Contains(errors, want) {
			t.Errorf("%s: exit %d, lacks %q: %s", args, code, want, errors)
		}
	}
	again := start(t, variables(), "--store", "sqlite:"+to, "--drain", "0s")
	if a := send(t, "POST", again.public+"/v1/default/likes/a", "visitor-3"); a.Changed || a.Count != 20 {
		t.Errorf("%+v", a)
	}
	if code, _, errors := call(t, variables(), "backup", "--store", "redis://127.0.0.1:1", to); code != exitUsage || !strings.Contains(errors, "appendonly yes") {
		t.Errorf("of a Redis: exit %d, %s", code, errors)
	}
}
