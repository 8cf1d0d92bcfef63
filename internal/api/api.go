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
)

// WatchedTopics knows the newest values of the topics that viewers watch.
type WatchedTopics interface {
	Newest(topic tally.Topic) (change tally.Change, ok bool)
}

// Streamer takes connections over. An error comes before anything was written.
type Streamer interface {
	EventStream(w http.ResponseWriter, r *http.Request, session push.Session) error
	WebSocket(w http.ResponseWriter, r *http.Request, session push.Session) error
}

// Administration answers what an owner asks, below /admin. Paths come without the
// base path; limits of client addresses and origins of sites do not concern it.
type Administration interface {
	ServeAdmin(w http.ResponseWriter, r *http.Request, caller admin.Caller)
}

// Options configure an [API]. Service, Hub, Push and Health are required.
type Options struct {
	Service *tally.Service
	Hub     WatchedTopics
	Push    Streamer
	// Health tells of the store; it does no I/O.
	Health func() tally.Health

	// Sites gives the origins allowed for each site beside the service's own, in
	// the forms scheme://host[:port], scheme://*.host[:port] and *.
	Sites map[string][]string
	// TrustedProxies may say who the client is: in X-Forwarded-For, else in
	// Forwarded, else in X-Real-IP.
	TrustedProxies []netip.Prefix
	// Limits are those of client addresses; nil allows any number of requests.
	Limits *ratelimit.Limiter
	// ServerToken lets one's own servers past address limits and origin checks.
	ServerToken string
	// Keys says which topics visitors may bring into being; nil admits all.
	Keys *tally.KnownKeys
	// Admin answers what stands below /admin; nil: there is nothing.
	Admin Administration
	// BasePath is where everything is served below, such as /tally; or empty.
	BasePath string
	// WithoutDemo leaves out the demo pages.
	WithoutDemo bool

	// Instrumented are the parts whose figures stand in /metrics.
	Instrumented []tally.Instrumented
	Logger       *slog.Logger // slog.Default() when nil
	Version      string       // shown in /metrics and /readyz
	// CommandLine is what /debug/pprof/cmdline shows: the process's own arguments may
	// hold credentials.
	CommandLine []string
}

// API answers HTTP requests. It is safe for concurrent use.
type API struct {
	// Fixed after construction.
	service   *tally.Service
	catalog   *tally.Catalog
	hub       WatchedTopics
	push      Streamer
	health    func() tally.Health
	sites     map[string][]originPattern
	proxies   []netip.Prefix
	token     []byte
	keys      *tally.KnownKeys
	admin     Administration // nil: there is none
	basePath  string
	logger    *slog.Logger
	version   string
	limits    *ratelimit.Limiter
	requests  requestStats
	assets    map[string]*asset
	idPrefix  string // of request ids, random
	public    http.Handler
	internal  http.Handler
	parts     []tally.Instrumented
	startedAt time.Time

	nextID          atomic.Uint64
	draining        atomic.Bool
	warnedUntrusted atomic.Bool // whether the warning of an untrusted proxy was given
	warnedUnusable  atomic.Bool // and that of a trusted one's unusable header
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
		o.Limits = ratelimit.New(ratelimit.Limit{}, ratelimit.Limit{}, ratelimit.Limit{}, nil)
	}
	a := &API{
		service:   o.Service,
		catalog:   o.Service.Catalog(),
		hub:       o.Hub,
		push:      o.Push,
		health:    o.Health,
		sites:     newOriginPatterns(o.Sites),
		proxies:   o.TrustedProxies,
		token:     []byte(o.ServerToken),
		keys:      o.Keys,
		admin:     o.Admin,
		basePath:  o.BasePath,
		logger:    o.Logger,
		version:   o.Version,
		limits:    o.Limits,
		idPrefix:  newIDPrefix(),
		parts:     o.Instrumented,
		startedAt: time.Now(),
	}
	var err error
	if a.assets, err = newAssets(o.WithoutDemo); err != nil {
		return nil, err
	}
	a.public = a.newPublic(o.WithoutDemo)
	if a.internal, err = a.newInternal(o.CommandLine); err != nil {
		return nil, err
	}
	return a, nil
}

// Public returns the handler of the listener that everybody reaches.
func (a *API) Public() http.Handler { return a.public }

// Internal returns the handler of the operator's listener.
func (a *API) Internal() http.Handler { return a.internal }

// Drain makes the instance not ready, for good.
func (a *API) Drain() { a.draining.Store(true) }

// now returns the time since the start, which never goes back.
func (a *API) now() time.Duration { return time.Since(a.startedAt) }

// newIDPrefix returns 8 random characters that tell request ids of one run of
// one instance from others.
func newIDPrefix() string {
	var random [5]byte
	_, _ = rand.Read(random[:]) // never fails, see crypto/rand
	return strings.ToLower(base32.StdEncoding.EncodeToString(random[:])) + "-"
}
