package importer_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tallycast/tallycast/internal/importer"
)

// sample returns a file of testdata.
func sample(t testing.TB, name string) importer.File {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return file(string(text))
}

// file returns a file with this text.
func file(text string) importer.File {
	return importer.NewFile(strings.NewReader(text), int64(len(text)))
}

// mapping returns a mapping of each figure to the metric of its name.
func mapping() importer.Mapping {
	return importer.Mapping{Site: "blog", Metrics: map[string]string{"views": "views", "visitors": "visitors", "claps": "claps"}}
}

// texts returns the counts as text.
func texts(c importer.Result) (texts []string) {
	for _, each := range c.Counts {
		texts = append(texts, fmt.Sprintf("%s %d", each.Topic, each.Count))
	}
	return texts
}

func TestImporters_Samples(t *testing.T) {
	for _, test := range []struct {
		file    string
		read    func(importer.File, importer.Mapping) (importer.Result, error)
		host    string
		want    []string
		refused []int64 // lines or entries
		skipped map[string]int64
	}{
		{file: "goatcounter-v2.csv", read: importer.ReadGoatCounter, refused: []int64{9, 10, 11},
			skipped: map[string]int64{"events": 1, "views of bots": 1},
			want: []string{"blog/views/index 1", "blog/views/posts/hello 3", "blog/views/posts/über 1", "blog/views/site 5",
				"blog/visitors/index 1", "blog/visitors/posts/hello 2", "blog/visitors/posts/über 1", "blog/visitors/site 2"}},
		{file: "goatcounter-v1.csv", read: importer.ReadGoatCounter,
			want: []string{"blog/views/a.html 2", "blog/views/site 2", "blog/visitors/a.html 1", "blog/visitors/site 1"}},
		{file: "umami-website_event.csv", read: importer.ReadUmami, host: "blog.example.com",
			skipped: map[string]int64{"events": 1, "entries of other hosts": 1},
			want: []string{"blog/views/index 1", "blog/views/posts/hello 3", "blog/views/site 4",
				"blog/visitors/index 1", "blog/visitors/posts/hello 2", "blog/visitors/site 2"}},
		{file: "umami-pages.csv", read: importer.ReadUmami, refused: []int64{5},
			want: []string{"blog/views/index 120", "blog/views/posts/hello 40"}},
		{file: "applause.json", read: importer.ReadApplause, refused: []int64{6, 7},
			want: []string{"blog/claps/index 1", "blog/claps/posts/hello 15", "blog/claps/posts/two 7"}},
		{file: "applause-dynamodb.json", read: importer.ReadApplause,
			want: []string{"blog/claps/posts/hello 12", "blog/claps/posts/two 7"}},
		{file: "busuanzi.json", read: importer.ReadBusuanzi, refused: []int64{16},
			want: []string{"blog/views/p/d4bc55f2 2", "blog/views/p/e1ee5eca 5", "blog/views/site 435", "blog/visitors/site 420"}},
		{file: "busuanzi.jsonp", read: importer.ReadBusuanzi, skipped: map[string]int64{"pages without address": 1},
			want: []string{"blog/views/site 434", "blog/visitors/site 419"}},
		{file: "busuanzi-data.json", read: importer.ReadBusuanzi, skipped: map[string]int64{"pages without address": 1},
			want: []string{"blog/views/site 434", "blog/visitors/site 419"}},
	} {
		t.Run(test.file, func(t *testing.T) {
			how := mapping()
			if test.host != "" {
				how.Hosts = []string{test.host}
			}
			found, err := test.read(sample(t, test.file), how)
			if err != nil {
				t.Fatal(err)
			}
			if got := texts(found); !slices.Equal(got, test.want) {
				t.Errorf("counts are\n%q, want\n%q", got, test.want)
			}
			var refused []int64
			for _, r := range found.Refusals {
				refused = append(refused, r.Line)
			}
			if !slices.Equal(refused, test.refused) || found.Refused != int64(len(refused)) {
				t.Errorf("refusals are %v", found.Refusals)
			}
			if len(test.skipped)+len(found.Skipped) > 0 && !maps.Equal(found.Skipped, test.skipped) {
				t.Errorf("skipped are %v", found.Skipped)
			}
		})
	}
}

func TestUmami_SampleWithSeveralHosts(t *testing.T) {
	_, err := importer.ReadUmami(sample(t, "umami-website_event.csv"), mapping())
	if err == nil || !strings.Contains(err.Error(), "blog.example.com (4), localhost (1)") || !strings.Contains(err.Error(), "--host") {
		t.Errorf("the error is %v", err)
	}
}

func TestMapping_UnmappedFigures(t *testing.T) {
	how := importer.Mapping{Site: "blog", Metrics: map[string]string{"visitors": "people"}}
	found, err := importer.ReadGoatCounter(sample(t, "goatcounter-v1.csv"), how)
	if got := texts(found); err != nil || !slices.Equal(got, []string{"blog/people/a.html 1", "blog/people/site 1"}) {
		t.Errorf("counts are %q, %v", got, err)
	}
}

func TestImporters_OtherFiles(t *testing.T) {
	for name, read := range map[string]func(importer.File, importer.Mapping) (importer.Result, error){
		"goatcounter": importer.ReadGoatCounter, "umami": importer.ReadUmami, "applause": importer.ReadApplause, "busuanzi": importer.ReadBusuanzi,
	} {
		for _, text := range []string{"", "\x00\xff", "topic,count\na,1\n", "3Path,Title\n", `"`, "[", `[{"url":`, "f(", `{"Items":[1,`} {
			found, err := read(file(text), mapping())
			if err == nil && len(found.Counts) > 0 {
				t.Errorf("%s of %q: %v", name, text, found)
			}
			if err == nil && found.Refused == 0 {
				t.Errorf("%s of %q: there is no error", name, text)
			}
		}
	}
}

func TestReadCounts_Forms(t *testing.T) {
	template, err := importer.ParseTemplate("blog/likes/posts/{1}", 1)
	if err != nil {
		t.Fatal(err)
	}
	const want = "blog/likes/posts/a 3"
	for name, test := range map[string]struct {
		text     string
		template importer.Template
		json     bool
		want     []string
		refused  int64
	}{
		"with a header":    {text: "topic,count\nblog/likes/a,3\n", want: []string{"blog/likes/a 3"}},
		"other columns":    {text: "\ufeffTitle,Count,Topic\r\n\"x, y\",3,blog/likes/a\r\n", want: []string{"blog/likes/a 3"}},
		"without a header": {text: "blog/likes/a,3\nblog/likes/a,4\n", want: []string{"blog/likes/a 7"}},
		"spreadsheet":      {text: "topic,count\nblog/likes/a,3.00\nblog/likes/b,3.5\n\nblog/likes/c,1e3\n", want: []string{"blog/likes/a 3"}, refused: 2},
		"slugs":            {text: "topic,count\n/a/,3\n", template: template, want: []string{want}},
		"invalid rows":     {text: "topic,count\nblog/likes,3\nblog/likes/a\nblog/likes/a,-1\nblog/likes/a,9007199254740992\n", refused: 4},
		"unclosed quote":   {text: "topic,count\nblog/likes/a,3\n\"blog/likes/b,4\nblog/likes/c,5\n\"blog/likes/d\",6\n", want: []string{"blog/likes/a 3", "blog/likes/c 5", "blog/likes/d 6"}, refused: 1},
		"objects":          {text: `[{"topic":"blog/likes/a","count":3},{"topic":"","count":3},5]`, json: true, want: []string{"blog/likes/a 3"}, refused: 2},
		"one object":       {text: `{"a":3,"b":"4","c":{}}`, json: true, template: template, want: []string{want, "blog/likes/posts/b 4"}, refused: 1},
		"named twice":      {text: `{"a":3,"a":4}`, json: true, template: template, want: []string{want}, refused: 1},
		"an empty list":    {text: `[]`, json: true},
	} {
		read := importer.ReadCountsCSV
		if test.json {
			read = importer.ReadCountsJSON
		}
		found, err := read(file(test.text), importer.Layout{Template: test.template})
		if got := texts(found); err != nil || !slices.Equal(got, test.want) || found.Refused != test.refused {
			t.Errorf("%s: %q, %+v, %v", name, got, found.Refusals, err)
		}
	}
}
