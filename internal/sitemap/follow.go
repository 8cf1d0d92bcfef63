package sitemap

import (
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

// Options configure [Follow]. Each may be left out.
type Options struct {
	// Every is the time between two looks; 0 stands for 10 minutes. A page is mostly
	// written long before somebody likes it, and asking costs the site nothing where
	// nothing changed.
	Every time.Duration
	// MaxBytes bounds a file, unpacked; 0 stands for 50 MB.
	MaxBytes int64
	// MaxPages bounds the pages of all files; 0 stands for a million, in about 200 MB: more
	// than a site has whose numbers are worth guarding like this.
	MaxPages int
	// Origins are those of the site's pages, in the forms scheme://host[:port],
	// scheme://*.host[:port] and *. Redirects and indexes may lead to their hosts, and to
	// those of the site maps; to no other.
	Origins []string
	Agent   string       // User-Agent
	Log     *slog.Logger // slog.Default() when nil
}

const (
	usualEvery = 10 * time.Minute
	// fetchWithin bounds the fetching of one file, and lookWithin that of all.
	fetchWithin = 30 * time.Second
	lookWithin  = 5 * time.Minute
	// maxFiles bounds the files of a site, of which each may have 50,000 pages.
	maxFiles = 200
	allPages = 1_000_000
)

var errTooManyFiles = fmt.Errorf("there are more than %d files", maxFiles)

// fetcher returns a fetcher that has no reach yet.
func (o Options) fetcher() fetcher {
	f := fetcher{agent: o.Agent, maxBytes: o.MaxBytes, maxPages: o.MaxPages, files: map[string]*file{}}
	if f.maxBytes <= 0 {
		f.maxBytes = usualBytes
	}
	if f.maxPages <= 0 {
		f.maxPages = allPages
	}
	return f
}

// Follow fetches the site maps at urls, and those that they name, at once and then every
// so often until ctx ends, and hands the keys of all their pages to set when they may be
// others than before. Of several failures one is logged, when it is another than before.
func Follow(ctx context.Context, urls []string, o Options, set func(keys map[string]bool)) error {
	if o.Every <= 0 {
		o.Every = usualEvery
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	tick := time.NewTicker(o.Every)
	defer tick.Stop()
	f := o.fetcher()
	f.reach = newReach(urls, o.Origins)
	defer f.reach.close()
	said := ""
	for {
		within, cancel := context.WithTimeout(ctx, lookWithin)
		keys, left, changed, err := f.look(within, urls)
		cancel()
		if changed {
			set(keys)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			if changed && len(keys) == 0 {
				o.Log.Warn("the site map has no pages: likes for keys that were not seeded are refused", "from", urls)
			} else if changed {
				o.Log.Info("read the site map", "pages", len(keys), "from", urls)
			}
			said = ""
		case err.Error() != said:
			said = err.Error()
			o.Log.Warn("the site map cannot be read; what was known of it before holds", "error", err, "pages", len(keys), "next", o.Every)
		}
		if changed {
			left.log(o.Log)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// log tells what was skipped and why.
func (s skipped) log(log *slog.Logger) {
	for _, reason := range slices.Sorted(maps.Keys(s)) {
		log.Warn("addresses in the site map are skipped", "skipped", s[reason].count, "why", reason, "examples", s[reason].examples)
	}
}

// look fetches all files and returns the keys of their pages, which addresses were
// skipped, and whether either may be other than at the look before.
func (f *fetcher) look(ctx context.Context, urls []string) (keys map[string]bool, left skipped, changed bool, err error) {
	seen := map[string]bool{}
	var first error
	queue := append([]string(nil), urls...)
	for i := 0; i < len(queue); i++ {
		at := queue[i]
		if seen[at] {
			continue
		}
		if seen[at] = true; len(seen) > maxFiles {
			first = orElse(first, errTooManyFiles)
			break
		}
		other, err := f.fetch(ctx, at)
		changed = changed || other
		first = orElse(first, err)
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
	keys, left = map[string]bool{}, skipped{}
	for _, at := range slices.Sorted(maps.Keys(f.files)) {
		known := f.files[at]
		maps.Copy(keys, known.keys)
		for reason, addresses := range known.skipped {
			left.add(reason, addresses.count, addresses.examples...)
		}
	}
	return keys, left, changed, first
}

func orElse(first, second error) error {
	if first != nil {
		return first
	}
	return second
}

// Read returns the keys of the pages in the site map at address, a URL or the path of a
// file in a built site, and logs what is skipped. Files that an index in such a site names
// are those of the site, whatever its host.
func Read(ctx context.Context, address string, o Options) (map[string]bool, error) {
	f := o.fetcher()
	dir := ""
	if u, err := url.Parse(address); err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https") {
		f.reach = newReach([]string{address}, o.Origins)
	} else {
		dir = filepath.Dir(address)
		f.reach = newLocalReach(dir)
		address = localOrigin + "/" + (&url.URL{Path: filepath.Base(address)}).EscapedPath()
	}
	defer f.reach.close()
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	keys, left, _, err := f.look(ctx, []string{address})
	switch {
	case err != nil && dir != "":
		return nil, errors.New(strings.ReplaceAll(err.Error(), localOrigin, dir))
	case err != nil:
		return nil, err
	case o.Log != nil:
		left.log(o.Log)
	}
	return keys, nil
}
