package sitemap

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Options are the options of [Follow] and [Read].
type Options struct {
	// Every is the interval of [Follow]; 10 minutes by default. Most pages are older when
	// readers like them, and a request costs the site little if nothing changed.
	Every time.Duration
	// MaxBytes bounds a file after decompression; 50 MB by default.
	MaxBytes int64
	// MaxPages bounds the pages of all files; a million by default, which take 200 MB.
	MaxPages int
	// Origins are the origins of the site: scheme://host[:port], scheme://*.host[:port] or
	// *. Redirects and indexes may lead to their hosts and to those of the sitemaps.
	Origins []string
	Agent   string       // User-Agent
	Log     *slog.Logger // slog.Default() by default
}

const (
	defaultInterval = 10 * time.Minute
	defaultMaxPages = 1_000_000
	// fetchTimeout bounds the fetching of one file, readTimeout that of all.
	fetchTimeout = 30 * time.Second
	readTimeout  = 5 * time.Minute
	// maxFiles bounds the files of a site. Each may have 50,000 pages.
	maxFiles = 200
)

var errTooManyFiles = fmt.Errorf("the site has more than %d files", maxFiles)

// fetcher returns a fetcher for the hosts of a policy.
func (o Options) fetcher(hosts *hostPolicy) fetcher {
	o.MaxBytes, o.MaxPages = cmp.Or(o.MaxBytes, defaultMaxBytes), cmp.Or(o.MaxPages, defaultMaxPages)
	return fetcher{Options: o, hosts: hosts, files: map[string]*file{}}
}

// Follow fetches the sitemaps at urls and those that they name, now and in intervals, until ctx ends.
// It passes the keys of all pages to set if they may have changed. Of the errors of a round it logs
// the first one, unless the round before had the same.
func Follow(ctx context.Context, urls []string, o Options, set func(keys map[string]bool)) error {
	o.Every, o.Log = cmp.Or(o.Every, defaultInterval), cmp.Or(o.Log, slog.Default())
	tick := time.NewTicker(o.Every)
	defer tick.Stop()
	f := o.fetcher(newHostPolicy(urls, o.Origins))
	defer f.hosts.close()
	lastError := ""
	for {
		within, cancel := context.WithTimeout(ctx, readTimeout)
		keys, skipped, changed, err := f.readAll(within, urls)
		cancel()
		if changed {
			set(keys)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			if changed && len(keys) == 0 {
				o.Log.Warn("the sitemap has no pages: likes for keys that were not seeded are refused", "from", urls)
			} else if changed {
				o.Log.Info("read the sitemap", "pages", len(keys), "from", urls)
			}
			lastError = ""
		case err.Error() != lastError:
			lastError = err.Error()
			o.Log.Warn("the sitemap cannot be read; its last known pages remain", "error", err, "pages", len(keys), "next", o.Every)
		}
		if changed {
			skipped.log(o.Log)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// log logs the number of skipped addresses and examples for each reason.
func (s skipped) log(log *slog.Logger) {
	for _, reason := range slices.Sorted(maps.Keys(s)) {
		log.Warn("addresses in the sitemap are skipped", "skipped", s[reason].count, "why", reason, "examples", s[reason].examples)
	}
}

// readAll fetches all files and returns the keys of their pages and the skipped addresses. changed
// reports whether these may have changed. It returns the first error, and continues after errors.
func (f *fetcher) readAll(ctx context.Context, urls []string) (keys map[string]bool, addresses skipped, changed bool, err error) {
	seen := map[string]bool{}
	queue := slices.Clone(urls)
	for i := 0; i < len(queue); i++ {
		at := queue[i]
		if seen[at] {
			continue
		}
		if seen[at] = true; len(seen) > maxFiles {
			err = cmp.Or(err, errTooManyFiles)
			break
		}
		isNew, fetchErr := f.fetch(ctx, at)
		changed = changed || isNew
		err = cmp.Or(err, fetchErr)
		if known := f.files[at]; known != nil {
			queue = append(queue, known.further...)
		}
	}
	for at := range f.files {
		if !seen[at] {
			delete(f.files, at)
			changed = true
		}
	}
	keys, addresses = map[string]bool{}, skipped{}
	for _, at := range slices.Sorted(maps.Keys(f.files)) {
		known := f.files[at]
		maps.Copy(keys, known.keys)
		for reason, each := range known.skipped {
			addresses.add(reason, each.count, each.examples...)
		}
	}
	return keys, addresses, changed, err
}

// Read returns the keys of the pages in the sitemap at address, a URL or the path of a file in a built
// site, and logs skipped addresses. It reads all files that an index in a built site names from the
// folder of the index.
func Read(ctx context.Context, address string, o Options) (map[string]bool, error) {
	dir := ""
	var hosts *hostPolicy
	if u, err := url.Parse(address); err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https") {
		hosts = newHostPolicy([]string{address}, o.Origins)
	} else {
		dir = filepath.Dir(address)
		hosts = newLocalPolicy(dir)
		address = localOrigin + "/" + (&url.URL{Path: filepath.Base(address)}).EscapedPath()
	}
	f := o.fetcher(hosts)
	defer f.hosts.close()
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	keys, skipped, _, err := f.readAll(ctx, []string{address})
	switch {
	case err != nil && dir != "":
		return nil, errors.New(strings.ReplaceAll(err.Error(), localOrigin, dir))
	case err != nil:
		return nil, err
	case o.Log != nil:
		skipped.log(o.Log)
	}
	return keys, nil
}
