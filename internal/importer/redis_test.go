package importer_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/tallycast/tallycast/internal/importer"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Keys hold the likes of posts, and other keys their visitors.
func TestReadKeys_LikesAndVisitors(t *testing.T) {
	server := redistest.Start(t, redistest.Options{Password: "a-password"})
	const posts = 1200 // more than one SCAN returns
	for i := range posts {
		server.Do("SET", fmt.Sprintf("adowise:blog:likes:post-%d", i), i)
	}
	server.Do("INCR", "adowise:blog:likes:posts/hello/")
	server.Do("SET", "adowise:blog:likes:text", "many")
	server.Do("SET", "adowise:blog:likes:negative", "-3")
	server.Do("HSET", "adowise:blog:likes:hash", "a", "1")
	server.Do("SADD", "adowise:blog:likes:set", "a", "b")
	server.Do("SET", "adowise:blog:likes:a//b", "1")
	server.Do("SET", "adowise:shop:likes:post-1", "1")
	server.Do("SADD", "adowise:blog:visitors:post-2", "a", "b")
	server.Do("SADD", "adowise:blog:visitors:post-3", "a", "b")
	server.Do("PFADD", "adowise:blog:visitors:post-4", "a", "b", "c", "d")
	server.Do("ZADD", "adowise:blog:visitors:post-5", "1", "a")
	server.Do("HSET", "adowise:blog:visitors:post-6", "a", "1")
	server.Do("SADD", "adowise:blog:visitors:elsewhere", "a")
	server.Do("SET", "adowise:blog:visitors:post-7", "7")

	options, err := importer.ParseKeyPatterns("adowise:blog:likes:*", "blog/likes/{1}", "adowise:blog:visitors:*")
	if err != nil {
		t.Fatal(err)
	}
	before := server.Do("DBSIZE")
	found, err := importer.ReadKeys(t.Context(), server.URL(0), options)
	if err != nil {
		t.Fatal(err)
	}
	if sum, seen := found.Sum(); len(found.Counts) != posts+1 || sum != posts*(posts-1)/2+1 || seen != 2+2+4+1+1 {
		t.Errorf("%d topics, together %d, and %d seen", len(found.Counts), sum, seen)
	}
	at := slices.IndexFunc(found.Counts, func(c importer.Count) bool { return c.Topic.Key() == "post-3" })
	if at < 0 || found.Counts[at].Count != 3 || found.Counts[at].Seen != 2 {
		t.Errorf("post-3 is %+v", found.Counts[at])
	}
	if !slices.ContainsFunc(found.Counts, func(c importer.Count) bool { return c.Topic.Key() == "posts/hello" && c.Seen < 0 }) {
		t.Error("posts/hello/ is not posts/hello")
	}
	for _, reason := range []string{
		`"adowise:blog:likes:text" holds no count: "many"`, `"adowise:blog:likes:negative" holds no count: "-3"`, `"adowise:blog:likes:hash" is a hash`,
		`"adowise:blog:likes:set" is a set`, `"adowise:blog:likes:a//b" names no topic`,
	} {
		if !slices.ContainsFunc(found.Refusals, func(r importer.Refusal) bool { return strings.Contains(r.Reason, reason) }) {
			t.Errorf("no refusal says %s: %v", reason, found.Refusals)
		}
	}
	if found.Refused != 5 || found.Skipped["keys of visitors of topics without a count"] != 1 || found.Skipped["keys of visitors that hold none"] != 1 {
		t.Errorf("%d keys are refused, and skipped: %v", found.Refused, found.Skipped)
	}
	if after := server.Do("DBSIZE"); after != before {
		t.Errorf("the Redis had %v keys and has %v", before, after)
	}
}

// A pattern without * names one key, such as the visitors of a site.
func TestReadKeys_OneKey(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	server.Do("SET", "visitors:count", "1234")
	server.Do("SET", "visitors:count2", "1")
	server.Do("SADD", "visitors:seen", "a", "b")
	server.Do("PFADD", "visitors:hll", "a", "b", "c")
	server.Do("SET", "likes:{x}", "2.000")
	read := func(pattern, topic, seen string) (importer.Result, error) {
		t.Helper()
		options, err := importer.ParseKeyPatterns(pattern, topic, seen)
		if err != nil {
			t.Fatal(err)
		}
		return importer.ReadKeys(t.Context(), server.URL(0), options)
	}
	found, err := read("visitors:count", "blog/visitors/site", "visitors:seen")
	if err != nil || len(found.Counts) != 1 || found.Counts[0].Topic.String() != "blog/visitors/site" || found.Counts[0].Count != 1234 || found.Counts[0].Seen != 2 {
		t.Errorf("%+v, %v", found, err)
	}
	if _, err := read("visitors:none", "blog/visitors/site", ""); err == nil || !strings.Contains(err.Error(), `no key matches "visitors:none"`) {
		t.Error(err)
	}
	if found, err := read("visitors:seen", "blog/visitors/site", ""); err != nil || found.Refused != 1 || !strings.Contains(found.Refusals[0].Reason, "is a set") {
		t.Errorf("%+v, %v", found, err)
	}
	if found, err := read("likes:{x}", "blog/likes/x", ""); err != nil || found.Refused != 1 || !strings.Contains(found.Refusals[0].Reason, "can be read as 2000") {
		t.Errorf("%+v, %v", found, err)
	}
}

func TestReadKeys_UnreadableRedis(t *testing.T) {
	server := redistest.Start(t, redistest.Options{Password: "a-password", Users: []string{"reader on >secret ~* +@connection +scan +type"}})
	server.Do("SET", "likes:a", "1")
	options, err := importer.ParseKeyPatterns("likes:*", "blog/likes/{1}", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{server.URLAs("", "wrong", 0), server.URLAs("reader", "secret", 0), "redis://127.0.0.1:1", server.URL(1)} {
		if found, err := importer.ReadKeys(t.Context(), url, options); err == nil {
			t.Errorf("%s: %+v", url, found)
		}
	}
	for _, url := range []string{"", "sqlite:x", "redis+cluster://a,b", "redis://user:secret@host:port:1/x"} {
		if _, err := importer.ReadKeys(t.Context(), url, options); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", url, err)
		}
	}
}
