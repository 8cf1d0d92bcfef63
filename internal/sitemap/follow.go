package sitemap

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
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
	Client   *http.Client // one of its own when nil
	Agent    string       // User-Agent
	Log      *slog.Logger // slog.Default() when nil
}

const (
	usualEvery = 10 * time.Minute
	// fetchWithin bounds the fetching of one file, and lookWithin that of all.
	fetchWithin = 30 * time.Second
	lookWithin  = 5 * time.Minute
)

// Follow fetches the site maps at urls, and those that they name, at once and then every
// so often until ctx ends, and hands the keys of all their pages to set when they may be
// others than before. Of several failures one is logged, when it is another than before.
func Follow(ctx context.Context, urls []string, o Options, set func(keys map[string]bool)) error {
	if o.Every <= 0 {
		o.Every = usualEvery
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = usualBytes
	}
	if o.Client == nil {
		o.Client = &http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone()}
		defer o.Client.CloseIdleConnections()
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	tick := time.NewTicker(o.Every)
	defer tick.Stop()
	f := fetcher{client: o.Client, agent: o.Agent, maxBytes: o.MaxBytes, files: map[string]*file{}}
	said := ""
	for {
		within, cancel := context.WithTimeout(ctx, lookWithin)
		keys, changed, err := f.look(within, urls)
		cancel()
		if changed {
			set(keys)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			if changed {
				o.Log.Info("read the site map", "pages", len(keys), "from", urls)
			}
			said = ""
		case err.Error() != said:
			said = err.Error()
			o.Log.Warn("the site map cannot be read; what was known of it before holds", "error", err, "pages", len(keys), "next", o.Every)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// look fetches all files and returns the keys of their pages, and whether they may be
// others than those of the look before.
func (f *fetcher) look(ctx context.Context, urls []string) (keys map[string]bool, changed bool, err error) {
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
	keys = map[string]bool{}
	for _, known := range f.files {
		maps.Copy(keys, known.keys)
	}
	return keys, changed, first
}

func orElse(first, second error) error {
	if first != nil {
		return first
	}
	return second
}
