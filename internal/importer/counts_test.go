package importer_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/encoding/unicode"

	"github.com/tallycast/tallycast/internal/importer"
)

// Counts are read in the dialects of spreadsheets, from columns of any name.
func TestReadCounts_DialectsAndColumns(t *testing.T) {
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
		"path,views\n/x,3\n": "name its columns with --columns", "path,path,views\n/x,/y,3\n": "--columns", "": "is empty", "\xff\xfe\x00\x00t\x00\x00\x00": "UTF-32", "sep=;;\n": "sep=",
		"topic,count,count\nblog/views/x,3,4\n": "two columns", "topic,2024\nx,3\n": "", archived(t, nil): "zip archive",
	} {
		found, err := importer.ReadCountsCSV(file(text), importer.Layout{})
		if want == "" && found.Refused > 0 {
			continue // the first line is a row, and refused
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

// Tables and objects may have a count for each option of a choice metric.
func TestReadCounts_Options(t *testing.T) {
	for text, want := range map[string]string{
		"topic,option,count\nblog/poll/x,3,5\nblog/poll/x,1,2\n":                       "2,0,5",
		"option;topic;count\n2;blog/poll/x;1\n2;blog/poll/x;3\n":                       "0,4",
		"topic,option,count\nblog/poll/x,,7\n":                                         "",
		"topic,option,count\nblog/poll/x,0,5\n":                                        "refused",
		"topic,option,count\nblog/poll/x,21,5\n":                                       "refused",
		"topic,option,count\nblog/poll/x,Pizza,5\n":                                    "refused",
		"topic,option,count\nblog/poll/x,1,-5\n":                                       "refused",
		"topic,option,count\nblog/poll/x,1,5\nblog/poll/x,,7\n":                        "refused",
		`[{"topic":"blog/poll/x","count":3,"options":[1,0,2]}]`:                        "1,0,2",
		`{"blog/poll/x":[1,"2"]}`:                                                      "1,2",
		`[{"topic":"blog/poll/x","count":3,"options":["a"]}]`:                          "refused",
		`[{"topic":"blog/poll/x","count":3,"options":"1,2"}]`:                          "refused",
		`[{"topic":"blog/poll/x","options":[]}]`:                                       "refused",
		`{"blog/poll/x":[` + strings.Repeat("1,", 20) + `1]}`:                          "refused",
		`{"blog/poll/x":[` + strings.Repeat("1,", 19) + `1]}`:                          strings.Repeat("1,", 19) + "1",
		"topic,option,count\n" + strings.Repeat("blog/poll/x,2,2251799813685248\n", 9): "0,4503599627370496",
	} {
		read := importer.ReadCountsCSV
		if strings.ContainsAny(text[:1], "[{") {
			read = importer.ReadCountsJSON
		}
		found, err := read(file(text), importer.Layout{})
		switch {
		case err != nil:
			t.Errorf("%q: %v", text, err)
		case want == "refused":
			if found.Refused != 1 || found.Refusals[0].Reason == "" {
				t.Errorf("%q: %+v", text, found)
			}
		case found.Refused > 0 || len(found.Counts) != 1 || string(found.Counts[0].Options) != want:
			t.Errorf("%q: %+v, want the options %s", text, found, want)
		}
	}
}

// Each importer refuses an ambiguous number with its line and both readings.
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
			found, err := test.read(file(test.text), mapping())
			if err != nil || len(found.Refusals) != 1 || found.Refusals[0].Line != test.line || !strings.Contains(found.Refusals[0].Reason, readings) {
				t.Errorf("%s in %s: %q, %+v, %v", number, name, texts(found), found.Refusals, err)
			}
		}
	}
}

// Counts of several hosts are not added up unless --host names the hosts.
func TestReadCounts_Hosts(t *testing.T) {
	template, err := importer.ParseTemplate("blog/views/{1}", 1)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"https://a.example/x", "https://www.a.example/x?a=1", "//B.example/x", "/x"}
	table, object := "topic,count\n", "{"
	for i, name := range names {
		table += fmt.Sprintf("%s,%d\n", name, 1<<i)
		object += fmt.Sprintf("%q:%d,", name, 1<<i)
	}
	object = strings.TrimSuffix(object, ",") + "}"
	for kind, read := range map[string]func(hosts []string) (importer.Result, error){
		"CSV": func(hosts []string) (importer.Result, error) {
			return importer.ReadCountsCSV(file(table), importer.Layout{Template: template, Hosts: hosts})
		},
		"JSON": func(hosts []string) (importer.Result, error) {
			return importer.ReadCountsJSON(file(object), importer.Layout{Template: template, Hosts: hosts})
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

// Pages of several hosts, and the figures of their sites, are imported only if --host names
// the hosts.
func TestReadPages_Hosts(t *testing.T) {
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
		how := mapping()
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

// Memory holds one object of a list at a time.
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
	taken := memoryOf(func() { found, err = importer.ReadApplause(importer.NewFile(large, 1<<40), mapping()) })
	if err != nil || !slices.Equal(texts(found), []string{"blog/claps/x 2000"}) {
		t.Errorf("%q, %v", texts(found), err)
	}
	if taken > 5<<20 { // of 8 MB
		t.Errorf("it took %d MB", taken>>20)
	}
}

// Entries of a JSON file that are not UTF-8 are refused: two of them must not become one topic.
func TestReadJSON_NotUTF8(t *testing.T) {
	for text, want := range map[string]int64{
		"{\"blog/likes/caf\xe9\":3,\"blog/likes/caf\xe8\":4,\"blog/likes/x\":1}":                    2,
		"[{\"topic\":\"blog/likes/caf\xe9\",\"count\":3},{\"topic\":\"blog/likes/x\",\"count\":1}]": 1,
	} {
		found, err := importer.ReadCountsJSON(file(text), importer.Layout{})
		if err != nil || !slices.Equal(texts(found), []string{"blog/likes/x 1"}) || found.Refused != want {
			t.Errorf("%q: %q, %+v, %v", text, texts(found), found.Refusals, err)
		}
	}
	found, err := importer.ReadApplause(file("[{\"url\":\"/caf\xe9\",\"claps\":3},{\"url\":\"/x\",\"claps\":1}]"), importer.Mapping{Site: "blog"})
	if err != nil || !slices.Equal(texts(found), []string{"blog/claps/x 1"}) || found.Refused != 1 {
		t.Errorf("%q, %+v, %v", texts(found), found.Refusals, err)
	}
}
