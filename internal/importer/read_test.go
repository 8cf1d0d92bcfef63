package importer_test

import (
	"archive/zip"
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/encoding/unicode"

	"github.com/tallycast/tallycast/internal/importer"
)

// archived returns a zip archive of files by their names.
func archived(t testing.TB, files map[string]string) string {
	t.Helper()
	var out bytes.Buffer
	archive := zip.NewWriter(&out)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		w, err := archive.Create(name)
		if err == nil {
			_, err = io.WriteString(w, files[name])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// goatArchive returns a JSON export as GoatCounter 2.7 writes it, below a folder, with
// some files replaced; an empty text removes one.
func goatArchive(t testing.TB, folder string, replaced map[string]string) string {
	t.Helper()
	files := map[string]string{
		"info.json": "{\n  \"export_version\": \"1.0\",\n  \"goatcounter_version\": \"2.7\",\n  \"created_for\": \"stats.example.com\",\n  \"created_by\": \"user_id=1 <a@example.com>\",\n  \"created_at\": \"2026-03-07T16:49:27Z\"\n}\n",
		"paths.jsonl": `{"id":211,"path":"/","title":"Home page"}
{"id":215,"path":"/posts/hello","title":"Hello"}
{"id":216,"path":"/posts/hello/index.html?utm=x","title":""}
{"id":217,"path":"/posts/caf%C3%A9","title":"Café"}
{"id":1442298,"path":"click-banana","title":"Yellow curvy fruit","event":true}
`,
		"hit_stats.jsonl": `{"hour":"2026-03-05T19:00:00Z","path_id":211,"ref_id":1,"count":4}
{"hour":"2026-03-05T19:00:00Z","path_id":215,"ref_id":1,"count":1}
{"hour":"2026-03-07T15:00:00Z","path_id":215,"ref_id":30563812,"count":3}
{"hour":"2026-03-07T15:00:00Z","path_id":216,"ref_id":1,"count":2}
{"hour":"2026-03-07T15:00:00Z","path_id":217,"ref_id":1,"count":1000}
{"hour":"2026-03-07T15:00:00Z","path_id":1442298,"ref_id":1,"count":9}
`,
		"refs.jsonl":          `{"id":1,"ref":"","ref_scheme":"o"}` + "\n",
		"browser_stats.jsonl": `{"day":"2026-03-05","path_id":211,"browser_id":1,"count":4}` + "\n",
	}
	maps.Copy(files, replaced)
	within := map[string]string{}
	for name, text := range files {
		if text != "" {
			within[folder+name] = text
		}
	}
	return archived(t, within)
}

func TestGoatCounter_JSONExport(t *testing.T) {
	want := []string{"blog/visitors/index 4", "blog/visitors/posts/café 1000", "blog/visitors/posts/hello 6"}
	for _, folder := range []string{"", "goatcounter-export-x-20260307T164927Z/"} {
		text := goatArchive(t, folder, nil)
		found, err := importer.ReadGoatCounter(file(text), naming())
		if err != nil || !slices.Equal(texts(found), want) || found.Refused != 0 || found.Entries != 6 || found.Skipped["events"] != 1 {
			t.Errorf("%q: %q, %+v, %v", folder, texts(found), found, err)
		}
		if len(found.Notes) != 1 || !strings.Contains(found.Notes[0], "--take visitors=views") {
			t.Errorf("notes are %q", found.Notes)
		}
		if format := importer.FormatOf(file(text)); format != "goatcounter" {
			t.Errorf("the format is %q", format)
		}
	}
	asViews := naming()
	asViews.Metrics = map[string]string{"visitors": "views"}
	if found, err := importer.ReadGoatCounter(file(goatArchive(t, "", nil)), asViews); err != nil || texts(found)[0] != "blog/views/index 4" {
		t.Errorf("%q, %v", texts(found), err)
	}
}

// A line that is not understood is named by file and line, and the rest goes on.
func TestGoatCounter_JSONExportInvalidLines(t *testing.T) {
	text := goatArchive(t, "", map[string]string{
		"info.json":   `{"export_version": 1.0}`,
		"paths.jsonl": "{\"id\":1,\"path\":\"/a\",\"event\":false}\nnull\n\n{\"id\":1,\"path\":\"/b\"}\n{\"id\":2}\n{\"id\":3,\"path\":\"/%zz\"}\n{\"id\":4,\"path\":\"e\",\"event\":1}\n",
		"hit_stats.jsonl": "{\"path_id\":1,\"count\":5}\n{\"path_id\":9,\"count\":5}\n{\"path_id\":1,\"count\":-1}\n{\"path_id\":1,\"count\":1.5}\n{\"path_id\":1}\n[]\nx\n" +
			"{\"path_id\":3,\"count\":1}\n{\"path_id\":1,\"count\":\"7\"}\n{\"path_id\":4,\"count\":7}\n{\"path_id\":1,\"count\":99999999999999999999}\n{\"path_id\":1,\"count\":2}",
	})
	found, err := importer.ReadGoatCounter(file(text), naming())
	var refused []string
	for _, r := range found.Refusals {
		refused = append(refused, fmt.Sprintf("%s:%d", r.File, r.Line))
	}
	want := []string{"paths.jsonl:2", "paths.jsonl:4", "paths.jsonl:5", "hit_stats.jsonl:2", "hit_stats.jsonl:3", "hit_stats.jsonl:4", "hit_stats.jsonl:5", "hit_stats.jsonl:6", "hit_stats.jsonl:7", "hit_stats.jsonl:8", "hit_stats.jsonl:11"}
	if err != nil || !slices.Equal(texts(found), []string{"blog/visitors/a 14"}) || !slices.Equal(refused, want) {
		t.Errorf("%q, %q, %v", texts(found), refused, err)
	}
}

func TestGoatCounter_JSONExportRefused(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want string
	}{
		"no info":         {goatArchive(t, "", map[string]string{"info.json": ""}), "lacks info.json"},
		"no paths":        {goatArchive(t, "", map[string]string{"paths.jsonl": ""}), "lacks paths.jsonl"},
		"no hits":         {goatArchive(t, "", map[string]string{"hit_stats.jsonl": ""}), "lacks hit_stats.jsonl"},
		"no visits":       {goatArchive(t, "", map[string]string{"hit_stats.jsonl": "\n"}), "has no visits"},
		"another version": {goatArchive(t, "", map[string]string{"info.json": `{"export_version": "2.0"}`}), "version 2.0, and version 1 is known"},
		"no version":      {goatArchive(t, "", map[string]string{"info.json": `{}`}), "version"},
		"no JSON":         {goatArchive(t, "", map[string]string{"info.json": `x`}), "info.json: "},
		"another archive": {archived(t, map[string]string{"a.txt": "x"}), "lacks info.json"},
		"an empty zip":    {archived(t, nil), "lacks info.json"},
		"a cut zip":       {goatArchive(t, "", nil)[:200], "cannot be read as a zip archive"},
		"twice":           {archived(t, map[string]string{"a/info.json": "{}", "b/info.json": "{}"}), "two files info.json"},
		"a long line":     {goatArchive(t, "", map[string]string{"hit_stats.jsonl": "{\"path_id\":1,\"count\":1}\n" + strings.Repeat(" ", 2<<20)}), "hit_stats.jsonl line 2: the line is longer"},
	} {
		found, err := importer.ReadGoatCounter(file(test.text), naming())
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, %v", name, found, err)
		}
	}
	how := naming()
	how.Metrics = map[string]string{"views": "views"}
	if _, err := importer.ReadGoatCounter(file(goatArchive(t, "", nil)), how); err == nil || !strings.Contains(err.Error(), "--take visitors=") {
		t.Error(err)
	}
}

// memoryOf returns how much memory do takes, in bytes.
func memoryOf(do func()) int64 {
	used := func() int64 {
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return int64(stats.Sys) - int64(stats.HeapReleased)
	}
	defer debug.SetGCPercent(debug.SetGCPercent(20)) // garbage shall not count
	debug.FreeOSMemory()
	before := used()
	do()
	return used() - before
}

// An archive that unpacks to much takes as much memory as one that does not.
func TestGoatCounter_ZipBombs(t *testing.T) {
	const line = `{"hour":"2026-03-05T19:00:00Z","path_id":211,"ref_id":1,"count":1}` + "\n"
	long := func() string { return strings.Repeat("0", 8<<20) }
	for name, test := range map[string]struct {
		file   string
		text   func() string
		isGood bool
	}{
		"many lines":   {"hit_stats.jsonl", func() string { return strings.Repeat(line, 30_000) }, true},
		"a long line":  {"hit_stats.jsonl", long, false},
		"a long path":  {"paths.jsonl", long, false},
		"a long info":  {"info.json", func() string { return `{"x":"` + long() }, false},
		"another file": {"browser_stats.jsonl", long, true},
	} {
		text := goatArchive(t, "", map[string]string{test.file: test.text()})
		var err error
		taken := memoryOf(func() { _, err = importer.ReadGoatCounter(file(text), naming()) })
		if (err == nil) != test.isGood {
			t.Errorf("%s: %v", name, err)
		}
		if taken > 7<<20 {
			t.Errorf("%s: it took %d MB", name, taken>>20)
		}
	}
}

func TestGoatCounter_CSVWithoutViews(t *testing.T) {
	const header = "2Path,Title,Event,UserAgent,Browser,System,Session,Bot,Referrer,Referrer scheme,Screen size,Location,FirstVisit,Date\n"
	for _, text := range []string{header, header + "\n\n", strings.TrimSpace(header)} {
		if found, err := importer.ReadGoatCounter(file(text), naming()); err == nil || !strings.Contains(err.Error(), "no pageviews") {
			t.Errorf("%q: %v, %v", text, found, err)
		}
	}
}

// Paths of sites with several domains begin with a host, which selects and is removed.
func TestGoatCounter_Hosts(t *testing.T) {
	csv := func(paths ...string) string {
		text := "2Path,Title,Event,UserAgent,Browser,System,Session,Bot,Referrer,Referrer scheme,Screen size,Location,FirstVisit,Date\n"
		for i, path := range paths {
			text += fmt.Sprintf("%s,,false,,,,s%d,0,,,,,true,\n", path, i)
		}
		return text
	}
	json := func(paths ...string) string {
		lines, hits := "", ""
		for i, path := range paths {
			lines += fmt.Sprintf("{\"id\":%d,\"path\":%q,\"title\":\"\"}\n", i, path)
			hits += fmt.Sprintf("{\"path_id\":%d,\"ref_id\":1,\"count\":1}\n", i)
		}
		return goatArchive(t, "x/", map[string]string{"paths.jsonl": lines, "hit_stats.jsonl": hits})
	}
	two := []string{"/a.example/posts/x", "/a.example", "/b.example/posts/x", "/www.a.example/posts/x", "/A.Example/posts/x"}
	for name, test := range map[string]struct {
		paths []string
		hosts []string
		want  []string
		err   string
		note  string
	}{
		"one of several":            {two, []string{"a.example"}, []string{"index 1", "posts/x 2"}, "", "b.example (1), www.a.example (1)"},
		"another":                   {two, []string{"b.example"}, []string{"posts/x 1"}, "", "a.example (3)"},
		"www and apex":              {two, []string{"www.a.example", "a.example"}, []string{"index 1", "posts/x 3"}, "", "b.example (1)"},
		"none of them":              {two, []string{"c.example"}, nil, "no page of c.example; it has pages of a.example (3), b.example (1), www.a.example (1)", ""},
		"one of them missing":       {two, []string{"c.example", "b.example"}, []string{"posts/x 1"}, "", "No page is of c.example."},
		"several and none said":     {two, nil, nil, "several hosts: a.example (3)", ""},
		"a single host":             {[]string{"/a.example/x", "/a.example"}, nil, []string{"index 1", "x 1"}, "", ""},
		"without a slash":           {[]string{"a.example/x", "a.example"}, []string{"a.example"}, []string{"index 1", "x 1"}, "", ""},
		"with a port":               {[]string{"/a.example:8080/x"}, []string{"a.example"}, []string{"x 1"}, "", ""},
		"no hosts":                  {[]string{"/x", "/robots.txt", "/"}, []string{"a.example"}, []string{"index 1", "robots.txt 1", "x 1"}, "", ""},
		"a file alone":              {[]string{"/feed.xml", "/index.html"}, nil, []string{"feed.xml 1", "index 1"}, "", ""},
		"a folder with a point":     {[]string{"/node.js/x", "/"}, nil, []string{"index 1", "node.js/x 1"}, "", "node.js (1)"},
		"some without a host":       {[]string{"/a.example/x", "/y"}, []string{"a.example"}, []string{"x 1", "y 1"}, "", ""},
		"some without, two hosts":   {[]string{"/a.example/x", "/b.example/x", "/y"}, []string{"a.example"}, []string{"x 1"}, "", "b.example (1)"},
		"all hosts taken":           {[]string{"/a.example/x", "/b.example/x", "/y"}, []string{"a.example", "b.example"}, []string{"x 2", "y 1"}, "", ""},
		"localhost and a real host": {[]string{"/localhost:1313/x", "/a.example/x"}, []string{"a.example"}, []string{"x 1"}, "", "localhost (1)"},
	} {
		for kind, text := range map[string]string{"CSV": csv(test.paths...), "JSON": json(test.paths...)} {
			how := importer.Mapping{Site: "blog", Metrics: map[string]string{"visitors": "visitors"}, Hosts: test.hosts}
			found, err := importer.ReadGoatCounter(file(text), how)
			var got []string
			for _, each := range texts(found) {
				if short := strings.TrimPrefix(each, "blog/visitors/"); !strings.HasPrefix(short, "site ") {
					got = append(got, short)
				}
			}
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("%s, %s: %q, %v", name, kind, got, err)
				}
				continue
			}
			if err != nil || !slices.Equal(got, test.want) || found.Refused > 0 {
				t.Errorf("%s, %s: %q, %v, %v", name, kind, got, found.Refusals, err)
			}
			if !strings.Contains(strings.Join(found.Notes, "\n"), test.note) {
				t.Errorf("%s, %s: notes are %q", name, kind, found.Notes)
			}
		}
	}
}

// Each version of Umami and each database writes other columns.
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
		found, err := importer.ReadUmami(file(test.text), naming())
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
		"several websites":          {events("v|", "w|", "w|"), importer.Mapping{}, "", "several websites: w (2), v (1); say with --website"},
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

// Plain counts are read in the dialects of spreadsheets, from columns of any name.
func TestPlainCounts_DialectsAndColumns(t *testing.T) {
	template, err := importer.ParseTemplate("blog/views/{1}", 1)
	if err != nil {
		t.Fatal(err)
	}
	wide := func(text string, order unicode.Endianness) string {
		out, err := unicode.UTF16(order, unicode.UseBOM).NewEncoder().String(text)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	packed := func(text string) string {
		var out bytes.Buffer
		w := gzip.NewWriter(&out)
		if _, err := io.WriteString(w, text); err != nil || w.Close() != nil {
			t.Fatal("gzip")
		}
		return out.String()
	}
	mapped := importer.Layout{Topic: "path", Count: "views", Template: template}
	for name, test := range map[string]struct {
		text   string
		layout importer.Layout
		json   bool
	}{
		"semicolons":        {"topic;count\r\nblog/views/x;3\r\n", importer.Layout{}, false},
		"tabs":              {"topic\tcount\nblog/views/x\t3\n", importer.Layout{}, false},
		"sep":               {"sep=;\r\ntopic;count\r\nblog/views/x;3\r\n", importer.Layout{}, false},
		"no header":         {"blog/views/x;3\n", importer.Layout{}, false},
		"UTF-16":            {wide("topic\tcount\r\nblog/views/x\t3\r\n", unicode.LittleEndian), importer.Layout{}, false},
		"UTF-16 big endian": {wide("topic;count\r\nblog/views/x;3\r\n", unicode.BigEndian), importer.Layout{}, false},
		"a mark":            {"\ufefftopic,count\nblog/views/x,3\n", importer.Layout{}, false},
		"gzip":              {packed("\ufeffsep=;\ntopic;count\nblog/views/x;3\n"), importer.Layout{}, false},
		"columns":           {"path,title,views\n/x/,\"Hello, world\",3\n", mapped, false},
		"columns in UTF-16": {wide("Views;Path\r\n\"3,0\";https://a.example/x\r\n", unicode.LittleEndian), importer.Layout{Topic: "path", Count: "views", Template: template}, false},
		"one column":        {"page,count\n/x,3\n", importer.Layout{Topic: "page", Template: template}, false},
		"JSON":              {`[{"path":"/x","views":3}]`, mapped, true},
		"JSON in UTF-16":    {wide(`{"/x": "3"}`, unicode.LittleEndian), importer.Layout{Template: template}, true},
		"JSON with a mark":  {"\ufeff" + `{"/x": 3}`, importer.Layout{Template: template}, true},
	} {
		read := importer.ReadCountsCSV
		if test.json {
			read = importer.ReadCountsJSON
		}
		found, err := read(file(test.text), test.layout)
		if err != nil || !slices.Equal(texts(found), []string{"blog/views/x 3"}) || found.Refused > 0 {
			t.Errorf("%s: %q, %+v, %v", name, texts(found), found.Refusals, err)
		}
	}
	for text, want := range map[string]string{
		"path,views\n/x,3\n": "--columns names other columns", "path,path,views\n/x,/y,3\n": "--columns", "": "is empty", "\xff\xfe\x00\x00t\x00\x00\x00": "UTF-32", "sep=;;\n": "sep=",
		"topic,count,count\nblog/views/x,3,4\n": "two columns", "topic,2024\nx,3\n": "", archived(t, nil): "zip archive",
	} {
		found, err := importer.ReadCountsCSV(file(text), importer.Layout{})
		if want == "" && found.Refused > 0 {
			continue // the first line is taken as a row, and refused
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v", text, found, err)
		}
	}
	for _, items := range [][]string{{"topic"}, {"x=y"}, {"topic="}, {"topic=a", "count=A"}} {
		if layout, err := importer.ParseColumns(items); err == nil {
			t.Errorf("%q: %+v", items, layout)
		}
	}
}

// A number that can be read in two ways is refused by each importer, which names the
// line and shows both readings.
func TestImporters_AmbiguousNumbers(t *testing.T) {
	slug, err := importer.ParseTemplate("blog/likes/{1}", 1)
	if err != nil {
		t.Fatal(err)
	}
	plain := func(read func(importer.File, importer.Layout) (importer.Result, error)) func(importer.File, importer.Mapping) (importer.Result, error) {
		return func(f importer.File, _ importer.Mapping) (importer.Result, error) {
			return read(f, importer.Layout{Template: slug})
		}
	}
	for number, readings := range map[string]string{"2.000": "2000", "1.234": "1.234", "0042": "34 (octal)", "1,234": "1234 (groups of digits)"} {
		for name, test := range map[string]struct {
			text string
			line int64
			read func(importer.File, importer.Mapping) (importer.Result, error)
		}{
			"CSV":           {"topic;count\nx;" + number + "\n", 2, plain(importer.ReadCountsCSV)},
			"CSV no header": {"x;" + number + "\n", 1, plain(importer.ReadCountsCSV)},
			"JSON":          {"[\n{\"topic\":\"x\",\"count\":\"" + number + "\"}\n]", 2, plain(importer.ReadCountsJSON)},
			"JSON object":   {"{\n\n\"x\":\"" + number + "\"}", 3, plain(importer.ReadCountsJSON)},
			"Umami":         {"x;y\n/x;" + number + "\n", 2, importer.ReadUmami},
			"applause":      {"[\n{\"url\":\"/x\",\"claps\":\"" + number + "\"}]", 2, importer.ReadApplause},
			"DynamoDB":      {"\n{\"Item\":{\"url\":{\"S\":\"/x\"},\"claps\":{\"N\":\"" + number + "\"}}}", 2, importer.ReadApplause},
			"busuanzi":      {"[\n\n{\"url\":\"/x\",\"page_pv\":\"" + number + "\"}, {\"url\":\"/y\",\"page_pv\":1}]", 3, importer.ReadBusuanzi},
		} {
			if name == "busuanzi" {
				test.text = strings.ReplaceAll(test.text, "\"page_pv\"", "\"site_pv\":1,\"page_pv\"")
			}
			found, err := test.read(file(test.text), naming())
			if err != nil || len(found.Refusals) != 1 || found.Refusals[0].Line != test.line || !strings.Contains(found.Refusals[0].Reason, readings) {
				t.Errorf("%s in %s: %q, %+v, %v", number, name, texts(found), found.Refusals, err)
			}
		}
	}
}

// URLs of several hosts in a plain table are not added up unless that is said.
func TestPlainCounts_Hosts(t *testing.T) {
	template, err := importer.ParseTemplate("blog/views/{1}", 1)
	if err != nil {
		t.Fatal(err)
	}
	pattern, err := importer.ParseKeyPatterns("v:*", "blog/views/{1}", "")
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"https://a.example/x", "https://www.a.example/x?a=1", "//B.example/x", "/x"}
	table, object, keys := "topic,count\n", "{", some{}
	for i, name := range names {
		table += fmt.Sprintf("%s,%d\n", name, 1<<i)
		object += fmt.Sprintf("%q:%d,", name, 1<<i)
		keys = append(keys, importer.Key{Name: "v:" + name, Type: "string", Text: fmt.Sprint(1 << i)})
	}
	object = strings.TrimSuffix(object, ",") + "}"
	for kind, read := range map[string]func(hosts []string) (importer.Result, error){
		"CSV": func(hosts []string) (importer.Result, error) {
			return importer.ReadCountsCSV(file(table), importer.Layout{Template: template, Hosts: hosts})
		},
		"JSON": func(hosts []string) (importer.Result, error) {
			return importer.ReadCountsJSON(file(object), importer.Layout{Template: template, Hosts: hosts})
		},
		"keys": func(hosts []string) (importer.Result, error) {
			options := pattern
			options.Hosts = hosts
			return importer.ReadKeys(t.Context(), keys, options)
		},
	} {
		if found, err := read(nil); err == nil || !strings.Contains(err.Error(), "several hosts: a.example (1), b.example (1), www.a.example (1)") {
			t.Errorf("%s: %q, %v", kind, texts(found), err)
		}
		found, err := read([]string{"a.example", "b.example"})
		if err != nil || !slices.Equal(texts(found), []string{"blog/views/x 5"}) || !strings.Contains(strings.Join(found.Notes, ""), "www.a.example (1)") {
			t.Errorf("%s: %q, %q, %v", kind, texts(found), found.Notes, err)
		}
	}
}

// Figures of a site count only with the pages of a host that is taken, and addresses
// of several hosts are not added up unless that is said.
func TestObjects_Hosts(t *testing.T) {
	const busuanzi = `[{"url":"https://a.example/x","page_pv":1,"site_pv":10},{"url":"https://b.example/x","page_pv":2,"site_pv":99},{"url":"/y","page_pv":4,"site_pv":5}]`
	const applause = `[{"url":"a.example/x","claps":1},{"url":"b.example/x","claps":2},{"url":"WWW.a.example:443/x","claps":4}]`
	for name, test := range map[string]struct {
		text  string
		read  func(importer.File, importer.Mapping) (importer.Result, error)
		hosts []string
		want  []string
	}{
		"a host":            {busuanzi, importer.ReadBusuanzi, []string{"a.example"}, []string{"blog/views/site 10", "blog/views/x 1"}},
		"all hosts":         {busuanzi, importer.ReadBusuanzi, []string{"a.example", "b.example"}, []string{"blog/views/site 99", "blog/views/x 3", "blog/views/y 4"}},
		"several, busuanzi": {busuanzi, importer.ReadBusuanzi, nil, nil},
		"www and apex":      {applause, importer.ReadApplause, []string{"www.a.example", "a.example"}, []string{"blog/claps/x 5"}},
		"several, applause": {applause, importer.ReadApplause, nil, nil},
	} {
		how := naming()
		how.Hosts = test.hosts
		found, err := test.read(file(test.text), how)
		if test.want == nil {
			if err == nil || !strings.Contains(err.Error(), "several hosts: a.example (1), b.example (1)") {
				t.Errorf("%s: %q, %v", name, texts(found), err)
			}
			continue
		}
		if err != nil || !slices.Equal(texts(found), test.want) || found.Refused > 0 {
			t.Errorf("%s: %q, %v, %v", name, texts(found), found.Refusals, err)
		}
	}
}

// Objects within a member are read one at a time.
func TestApplause_LargeMember(t *testing.T) {
	large, err := os.Create(filepath.Join(t.TempDir(), "claps.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer large.Close()
	object := `{"url":{"S":"/x"},"claps":{"N":"1"},"filler":{"S":"` + strings.Repeat("x", 4000) + `"}}`
	w := bufio.NewWriter(large)
	fmt.Fprintf(w, `{"Count": 3, "Items": [%s`, object)
	for range 1_999 {
		fmt.Fprintf(w, ",\n%s", object)
	}
	fmt.Fprint(w, `], "ScannedCount": 3}`)
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	var found importer.Result
	taken := memoryOf(func() { found, err = importer.ReadApplause(importer.NewFile(large, 1<<40), naming()) })
	if err != nil || !slices.Equal(texts(found), []string{"blog/claps/x 2000"}) {
		t.Errorf("%q, %v", texts(found), err)
	}
	if taken > 5<<20 { // of 8 MB
		t.Errorf("it took %d MB", taken>>20)
	}
}
