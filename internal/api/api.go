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
	"cmp"
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
	"github.com/tallycast/tallycast/internal/hub"
	"github.com/tallycast/tallycast/internal/push"
	"github.com/tallycast/tallycast/internal/ratelimit"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/visitortoken"
)

// Streamer takes over connections. It returns an error only before it writes anything.
type Streamer interface {
	EventStream(w http.ResponseWriter, r *http.Request, session push.Session) error
	WebSocket(w http.ResponseWriter, r *http.Request, session push.Session) error
}

// Options configure an [API]. Service, Hub, Push and Health are required.
type Options struct {
	Service *tally.Service
	Hub     *hub.Hub // has the newest values of watched topics
	Push    Streamer
	// Health returns the health of the store without I/O.
	Health func() tally.Health

	// Sites are the origins allowed for each site beside the service's own, in the forms
	// scheme://host[:port], scheme://*.host[:port] and *.
	Sites map[string][]string
	// TrustedProxies may name the client: in X-Forwarded-For, else in Forwarded, else in
	// X-Real-IP.
	TrustedProxies []netip.Prefix
	// Limits limit the requests of each client address; nil allows any number.
	Limits *ratelimit.Limiter
	// PresenceLimits limit the topics whose history a client address may begin by being present;
	// nil allows any number.
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
	// Admin serves the paths below /admin, which it gets without the base path; nil for none.
	// Limits of client addresses and origins of sites do not apply there.
	Admin *admin.Server
	// BasePath is the prefix of all paths, such as /tally, as package config parses it; or empty.
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
	warnedUntrusted atomic.Bool // a proxy that is not trusted was logged
	warnedUnusable  atomic.Bool // an unusable header of a trusted proxy was logged
	silentProxies   silentProxies

	unknownKeys atomic.Int64 // writes refused as unknown_key
}

// New returns an API.
func New(o Options) (*API, error) {
	if o.Service == nil || o.Hub == nil || o.Push == nil || o.Health == nil {
		return nil, errors.New("api: Service, Hub, Push and Health are required")
	}
	o.Logger = cmp.Or(o.Logger, slog.Default())
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

// Drain makes /readyz report that the instance is draining, until the process ends.
func (a *API) Drain() { a.isDraining.Store(true) }

// now returns the time since the start, which never goes back.
func (a *API) now() time.Duration { return time.Since(a.startedAt) }

// newIDPrefix returns 8 random characters, the prefix of the request ids of this process.
func newIDPrefix() string {
	var random [5]byte
	_, _ = rand.Read(random[:]) // never fails, see crypto/rand
	return strings.ToLower(base32.StdEncoding.EncodeToString(random[:])) + "-"
}
