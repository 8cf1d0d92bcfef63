// Package api is the HTTP edge: it turns requests into assertions and reads of the
// domain, and their results and errors into responses. Package server imports it; no
// other package imports Gin.
//
// It guarantees: every error is a problem document (RFC 9457) with a stable code,
// readable from every origin and never cached; GET changes no count; a page whose origin
// is not allowed for a site cannot read, write or watch it; a client address stays
// within its limits on all instances together; visitor ids are never taken from a URL.
package api

import (
	"crypto/rand"
	"encoding/base32"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tallycast/tallycast/internal/admin"
	"github.com/tallycast/tallycast/internal/push"
	"github.com/tallycast/tallycast/internal/ratelimit"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/visitortoken"
)

// WatchedTopics knows the newest values of the topics that viewers watch.
type WatchedTopics interface {
	Newest(topic tally.Topic) (change tally.Change, ok bool)
}

// Streamer takes over connections. It returns an error only before it writes anything.
type Streamer interface {
	EventStream(w http.ResponseWriter, r *http.Request, session push.Session) error
	WebSocket(w http.ResponseWriter, r *http.Request, session push.Session) error
}

// Admin serves the paths below /admin. They come without the base path. Limits of client
// addresses and origins of sites do not apply.
type Admin interface {
	ServeAdmin(w http.ResponseWriter, r *http.Request, caller admin.Caller)
}

// Options configure an [API]. Service, Hub, Push and Health are required.
type Options struct {
	Service *tally.Service
	Hub     WatchedTopics
	Push    Streamer
	// Health returns the health of the store without I/O.
	Health func() tally.Health

	// Sites are the origins allowed for each site beside the service's own, in the forms
	// scheme://host[:port], scheme://*.host[:port] and *.
	Sites map[string][]string
	// TrustedProxies may name the client: in X-Forwarded-For, else in Forwarded, else in
	// X-Real-IP.
	TrustedProxies []netip.Prefix
	// Limits are those of client addresses; nil allows any number of requests.
	Limits *ratelimit.Limiter
	// PresenceLimits limits for how many topics a client address may begin the history by being
	// present; nil allows any number.
	PresenceLimits *ratelimit.Limiter
	// ServerToken exempts the operator's servers from address limits and origin checks.
	ServerToken string
	// VisitorTokens verifies the tokens of signed visitors; nil refuses all.
	VisitorTokens *visitortoken.Verifier
	// SignedSites are the sites whose likes, amounts and choices only signed visitors may
	// contribute.
	SignedSites map[string]bool
	// Keys are the topics that visitors may create; nil allows all.
	Keys *tally.KnownKeys
	// Admin serves the paths below /admin; nil for none.
	Admin Admin
	// BasePath is the prefix of all paths, such as /tally; or empty.
	BasePath string
	// WithoutDemo leaves out the demo pages.
	WithoutDemo bool

	// Instrumented are the parts with metrics.
	Instrumented []tally.Instrumented
	Logger       *slog.Logger // slog.Default() when nil
	Version      string       // shown in /metrics and /readyz
	// CommandLine is the content of /debug/pprof/cmdline: the arguments of the process
	// may contain credentials.
	CommandLine []string
}

// API serves HTTP requests. It is safe for concurrent use.
type API struct {
	// Fixed after construction.
	options   Options
	catalog   *tally.Catalog
	requests  requestStats
	assets    map[string]*asset
	idPrefix  string // of request ids, random
	public    http.Handler
	internal  http.Handler
	startedAt time.Time

	nextID          atomic.Uint64
	isDraining      atomic.Bool
	warnedUntrusted atomic.Bool // of a proxy that is not trusted
	warnedUnusable  atomic.Bool // of an unusable header of a trusted proxy
	silentProxies   silentProxies

	unknownKeys atomic.Int64 // writes refused as unknown_key
}

// New returns an API.
func New(o Options) (*API, error) {
	if o.Service == nil || o.Hub == nil || o.Push == nil || o.Health == nil {
		return nil, errors.New("api: Service, Hub, Push and Health are required")
	}
	if o.BasePath != "" && (!strings.HasPrefix(o.BasePath, "/") || strings.HasSuffix(o.BasePath, "/") || strings.ContainsAny(o.BasePath, ":*")) {
		return nil, errors.New("api: a base path begins with / and does not end with it, and has neither : nor *")
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Limits == nil {
		o.Limits = ratelimit.New(ratelimit.Limits{}, nil)
	}
	if o.PresenceLimits == nil {
		o.PresenceLimits = ratelimit.New(ratelimit.Limits{}, nil)
	}
	if o.VisitorTokens == nil {
		o.VisitorTokens = visitortoken.New(nil, visitortoken.Options{})
	}
	a := &API{options: o, catalog: o.Service.Catalog(), idPrefix: newIDPrefix(), startedAt: time.Now()}
	var err error
	if a.assets, err = newAssets(o.WithoutDemo); err != nil {
		return nil, err
	}
	a.public = a.newPublic()
	if a.internal, err = a.newInternal(); err != nil {
		return nil, err
	}
	return a, nil
}

// Public returns the handler of the public listener.
func (a *API) Public() http.Handler { return a.public }

// Internal returns the handler of the operator's listener.
func (a *API) Internal() http.Handler { return a.internal }

// Drain makes the instance not ready for the rest of its life.
func (a *API) Drain() { a.isDraining.Store(true) }

// now returns the time since the start, which never goes back.
func (a *API) now() time.Duration { return time.Since(a.startedAt) }

// newIDPrefix returns 8 random characters, the prefix of the request ids of this process.
func newIDPrefix() string {
	var random [5]byte
	_, _ = rand.Read(random[:]) // never fails, see crypto/rand
	return strings.ToLower(base32.StdEncoding.EncodeToString(random[:])) + "-"
}
