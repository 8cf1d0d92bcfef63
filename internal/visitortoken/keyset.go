package visitortoken

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// fetchTimeout bounds one fetch of a key set.
	fetchTimeout = 5 * time.Second
	// maxKeySet bounds a key set, in bytes: maxKeys with certificates of usual length fit.
	maxKeySet = 512 << 10
	// maxRedirects bounds the redirects of a fetch: to another host, and one more.
	maxRedirects = 2
)

// ParseKeySetURL checks the address of a key set: https, or http on this machine.
func ParseKeySetURL(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.Scheme != "https" && !isLocal(u) {
		return "", fmt.Errorf("%q should be the https address of a key set, such as https://login.example.com/.well-known/jwks.json", text)
	}
	return u.String(), nil
}

// isLocal reports whether u is plain HTTP to a loopback address, which no network carries.
func isLocal(u *url.URL) bool {
	address, err := netip.ParseAddr(u.Hostname())
	return u.Scheme == "http" && (u.Hostname() == "localhost" || err == nil && address.IsLoopback())
}

// keySet is a key set at an address. If a fetch fails, the keys of the one before remain.
type keySet struct {
	// Fixed after construction.
	options Options
	url     string
	client  *http.Client
	wanted  chan struct{} // makes run fetch the set now

	keys     atomic.Pointer[[]Key] // nil before the first success
	failures atomic.Int64

	mu         sync.Mutex
	began      time.Time     // when the last fetch began; guarded by mu
	isFetching bool          // guarded by mu
	hasFailed  bool          // the last fetch failed; guarded by mu, written by run
	ended      chan struct{} // closed when the fetch in flight, or the next one, ends; guarded by mu
}

func newKeySet(at string, o Options) *keySet {
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, MaxResponseHeaderBytes: maxKeySet}
	return &keySet{
		options: o, url: at, wanted: make(chan struct{}, 1), ended: make(chan struct{}),
		client: &http.Client{Transport: transport, Timeout: fetchTimeout, CheckRedirect: checkRedirect},
	}
}

// checkRedirect refuses a redirect from https to http.
func checkRedirect(next *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return fmt.Errorf("it redirects more than %d times", maxRedirects)
	}
	if next.URL.Scheme != "https" && !(isLocal(via[0].URL) && isLocal(next.URL)) {
		return errors.New("it redirects to an address that is not https")
	}
	return nil
}

// isRead reports whether a fetch ever succeeded.
func (s *keySet) isRead() bool { return s.keys.Load() != nil }

// find returns the keys with an algorithm and an id. A token or a key without id fits any.
func (s *keySet) find(algorithm, id string) (found []Key) {
	keys := s.keys.Load()
	if keys == nil {
		return nil
	}
	for _, key := range *keys {
		if key.algorithm == algorithm && (key.id == id || key.id == "" || id == "") {
			found = append(found, key)
		}
	}
	return found
}

// awaitRefresh waits for the fetch in flight. If there is none it makes run fetch the set, unless
// the last fetch began less than Retry ago. It waits until ctx ends at most.
func (s *keySet) awaitRefresh(ctx context.Context) {
	s.mu.Lock()
	ended := s.ended
	isRecent := !s.isFetching && !s.began.IsZero() && time.Since(s.began) < s.options.Retry
	s.mu.Unlock()
	if isRecent {
		return
	}
	select {
	case s.wanted <- struct{}{}:
	default: // it is wanted already
	}
	select {
	case <-ended:
	case <-ctx.Done():
	}
}

// retryAfter returns how long a client should wait before it sends a token again whose key the set
// lacks. It is above 0 if a newer set may have the key, since a fetch is due or the last one failed;
// 0 if the set is current.
func (s *keySet) retryAfter() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.isFetching || len(s.wanted) > 0:
		return time.Second
	case s.hasFailed || !s.isRead():
		return max(time.Second, s.options.Retry-time.Since(s.began))
	}
	return 0
}

// run fetches the set now, in intervals, and when it is wanted, until ctx ends.
func (s *keySet) run(ctx context.Context) error {
	defer s.client.CloseIdleConnections()
	for {
		s.mu.Lock()
		s.began, s.isFetching = time.Now(), true
		s.mu.Unlock()
		keys, skipped, err := s.fetch(ctx)
		s.end(ctx, keys, skipped, err)
		wait := s.options.Refresh
		if err != nil {
			wait = s.options.Retry
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		case <-s.wanted:
			timer.Stop()
		}
	}
}

// end stores the result of a fetch, and logs it if the last fetch had another result.
func (s *keySet) end(ctx context.Context, keys []Key, skipped []string, err error) {
	wasRead := s.isRead()
	if err == nil {
		s.keys.Store(&keys)
	}
	s.mu.Lock()
	hadFailed := s.hasFailed
	s.isFetching, s.hasFailed = false, err != nil
	close(s.ended)
	s.ended = make(chan struct{})
	select {
	case <-s.wanted: // this fetch was the one that was wanted
	default:
	}
	s.mu.Unlock()
	switch {
	case ctx.Err() != nil:
	case err != nil:
		s.failures.Add(1)
		if !hadFailed {
			s.options.Log.Warn("the key set of signed visitors cannot be read; its last known keys remain", "url", s.url, "error", err, "next", s.options.Retry)
		}
	case hadFailed || !wasRead:
		s.options.Log.Info("read the key set of signed visitors", "url", s.url, "keys", len(keys), "skipped", skipped)
	}
}

func (s *keySet) fetch(ctx context.Context) (keys []Key, skipped []string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, nil, err
	}
	if s.options.Agent != "" {
		request.Header.Set("User-Agent", s.options.Agent)
	}
	request.Header.Set("Accept", "application/jwk-set+json, application/json")
	response, err := s.client.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("%s: %s", s.url, response.Status)
	}
	data, err := io.ReadAll(io.LimitReader(response.Body, maxKeySet+1))
	if err != nil {
		return nil, nil, err
	}
	if len(data) > maxKeySet {
		return nil, nil, fmt.Errorf("%s: it has more than %d bytes", s.url, maxKeySet)
	}
	keys, skipped, err = parseKeySet(data)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", s.url, err)
	}
	return keys, skipped, nil
}
