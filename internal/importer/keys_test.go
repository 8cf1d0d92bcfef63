package importer

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// keyList is a keyspace of these keys.
type keyList []key

func (l keyList) scan(_ context.Context, _ pattern, each func(key) error) error {
	for _, key := range append(l, l...) { // twice, as SCAN may
		if err := each(key); err != nil {
			return err
		}
	}
	return nil
}

func TestReadKeys_Topics(t *testing.T) {
	for _, test := range []struct{ pattern, topic, key, want string }{
		{"adowise:blog:likes:*", "blog/likes/{1}", "adowise:blog:likes:hello-world", "blog/likes/hello-world"},
		{"adowise:blog:likes:*", "blog/likes/{1}", "adowise:blog:likes:a:b", "blog/likes/a:b"},
		{"adowise:blog:likes:*", "blog/likes/{1}", "adowise:shop:likes:a", ""},
		{"*:likes:*", "blog/likes/{1}/{2}", "a:likes:b", "blog/likes/a/b"},
		{"*:likes:*", "blog/likes/{2}", "a:likes:b", "blog/likes/b"},
		{"page?[x]:*", "blog/likes/{1}", "page?[x]:/posts/hello/index.html", "blog/likes/posts/hello"},
		{"page?[x]:*", "blog/likes/{1}", "pages[x]:a", ""},
	} {
		patterns, err := ParseKeyPatterns(test.pattern, test.topic, "")
		if err != nil {
			t.Fatal(err)
		}
		found, err := readKeys(t.Context(), keyList{{name: test.key, kind: "string", text: "5"}}, patterns)
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
	patterns, err := ParseKeyPatterns("v:*", "blog/views/{1}", "")
	if err != nil {
		t.Fatal(err)
	}
	var keys keyList
	for i, name := range []string{"https://a.example/x", "https://www.a.example/x?a=1", "//B.example/x", "/x"} {
		keys = append(keys, key{name: "v:" + name, kind: "string", text: fmt.Sprint(1 << i)})
	}
	if _, err := readKeys(t.Context(), keys, patterns); err == nil || !strings.Contains(err.Error(), "several hosts: a.example (1), b.example (1), www.a.example (1)") {
		t.Error(err)
	}
	patterns.Hosts = []string{"a.example", "b.example"}
	found, err := readKeys(t.Context(), keys, patterns)
	if err != nil || len(found.Counts) != 1 || found.Counts[0].Count != 5 || !strings.Contains(strings.Join(found.Notes, ""), "www.a.example (1)") {
		t.Errorf("%v, %q, %v", found.Counts, found.Notes, err)
	}
}

func TestParseKeyPatterns_Invalid(t *testing.T) {
	for _, test := range [][3]string{
		{"likes", "blog/likes/{1}", ""}, {"", "blog/likes/x", ""}, {"likes", "blog/likes", ""}, {"likes", "blog/likes/x", "seen:*"}, {"likes:*", "blog/likes", ""}, {"likes:*", "blog/likes/{2}", ""}, {"likes:*", "blog/likes/all", ""},
		{"likes:*", "Blog/likes/{1}", ""}, {"likes:*", "blog/likes/{x}", ""}, {"likes:*", "blog/likes/{1}", "seen"}, {"likes:*", "blog/likes/{1}", "*:seen:*"},
	} {
		if _, err := ParseKeyPatterns(test[0], test[1], test[2]); err == nil {
			t.Errorf("%q is accepted", test)
		}
	}
}
