package importer_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tallycast/tallycast/internal/importer"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

func TestReadKeys_Topics(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	for _, test := range []struct{ pattern, topic, key, want string }{
		{"adowise:blog:likes:*", "blog/likes/{1}", "adowise:blog:likes:hello-world", "blog/likes/hello-world"},
		{"adowise:blog:likes:*", "blog/likes/{1}", "adowise:blog:likes:a:b", "blog/likes/a:b"},
		{"adowise:blog:likes:*", "blog/likes/{1}", "adowise:shop:likes:a", ""},
		{"*:likes:*", "blog/likes/{1}/{2}", "a:likes:b", "blog/likes/a/b"},
		{"*:likes:*", "blog/likes/{2}", "a:likes:b", "blog/likes/b"},
		{"page?[x]:*", "blog/likes/{1}", "page?[x]:/posts/hello/index.html", "blog/likes/posts/hello"},
		{"page?[x]:*", "blog/likes/{1}", "pages[x]:a", ""},
	} {
		patterns, err := importer.ParseKeyPatterns(test.pattern, test.topic, "")
		if err != nil {
			t.Fatal(err)
		}
		server.Do("FLUSHALL")
		server.Do("SET", test.key, 5)
		found, err := importer.ReadKeys(t.Context(), server.URL(0), patterns)
		if test.want == "" {
			if err == nil {
				t.Errorf("%s matched %q", test.pattern, test.key)
			}
			continue
		}
		if err != nil || len(found.Counts) != 1 || found.Counts[0].Topic.String() != test.want || found.Counts[0].Count != 5 {
			t.Errorf("%s of %q: %v, %v, %v", test.pattern, test.key, found.Counts, found.Refusals, err)
		}
	}
}

// Keys with URLs of several hosts are not added up unless --host names the hosts.
func TestReadKeys_Hosts(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	patterns, err := importer.ParseKeyPatterns("v:*", "blog/views/{1}", "")
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"https://a.example/x", "https://www.a.example/x?a=1", "//B.example/x", "/x"} {
		server.Do("SET", "v:"+name, fmt.Sprint(1<<i))
	}
	if _, err := importer.ReadKeys(t.Context(), server.URL(0), patterns); err == nil || !strings.Contains(err.Error(), "several hosts: a.example (1), b.example (1), www.a.example (1)") {
		t.Error(err)
	}
	patterns.Hosts = []string{"a.example", "b.example"}
	found, err := importer.ReadKeys(t.Context(), server.URL(0), patterns)
	if err != nil || len(found.Counts) != 1 || found.Counts[0].Count != 5 || !strings.Contains(strings.Join(found.Notes, ""), "www.a.example (1)") {
		t.Errorf("%v, %q, %v", found.Counts, found.Notes, err)
	}
}

func TestParseKeyPatterns_Invalid(t *testing.T) {
	for _, test := range [][3]string{
		{"likes", "blog/likes/{1}", ""}, {"", "blog/likes/x", ""}, {"likes", "blog/likes", ""}, {"likes", "blog/likes/x", "seen:*"}, {"likes:*", "blog/likes", ""}, {"likes:*", "blog/likes/{2}", ""}, {"likes:*", "blog/likes/all", ""},
		{"likes:*", "Blog/likes/{1}", ""}, {"likes:*", "blog/likes/{x}", ""}, {"likes:*", "blog/likes/{1}", "seen"}, {"likes:*", "blog/likes/{1}", "*:seen:*"},
	} {
		if _, err := importer.ParseKeyPatterns(test[0], test[1], test[2]); err == nil {
			t.Errorf("%q is accepted", test)
		}
	}
}
