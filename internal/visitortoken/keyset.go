package visitortoken

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// fetchTimeout bounds one request for a key set.
	fetchTimeout = 5 * time.Second
	// maxKeySet bounds a key set, in bytes: maxKeys with certificates of usual length fit.
	maxKeySet = 512 << 10
	// maxRedirects bounds the redirects of a request: to another host, and one more.
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

// keySet is a key set at an address. The last set that could be read remains until a newer
// one can be read.
type keySet struct {
	// Fixed after construction.
	options Options
	url     string
	client  *http.Client
	wanted  chan struct{} // asks run for a request now

	keys     atomic.Pointer[[]Key] // nil before the first success
	failures atomic.Int64

	mu        sync.Mutex
	began     time.Time     // start of the last request; guarded by mu
	isActive  bool          // a request is in flight; guarded by mu
	hasFailed bool          // the last request failed; guarded by mu, written by run
	ended     chan struct{} // closed when the request in flight, or the next one, ends; guarded by mu
}

func newKeySet(at string, o Options) *keySet {
	transport := o.Transport
	if transport == nil {
		transport = &http.Transport{Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{}).DialContext, ForceAttemptHTTP2: true,
			MaxResponseHeaderBytes: maxKeySet}
	}
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

// isRead reports whether the set was ever read.
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

// awaitRefresh waits for the request in flight. Without one it asks for a request, unless
// the last one began a short time ago. It waits no longer than ctx.
func (s *keySet) awaitRefresh(ctx context.Context) {
	s.mu.Lock()
	ended := s.ended
	isRecent := !s.isActive && !s.began.IsZero() && time.Since(s.began) < s.options.Retry
	s.mu.Unlock()
	if isRecent {
		return
	}
	select {
	case s.wanted <- struct{}{}:
	default: // a request is wanted already
	}
	select {
	case <-ended:
	case <-ctx.Done():
	}
}

// retryAfter returns when a token whose key the set lacks may be sent again, since a newer set may
// have the key: a request is due, or the last one failed. It returns 0 if the set is current.
func (s *keySet) retryAfter() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.isActive || len(s.wanted) > 0:
		return time.Second
	case s.hasFailed || !s.isRead():
		return max(time.Second, s.options.Retry-time.Since(s.began))
	}
	return 0
}

// run reads the set now, in intervals, and if asked to, until ctx ends.
func (s *keySet) run(ctx context.Context) error {
	defer s.client.CloseIdleConnections()
	for {
		s.begin()
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

func (s *keySet) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.began, s.isActive = time.Now(), true
}

// end takes over the result of a request, and logs it if it differs from the last one.
func (s *keySet) end(ctx context.Context, keys []Key, skipped []string, err error) {
	wasRead := s.isRead()
	if err == nil {
		s.keys.Store(&keys)
	}
	s.mu.Lock()
	hadFailed := s.hasFailed
	s.isActive, s.hasFailed = false, err != nil
	close(s.ended)
	s.ended = make(chan struct{})
	select {
	case <-s.wanted: // this request was the one that was asked for
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
