package sitemap_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tallycast/tallycast/internal/sitemap"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testTimeout bounds how long a test waits.
const testTimeout = time.Minute

// blog is a site with files that counts requests.
type blog struct {
	*httptest.Server

	mu          sync.Mutex
	files       map[string]string // by path; an empty text is an error of the server
	changes     map[string]int    // number of changes
	requests    map[string]int
	notModified map[string]int // requests that were answered with 304
}

func newBlog(t *testing.T) *blog {
	b := &blog{files: map[string]string{}, changes: map[string]int{}, requests: map[string]int{}, notModified: map[string]int{}}
	b.Server = httptest.NewServer(b)
	t.Cleanup(b.Close)
	return b
}

func (b *blog) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.requests[r.URL.Path]++
	text, ok := b.files[r.URL.Path]
	switch {
	case !ok:
		http.NotFound(w, r)
		return
	case text == "":
		http.Error(w, "out of order", http.StatusInternalServerError)
		return
	}
	tag := fmt.Sprintf(`"%d-%d"`, b.changes[r.URL.Path], len(text))
	if r.Header.Get("If-None-Match") == tag {
		b.notModified[r.URL.Path]++
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("ETag", tag)
	_, _ = io.WriteString(w, strings.ReplaceAll(text, "AT", b.URL))
}

func (b *blog) put(path, text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.files[path] = text
	b.changes[path]++
}

func (b *blog) times(of map[string]int, path string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return of[path]
}

func pages(paths ...string) string {
	var text strings.Builder
	text.WriteString(`<?xml version="1.0" encoding="UTF-8"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">`)
	for _, path := range paths {
		text.WriteString("<url><loc> AT" + path + " </loc><lastmod>2026-01-01</lastmod></url>\n")
	}
	return text.String() + "</urlset>"
}

func packed(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.String()
}

// followed records the keys and the log of Follow.
type followed struct {
	mu   sync.Mutex
	keys []string // sorted
	sets int
	log  bytes.Buffer
}

func (f *followed) Write(text []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.log.Write(text)
}

func (f *followed) state() (keys, log string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.keys, " "), f.log.String()
}

// follow follows sitemaps in short intervals until the test ends.
func follow(t *testing.T, urls ...string) *followed {
	t.Helper()
	return followEvery(t, 10*time.Millisecond, urls...)
}

func followEvery(t *testing.T, every time.Duration, urls ...string) *followed {
	t.Helper()
	f := &followed{}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { // ends with ctx; the cleanup waits for it
		defer close(done)
		_ = sitemap.Follow(ctx, urls, sitemap.Options{Every: every, MaxBytes: 5 << 20, Log: slog.New(slog.NewTextHandler(f, nil))}, func(keys map[string]bool) {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.keys = slices.Sorted(maps.Keys(keys))
			f.sets++
		})
	}()
	t.Cleanup(func() { cancel(); <-done })
	return f
}

func (f *followed) becomes(t *testing.T, want string) {
	t.Helper()
	var keys string
	if !processtest.Await(testTimeout, func() bool {
		keys, _ = f.state()
		return keys == want
	}) {
		t.Fatalf("the keys are %q, want %q", keys, want)
	}
}

func TestFollow_ConditionalRequests(t *testing.T) {
	b := newBlog(t)
	b.put("/sitemap.xml", pages("/", "/hello/", "/a/?b=1&amp;a=2"))
	f := follow(t, b.URL+"/sitemap.xml")
	f.becomes(t, "a?a=2&b=1 hello index")
	processtest.Eventually(t, "answers of 304", func() bool { return b.times(b.notModified, "/sitemap.xml") > 3 })
	f.mu.Lock()
	sets := f.sets
	f.mu.Unlock()
	if sets != 1 {
		t.Errorf("the keys were set %d times", sets)
	}
	b.put("/sitemap.xml", pages("/", "/new"))
	f.becomes(t, "index new")
}

func TestFollow_CompressedIndex(t *testing.T) {
	b := newBlog(t)
	index := func(paths ...string) string {
		text := "<sitemapindex>"
		for _, path := range paths {
			text += "<sitemap><loc>" + path + "</loc></sitemap>"
		}
		return text + "</sitemapindex>"
	}
	// The index also names files of other hosts and schemes, and itself.
	b.put("/index.xml", index("AT/posts.xml.gz", "AT/pages.xml", "https://other.example/x.xml", "file:///etc/passwd", "AT/index.xml"))
	b.put("/posts.xml.gz", packed(strings.ReplaceAll(pages("/one", "/two"), "AT", b.URL)))
	b.put("/pages.xml", pages("/about"))
	f := follow(t, b.URL+"/index.xml")
	f.becomes(t, "about one two")
	b.put("/index.xml", index("AT/pages.xml"))
	f.becomes(t, "about")
}

func TestFollow_InvalidFiles(t *testing.T) {
	b := newBlog(t)
	for name, broken := range map[string]string{
		"an error":       "",
		"a page":         "<!doctype html><html><body>not found</body></html>",
		"no end":         "<urlset><url><loc>AT/x</loc></url>",
		"nothing of XML": "hello",
		"broken packing": "\x1f\x8b\x08nonsense",
	} {
		t.Run(name, func(t *testing.T) {
			path := "/" + strings.ReplaceAll(name, " ", "-") + ".xml"
			b.put(path, pages("/hello"))
			f := follow(t, b.URL+path)
			f.becomes(t, "hello")
			b.put(path, broken)
			processtest.Eventually(t, "a line in the log", func() bool {
				_, log := f.state()
				return strings.Contains(log, "cannot be read")
			})
			requests := b.times(b.requests, path)
			processtest.Eventually(t, "another round", func() bool { return b.times(b.requests, path) > requests })
			keys, log := f.state()
			if keys != "hello" || strings.Count(log, "cannot be read") != 1 || !strings.Contains(log, path) {
				t.Errorf("the keys are %q, and the log says\n%s", keys, log)
			}
			b.put(path, pages("/back"))
			f.becomes(t, "back")
		})
	}
}

func TestFollow_TooLargeFiles(t *testing.T) {
	b := newBlog(t)
	b.put("/pages.xml", pages(slices.Repeat([]string{"/x"}, 50_001)...))
	b.put("/torrent.xml.gz", packed("<urlset>"+strings.Repeat("<!-- nothing but this -->", 3<<20/25)+"</urlset>"))
	f := followEvery(t, time.Hour, b.URL+"/pages.xml")
	processtest.Eventually(t, "a line in the log", func() bool {
		_, log := f.state()
		return strings.Contains(log, "more than 50000 pages")
	})
	_, log := readOnce(t, b.URL+"/torrent.xml.gz")
	mentions(t, log, "more than 2097152 bytes")
}
