package sitemap_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/tallycast/tallycast/internal/sitemap"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

// readOnce follows the sitemap at url until the first round was logged, and returns the keys
// and the log.
func readOnce(t *testing.T, url string, origins ...string) (keys, log string) {
	t.Helper()
	f := &followed{}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan struct{})
	options := sitemap.Options{Every: time.Hour, MaxBytes: 2 << 20, Origins: origins, Log: slog.New(slog.NewTextHandler(f, nil))}
	go func() { // ends with ctx, which is canceled below
		defer close(done)
		_ = sitemap.Follow(ctx, []string{url}, options, func(all map[string]bool) {
			f.mu.Lock()
			defer f.mu.Unlock()
			for key := range all {
				f.keys = append(f.keys, key)
			}
		})
	}()
	processtest.Eventually(t, "the first round", func() bool { _, log := f.state(); return log != "" })
	cancel()
	<-done // the rest of the round is logged now
	return f.state()
}

// serve answers every request with answer.
func serve(t *testing.T, answer http.HandlerFunc) (url string) {
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	return server.URL
}

func text(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }
}

func mentions(t *testing.T, log string, want ...string) {
	t.Helper()
	for _, each := range want {
		if !strings.Contains(log, each) {
			t.Errorf("the log does not say %q:\n%s", each, log)
		}
	}
}

func TestFollow_IndexThatNamesAnotherHost(t *testing.T) {
	asked := false
	other := serve(t, func(http.ResponseWriter, *http.Request) { asked = true })
	const index = `<sitemapindex><sitemap><loc>OTHER/a.xml</loc></sitemap><sitemap><loc>https://other.example/b.xml</loc></sitemap></sitemapindex>`
	keys, log := readOnce(t, serve(t, text(strings.ReplaceAll(index, "OTHER", other)))+"/index.xml", "https://blog.example", "*")
	mentions(t, log, "level=WARN", "the sitemap has no pages", "skipped=2", other+"/a.xml", "https://other.example/b.xml", "its host is neither")
	if asked || keys != "" {
		t.Errorf("another host was asked: %t; keys %q", asked, keys)
	}
}

func TestFollow_IndexThatNamesAnOriginOfTheSite(t *testing.T) {
	other := serve(t, text(`<urlset><url><loc>https://blog.example/hello/</loc></url></urlset>`))
	keys, log := readOnce(t, serve(t, text(`<sitemapindex><sitemap><loc>`+other+`/a.xml</loc></sitemap></sitemapindex>`))+"/index.xml", other)
	if keys != "hello" || strings.Contains(log, "WARN") {
		t.Errorf("keys %q:\n%s", keys, log)
	}
}

func TestFollow_Redirects(t *testing.T) {
	const pages = `<urlset><url><loc>https://blog.example/hello/</loc></url></urlset>`
	asked := 0
	other := serve(t, func(w http.ResponseWriter, r *http.Request) { asked++; text(pages)(w, r) })
	to := func(target string) string {
		return serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/found.xml" {
				text(pages)(w, r)
				return
			}
			http.Redirect(w, r, target, http.StatusFound)
		}) + "/sitemap.xml"
	}
	if keys, log := readOnce(t, to("/found.xml")); keys != "hello" {
		t.Errorf("on the same host: keys %q:\n%s", keys, log)
	}
	if keys, log := readOnce(t, to(other+"/x.xml"), other); keys != "hello" || asked != 1 {
		t.Errorf("to an origin of the site: keys %q:\n%s", keys, log)
	}
	for _, target := range []string{other + "/x.xml", "//" + strings.TrimPrefix(other, "http://") + "/x.xml", "file:///etc/passwd", "http://169.254.169.254/latest/", "gopher://127.0.0.1:6379/x"} {
		keys, log := readOnce(t, to(target), "https://blog.example", "*")
		mentions(t, log, "level=WARN", "it redirects to", "which is not followed: its host is neither")
		if keys != "" || asked != 1 {
			t.Errorf("%s was asked: keys %q", target, keys)
		}
	}
	_, log := readOnce(t, to("/again.xml"))
	mentions(t, log, "it redirects more than 4 times")
}

// A host of a wildcard origin must have a public address; a configured host may have a private one.
func TestFollow_PrivateAddress(t *testing.T) {
	asked := false
	other := serve(t, func(http.ResponseWriter, *http.Request) { asked = true })
	wildcard := strings.Replace(other, "127.", "*.", 1)
	_, log := readOnce(t, serve(t, text(`<sitemapindex><sitemap><loc>`+other+`/a.xml</loc></sitemap></sitemapindex>`)), wildcard)
	mentions(t, log, "level=WARN", "127.0.0.1 is not a public address")
	if asked {
		t.Error("it was asked")
	}
	for _, host := range []string{"127.0.0.1", "localhost"} {
		own := strings.Replace(serve(t, text(`<urlset><url><loc>/hello/</loc></url></urlset>`)), "127.0.0.1", host, 1)
		if keys, log := readOnce(t, own); keys != "hello" {
			t.Errorf("%s: keys %q:\n%s", host, keys, log)
		}
	}
}

func TestFollow_SkippedPages(t *testing.T) {
	keys, log := readOnce(t, serve(t, text(`<urlset><url><loc>https://blog.example/{x}</loc></url><url><loc>mailto:a@b.example</loc></url>`+
		`<url><loc></loc></url><url><loc>https://blog.example/`+strings.Repeat("x", 300)+`</loc></url><url><loc>/relative/</loc></url></urlset>`)))
	mentions(t, log, "skipped=4", "https://blog.example/{x}", "not the address of a page")
	if keys != "relative" {
		t.Errorf("keys %q", keys)
	}
}

func TestFollow_Formats(t *testing.T) {
	const urlset = `<urlset><url><loc>https://blog.example/hello/</loc><image:image><image:loc>https://blog.example/i.png</image:loc></image:image></url></urlset>`
	for name, body := range map[string]string{
		"a list of addresses":    "https://blog.example/hello/\r\n\r\n",
		"a list with a mark":     "\ufeffhttps://blog.example/hello/",
		"XML with a mark":        "\ufeff<?xml version='1.0' encoding='UTF-8'?>" + urlset,
		"XML after lines":        "\n\n" + urlset,
		"XML in ASCII":           "<?xml version='1.0' encoding='US-ASCII'?>" + urlset,
		"XML with a stylesheet":  "<?xml version='1.0'?><?xml-stylesheet type='text/xsl' href='/s.xsl'?><!DOCTYPE urlset>" + urlset,
		"a packed list":          packed("https://blog.example/hello/\n"),
		"a location in CDATA":    "<urlset><url><loc><![CDATA[https://blog.example/hello/]]></loc></url></urlset>",
		"a location with escape": "<urlset><url><loc>https://blog.example/hell&#111;/</loc></url></urlset>",
	} {
		t.Run(name, func(t *testing.T) {
			if keys, log := readOnce(t, serve(t, text(body))); keys != "hello" {
				t.Errorf("keys %q:\n%s", keys, log)
			}
		})
	}
}

func TestFollow_UnsupportedFormats(t *testing.T) {
	wide := func(text string, mark ...byte) string {
		b := bytes.NewBuffer(mark)
		for _, c := range utf16.Encode([]rune(text)) {
			b.Write([]byte{byte(c), byte(c >> 8)})
		}
		return b.String()
	}
	const urlset = `<urlset><url><loc>https://blog.example/hell&ouml;/</loc></url></urlset>`
	for body, want := range map[string]string{
		"<?xml version='1.0' encoding='ISO-8859-1'?>" + urlset:       "it is encoded as ISO-8859-1; a sitemap should be UTF-8",
		"<?xml version='1.0' encoding='windows-1252'?>" + urlset:     "it is encoded as windows-1252",
		wide(urlset, 0xff, 0xfe):                                     "it is encoded as UTF-16",
		wide(urlset):                                                 "it is encoded as UTF-16",
		"<urlset>\n<url><loc>/caf\xe9</loc></url></urlset>":          "line 2 is not UTF-8",
		"https://blog.example/a\nhttps://blog.example/caf\xe9\n":     "line 2 is not UTF-8",
		"<rss><channel/></rss>":                                      "it begins with <rss>",
		"{\"pages\": []}":                                            "it is neither XML nor a list of addresses",
		"":                                                           "EOF",
		"<urlset>" + urlset:                                          "it is not XML: invalid character entity",
		"<urlset " + strings.Repeat("a='' ", 300_000) + "/>":         "a tag, a text or a comment of more than",
		"<urlset><!--" + strings.Repeat("x", 2<<20) + "--></urlset>": "a tag, a text or a comment of more than",
		"https://blog.example/" + strings.Repeat("x", 2<<20):         "a tag, a text or a comment of more than",
		packed(packed("<a/>")):                                       "line 1 is not UTF-8",
	} {
		_, log := readOnce(t, serve(t, text(body)))
		mentions(t, log, "level=WARN", "cannot be read", want)
	}
}

func TestFollow_ContentEncodings(t *testing.T) {
	const urlset = `<urlset><url><loc>https://blog.example/hello/</loc></url></urlset>`
	encoded := func(coding, body string) string {
		return serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", coding)
			_, _ = io.WriteString(w, body)
		})
	}
	if keys, log := readOnce(t, encoded("gzip", packed(urlset))); keys != "hello" {
		t.Errorf("gzip: keys %q:\n%s", keys, log)
	}
	_, log := readOnce(t, encoded("br", "\x0b\x02\x80"))
	mentions(t, log, "Content-Encoding", "br", "should use gzip or none")
	_, log = readOnce(t, encoded("gzip", packed("<urlset>"+strings.Repeat("<!-- x -->", 2<<20/9)+"</urlset>")))
	mentions(t, log, "it has more than 2097152 bytes")
}

// A built site is read from its folder, with any host and base path.
func TestRead_BuiltSite(t *testing.T) {
	dir := t.TempDir()
	for name, body := range map[string]string{
		"sitemap.xml":    "<sitemapindex><sitemap><loc>https://blog.example/base/fr/sitemap.xml</loc></sitemap><sitemap><loc>/pages.txt</loc></sitemap></sitemapindex>",
		"fr/sitemap.xml": packed("<urlset><url><loc>https://blog.example/base/fr/hello/</loc></url></urlset>"),
		"pages.txt":      "https://blog.example/base/about/\nmailto:x\n",
		"broken.xml":     "<sitemapindex><sitemap><loc>https://blog.example/missing.xml</loc></sitemap></sitemapindex>",
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(body), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	keys, err := sitemap.Read(t.Context(), filepath.Join(dir, "sitemap.xml"), sitemap.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil || len(keys) != 2 || !keys["base/fr/hello"] || !keys["base/about"] {
		t.Errorf("keys %v, error %v", keys, err)
	}
	mentions(t, log.String(), "mailto:x")
	for name, want := range map[string]string{"broken.xml": "https://blog.example/missing.xml: the folder of the site has no such file", "absent.xml": filepath.Join(dir, "absent.xml") + ": the folder of the site has no such file"} {
		if _, err := sitemap.Read(t.Context(), filepath.Join(dir, name), sitemap.Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	url := serve(t, text("<urlset><url><loc>https://blog.example/hello/</loc></url></urlset>"))
	if keys, err = sitemap.Read(t.Context(), url, sitemap.Options{}); err != nil || !keys["hello"] {
		t.Errorf("keys %v, error %v", keys, err)
	}
}

// All files of an index together may have too many pages.
func TestRead_TooManyPages(t *testing.T) {
	dir := t.TempDir()
	for name, body := range map[string]string{
		"sitemap.xml": "<sitemapindex><sitemap><loc>/a.txt</loc></sitemap><sitemap><loc>/b.txt</loc></sitemap></sitemapindex>",
		"a.txt":       "https://blog.example/1\nhttps://blog.example/2\n", "b.txt": "https://blog.example/3\nhttps://blog.example/4\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(body), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for most, want := range map[int]string{3: "b.txt: with this file the site would have more than 3 pages", 4: ""} {
		keys, err := sitemap.Read(t.Context(), filepath.Join(dir, "sitemap.xml"), sitemap.Options{MaxPages: most})
		if want == "" && (err != nil || len(keys) != 4) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("at most %d: keys %v, error %v", most, keys, err)
		}
	}
}

// Deeply nested elements are refused quickly. Joining their names took 33 s for this file.
func TestFollow_DeepElements(t *testing.T) {
	const depth = 80_000
	began := time.Now()
	_, log := readOnce(t, serve(t, text("<urlset>"+strings.Repeat("<a>", depth)+strings.Repeat("</a>", depth)+"</urlset>")))
	mentions(t, log, "nested more than 32 deep")
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
}
