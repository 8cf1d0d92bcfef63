package api

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"sync"

	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/web"
)

//go:embed openapi.yaml
var openAPIDocument []byte

var (
	cacheForHour   = []string{"public, max-age=3600, must-revalidate"}
	cacheForYear   = []string{"public, max-age=31536000, immutable"} // one year, the maximum of caches
	pagePolicy     = []string{web.Policy}
	referrerPolicy = []string{"strict-origin-when-cross-origin"}
	gzipCoding     = []string{"gzip"}
)

// asset is a static file.
type asset struct {
	kind          []string // Content-Type
	plain         []byte
	gzipped       func() []byte // gzip, made by the first call; nil if it would not be smaller
	etag          string        // ETag of plain
	gzippedETag   string        // ETag of gzipped
	isCrossOrigin bool          // pages of all origins may load it
	isImmutable   bool          // its URL always has this content
}

// newAsset returns a file of that name.
func newAsset(name string, content []byte) *asset {
	etag := contentETag(content)
	return &asset{
		kind: []string{web.ContentType(name)}, plain: content, etag: etag, gzippedETag: strings.TrimSuffix(etag, `"`) + `-gzip"`,
		gzipped: sync.OnceValue(func() []byte { return compress(content) }),
	}
}

// compress returns content in gzip; nil if it would not be smaller.
func compress(content []byte) []byte {
	var packed bytes.Buffer
	w, _ := gzip.NewWriterLevel(&packed, gzip.BestCompression) // fails for levels that do not exist
	_, _ = w.Write(content)                                    // a buffer does not fail
	_ = w.Close()
	if packed.Len() >= len(content) {
		return nil
	}
	return packed.Bytes()
}

// newAssets returns the assets by their paths.
func newAssets(withoutDemo bool) (map[string]*asset, error) {
	assets := map[string]*asset{"/openapi.yaml": newAsset("openapi.yaml", openAPIDocument)}
	for name, script := range web.Scripts() {
		assets["/"+name] = newAsset(name, script.Body)
		assets["/"+name].isImmutable = script.Immutable
	}
	for _, f := range assets {
		f.isCrossOrigin = true
	}
	if withoutDemo {
		return assets, nil
	}
	err := fs.WalkDir(web.Assets, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(web.Assets, name)
		assets["/demo/"+name] = newAsset(name, content)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the demo's assets: %w", err)
	}
	return assets, nil
}

// respondAsset responds with f. Clients cache it for an hour and revalidate it by its ETag,
// or cache it for good.
func (q *call) respondAsset(f *asset) error {
	h := q.w.Header()
	h["Cache-Control"] = cacheForHour
	if f.isImmutable {
		h["Cache-Control"] = cacheForYear
	}
	if f.isCrossOrigin {
		allowEverywhere(h)
	}
	h.Set("Vary", "Accept-Encoding")
	content, tag := f.plain, f.etag
	if acceptsGzip(q.r.Header["Accept-Encoding"]) {
		if packed := f.gzipped(); packed != nil {
			content, tag = packed, f.gzippedETag
			h["Content-Encoding"] = gzipCoding
		}
	}
	if q.notModified(tag) {
		return nil
	}
	h["Content-Type"] = f.kind
	_, _ = q.w.Write(content) // the client may have disconnected
	return nil
}

// acceptsGzip reports whether Accept-Encoding allows gzip.
func acceptsGzip(headers []string) bool {
	for _, header := range headers {
		for coding := range strings.SplitSeq(header, ",") {
			name, weight, _ := strings.Cut(coding, ";")
			if !strings.EqualFold(strings.TrimSpace(name), "gzip") {
				continue
			}
			weight = strings.ReplaceAll(weight, " ", "")
			return weight != "q=0" && !strings.HasPrefix(weight, "q=0.000") && weight != "q=0.0" && weight != "q=0.00"
		}
	}
	return false
}

// script returns the handler of a script.
func (a *API) script(name string) func(*call) error {
	f := a.assets["/"+name]
	return func(q *call) error { return q.respondAsset(f) }
}

func (a *API) openAPI(q *call) error { return q.respondAsset(a.assets["/openapi.yaml"]) }

// demo serves the pages of the demo and their files.
func (a *API) demo(q *call) error {
	at := strings.TrimPrefix(q.r.URL.Path, a.options.BasePath)
	for _, page := range web.Pages() {
		if page.Path == at {
			return a.demoPage(q, page)
		}
	}
	if f := a.assets[at]; f != nil && strings.HasPrefix(at, "/demo/") {
		return q.respondAsset(f)
	}
	return notFound(q)
}

// demoPage responds with a page that shows the current numbers before any script runs. The
// script loads those that cannot be read now.
func (a *API) demoPage(q *call, page web.Page) error {
	counts := make(map[string]int64, len(page.Topics))
	topics := make([]tally.Topic, 0, len(page.Topics))
	for _, name := range page.Topics {
		topic, err := a.catalog.Resolve(name)
		if err != nil {
			continue // the metric is not configured
		}
		topics = append(topics, topic)
	}
	readings, _ := a.read(q.r.Context(), topics, "") // the script reads the missing ones again
	for i, r := range readings {
		counts[topics[i].String()] = r.Change.Count
	}
	body := bytes.NewBuffer(q.buffer[:0])
	if err := page.Render(body, a.options.BasePath, counts); err != nil {
		return err
	}
	h := q.w.Header()
	h["Content-Type"] = htmlType
	h["Cache-Control"] = noCache
	h["Content-Security-Policy"] = pagePolicy
	h["Referrer-Policy"] = referrerPolicy
	q.respond(http.StatusOK, body.Bytes())
	return nil
}
