package sitemap

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// maxRedirects bounds the redirects of a file: http to https, to a host with www, and two
// more.
const maxRedirects = 4

// fetcher fetches files and keeps their content.
type fetcher struct {
	Options
	hosts *hostPolicy
	files map[string]*file // by URL
}

// fetch fetches the file at a URL. changed is false if the server reports that it is unmodified.
func (f *fetcher) fetch(ctx context.Context, at string) (changed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	response, err := f.get(ctx, at)
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	switch {
	case response.StatusCode == http.StatusNotModified && f.files[at] != nil:
		return false, nil
	case response.StatusCode != http.StatusOK:
		return false, fmt.Errorf("%s: %s", at, response.Status)
	}
	// The transport decompresses gzip, which it requested, and removes the header.
	if coding := response.Header.Get("Content-Encoding"); coding != "" && !slices.Contains([]string{"identity", "gzip", "x-gzip"}, strings.ToLower(coding)) {
		return false, fmt.Errorf("%s: the server sends it with Content-Encoding %.40q; it should use gzip or none", at, coding)
	}
	read, err := f.readFile(response.Body, response.Request.URL)
	if err != nil {
		return false, fmt.Errorf("%s: %w", at, err)
	}
	pages := len(read.keys)
	for other, known := range f.files {
		if other != at {
			pages += len(known.keys)
		}
	}
	if pages > f.MaxPages {
		return false, fmt.Errorf("%s: with this file the site would have more than %d pages, so the file is ignored", at, f.MaxPages)
	}
	read.etag, read.modified = response.Header.Get("ETag"), response.Header.Get("Last-Modified")
	f.files[at] = read
	return true, nil
}

// get requests the file at a URL, and follows redirects to allowed hosts.
func (f *fetcher) get(ctx context.Context, at string) (*http.Response, error) {
	known := f.files[at]
	next, err := url.Parse(at)
	if err != nil {
		return nil, err
	}
	for range maxRedirects + 1 {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, next.String(), nil)
		if err != nil {
			return nil, err
		}
		if f.Agent != "" {
			request.Header.Set("User-Agent", f.Agent)
		}
		if known != nil && known.etag != "" {
			request.Header.Set("If-None-Match", known.etag)
		}
		if known != nil && known.modified != "" {
			request.Header.Set("If-Modified-Since", known.modified)
		}
		response, err := f.hosts.client(request).Do(request)
		if failed, ok := errors.AsType[*url.Error](err); ok {
			err = fmt.Errorf("%s: %w", failed.URL, failed.Err) // in the form of other errors
		}
		if err != nil {
			return nil, err
		}
		target := response.Header.Get("Location")
		if response.StatusCode < 300 || response.StatusCode > 399 || response.StatusCode == http.StatusNotModified || target == "" {
			return response, nil
		}
		_ = response.Body.Close() // the body is not needed
		if next, err = next.Parse(target); err != nil {
			return nil, fmt.Errorf("%s: it redirects to %.200q, which is not a URL", at, target)
		}
		if !f.hosts.allows(next) {
			return nil, fmt.Errorf("%s: it redirects to %.200q, which is not followed: %s", at, target, otherHost)
		}
	}
	return nil, fmt.Errorf("%s: it redirects more than %d times", at, maxRedirects)
}
