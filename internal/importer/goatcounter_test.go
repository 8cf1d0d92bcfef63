package importer_test

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"maps"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/tallycast/tallycast/internal/importer"
)

// archived returns a zip archive of files by name.
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

// goatArchive returns a JSON export as GoatCounter 2.7 writes it, with its files in a folder
// and some of them replaced; an empty text removes one.
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
		found, err := importer.ReadGoatCounter(file(text), mapping())
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
	asViews := mapping()
	asViews.Metrics = map[string]string{"visitors": "views"}
	if found, err := importer.ReadGoatCounter(file(goatArchive(t, "", nil)), asViews); err != nil || texts(found)[0] != "blog/views/index 4" {
		t.Errorf("%q, %v", texts(found), err)
	}
}

// Invalid lines are refused with file and line, and the others are imported.
func TestGoatCounter_JSONExportInvalidLines(t *testing.T) {
	text := goatArchive(t, "", map[string]string{
		"info.json":   `{"export_version": 1.0}`,
		"paths.jsonl": "{\"id\":1,\"path\":\"/a\",\"event\":false}\nnull\n\n{\"id\":1,\"path\":\"/b\"}\n{\"id\":2}\n{\"id\":3,\"path\":\"/%zz\"}\n{\"id\":4,\"path\":\"e\",\"event\":1}\n",
		"hit_stats.jsonl": "{\"path_id\":1,\"count\":5}\n{\"path_id\":9,\"count\":5}\n{\"path_id\":1,\"count\":-1}\n{\"path_id\":1,\"count\":1.5}\n{\"path_id\":1}\n[]\nx\n" +
			"{\"path_id\":3,\"count\":1}\n{\"path_id\":1,\"count\":\"7\"}\n{\"path_id\":4,\"count\":7}\n{\"path_id\":1,\"count\":99999999999999999999}\n{\"path_id\":1,\"count\":2}",
	})
	found, err := importer.ReadGoatCounter(file(text), mapping())
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
		"another version": {goatArchive(t, "", map[string]string{"info.json": `{"export_version": "2.0"}`}), "version 2.0 of the export; only version 1"},
		"no version":      {goatArchive(t, "", map[string]string{"info.json": `{}`}), "version"},
		"no JSON":         {goatArchive(t, "", map[string]string{"info.json": `x`}), "info.json: "},
		"another archive": {archived(t, map[string]string{"a.txt": "x"}), "lacks info.json"},
		"an empty zip":    {archived(t, nil), "lacks info.json"},
		"a cut zip":       {goatArchive(t, "", nil)[:200], "cannot be read as a zip archive"},
		"twice":           {archived(t, map[string]string{"a/info.json": "{}", "b/info.json": "{}"}), "two files info.json"},
		"a long line":     {goatArchive(t, "", map[string]string{"hit_stats.jsonl": "{\"path_id\":1,\"count\":1}\n" + strings.Repeat(" ", 2<<20)}), "hit_stats.jsonl line 2: the line is longer"},
	} {
		found, err := importer.ReadGoatCounter(file(test.text), mapping())
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, %v", name, found, err)
		}
	}
	how := mapping()
	how.Metrics = map[string]string{"views": "views"}
	if _, err := importer.ReadGoatCounter(file(goatArchive(t, "", nil)), how); err == nil || !strings.Contains(err.Error(), "--take visitors=") {
		t.Error(err)
	}
}

// memoryOf returns the memory that do takes, in bytes.
func memoryOf(do func()) int64 {
	used := func() int64 {
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return int64(stats.Sys) - int64(stats.HeapReleased)
	}
	defer debug.SetGCPercent(debug.SetGCPercent(20)) // so that little garbage counts
	debug.FreeOSMemory()
	before := used()
	do()
	return used() - before
}

// A zip bomb takes no more memory than another archive.
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
		taken := memoryOf(func() { _, err = importer.ReadGoatCounter(file(text), mapping()) })
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
		if found, err := importer.ReadGoatCounter(file(text), mapping()); err == nil || !strings.Contains(err.Error(), "no pageviews") {
			t.Errorf("%q: %v, %v", text, found, err)
		}
	}
}

// Paths of sites with several domains begin with a host, which --host selects and the key lacks.
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
		"one of them missing":       {two, []string{"c.example", "b.example"}, []string{"posts/x 1"}, "", "no page of c.example."},
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
