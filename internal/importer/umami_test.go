package importer_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tallycast/tallycast/internal/importer"
)

// Versions of Umami and databases write different columns.
func TestUmami_Columns(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want []string
	}{
		"PostgreSQL before hostnames": {"event_id,website_id,session_id,created_at,url_path,url_query,referrer_path,page_title,event_type,event_name\n" +
			"e,w,s1,2026,/x,,,,1,\ne,w,s1,2026,/x,a=1,,,1,\ne,w,s2,2026,/x,,,,2,signup\n", []string{"views/site 2", "views/x 2", "visitors/site 1", "visitors/x 1"}},
		"without a query":     {"website_id,session_id,hostname,url_path,event_type\nw,s1,a.example,/x,1\n", []string{"views/site 1", "views/x 1", "visitors/site 1", "visitors/x 1"}},
		"neither":             {"session_id,url_path,event_type\ns1,/x,1\n", []string{"views/site 1", "views/x 1", "visitors/site 1", "visitors/x 1"}},
		"the table of v1":     {"view_id,website_id,session_id,created_at,url,referrer\n1,1,7,2026,/x?a=1,\n2,1,8,2026,/,\n", []string{"views/index 1", "views/site 2", "views/x 1", "visitors/index 1", "visitors/site 2", "visitors/x 1"}},
		"MySQL":               {"website_id\tsession_id\thostname\turl_path\turl_query\tevent_type\nw\ts1\tNULL\t/x\tNULL\t1\nw\ts1\t\\N\t/x\t\\N\t1\n", []string{"views/site 2", "views/x 2", "visitors/site 1", "visitors/x 1"}},
		"no event type":       {"session_id,url_path,event_name\ns1,/x,\ns1,/x,signup\n", []string{"views/site 1", "views/x 1", "visitors/site 1", "visitors/x 1"}},
		"other case":          {"Session_ID;URL_Path;Event_Type\ns1;/x;1\n", []string{"views/site 1", "views/x 1", "visitors/site 1", "visitors/x 1"}},
		"the cloud's archive": {archived(t, map[string]string{"website_event.csv": "session_id,url_path,event_type\ns1,/x,1\n", "session.csv": "x\n", "event_data.csv": "x\n"}), []string{"views/site 1", "views/x 1", "visitors/site 1", "visitors/x 1"}},
		"the overview's":      {archived(t, map[string]string{"pages.csv": "x,y\r\n/x,\"1,234,567\"\r\n", "events.csv": "x,y\r\n"}), []string{"views/x 1234567"}},
	} {
		found, err := importer.ReadUmami(file(test.text), mapping())
		var got []string
		for _, each := range texts(found) {
			got = append(got, strings.TrimPrefix(each, "blog/"))
		}
		if err != nil || !slices.Equal(got, test.want) || found.Refused > 0 {
			t.Errorf("%s: %q, %v, %v", name, got, found.Refusals, err)
		}
	}
}

func TestUmami_Hosts(t *testing.T) {
	events := func(hosts ...string) string {
		text := "website_id,session_id,hostname,url_path,event_type\n"
		for i, host := range hosts {
			website, host, _ := strings.Cut(host, "|")
			text += fmt.Sprintf("%s,s%d,%s,/x,1\n", website, i, host)
		}
		return text
	}
	for name, test := range map[string]struct {
		text string
		how  importer.Mapping
		want string // of views/x
		err  string
	}{
		"an empty host beside one":  {events("w|a.example", "w|", "w|A.EXAMPLE.", "w|a.example:443"), importer.Mapping{}, "4", ""},
		"an empty host beside two":  {events("w|a.example", "w|", "w|b.example"), importer.Mapping{}, "", "several hosts: a.example (1), b.example (1)"},
		"of two, one with an empty": {events("w|a.example", "w|", "w|b.example"), importer.Mapping{Hosts: []string{"a.example"}}, "1", ""},
		"both, with an empty":       {events("w|a.example", "w|", "w|b.example"), importer.Mapping{Hosts: []string{"a.example", "b.example"}}, "3", ""},
		"www and apex":              {events("w|www.a.example", "w|a.example", "w|b.example"), importer.Mapping{Hosts: []string{"a.example", "www.a.example"}}, "2", ""},
		"a host that is not there":  {events("w|a.example"), importer.Mapping{Hosts: []string{"c.example"}}, "", "no page of c.example; it has pages of a.example (1)"},
		"hosts, and none is named":  {events("w|", "w|"), importer.Mapping{Hosts: []string{"c.example"}}, "2", ""},
		"several websites":          {events("v|", "w|", "w|"), importer.Mapping{}, "", "several websites: w (2), v (1); name with --website"},
		"one of several websites":   {events("v|", "w|", "w|"), importer.Mapping{Websites: []string{"w"}}, "2", ""},
		"websites by their hosts":   {events("v|b.example", "w|a.example"), importer.Mapping{Hosts: []string{"a.example"}}, "1", ""},
		"a website not there":       {events("v|"), importer.Mapping{Websites: []string{"w"}}, "", "no page of the website"},
		"no rows":                   {events(), importer.Mapping{}, "", "has no rows"},
	} {
		test.how.Site, test.how.Metrics = "blog", map[string]string{"views": "views"}
		found, err := importer.ReadUmami(file(test.text), test.how)
		switch {
		case test.err != "":
			if err == nil || !strings.Contains(err.Error(), test.err) {
				t.Errorf("%s: %q, %v", name, texts(found), err)
			}
		case err != nil || !slices.Contains(texts(found), "blog/views/x "+test.want):
			t.Errorf("%s: %q, %v", name, texts(found), err)
		}
	}
	for text, want := range map[string]string{"Blog.Example.COM": "blog.example.com", "https://a.example/x": "a.example", "a.example.": "a.example", "a.example:8080": "a.example", "[::1]:80": "[::1]"} {
		if got, err := importer.ParseHost(text); err != nil || got != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "a.example/x", "*.example", "a b", "https://"} {
		if got, err := importer.ParseHost(text); err == nil {
			t.Errorf("%q: %q", text, got)
		}
	}
}
