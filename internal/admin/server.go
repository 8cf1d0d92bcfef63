package admin

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"io/fs"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/problem"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/transfer"
)

// Caller describes the client of a request, as the HTTP edge determined it.
type Caller struct {
	Address netip.Addr // the client's, behind trusted proxies
	// Client is the address by which wrong tokens are counted, see
	// [ratelimit.ClientAddress].
	Client     netip.Addr
	Origin     string // the Origin header; may be empty
	SameOrigin bool   // Origin is that of the service
	Secure     bool   // the client used https
	RequestID  string
	// Actor is the actor in the audit log; empty: "admin" and Address.
	Actor string
}

// Store is the part of a store that exports read and imports write.
type Store interface {
	transfer.Source
	transfer.TargetStore
	tally.SecretSource
}

// Options configure a [Server]. Owner, Store and Catalog are required.
type Options struct {
	Owner   *owner.Service
	Store   Store
	Catalog *tally.Catalog
	Keys    *tally.KnownKeys // known keys of sites; may be nil
	// Token gives access to everything below /admin. If it is empty, every request is answered
	// not_found.
	Token string
	// StoreName names the store, without credentials, in [StoreHeader].
	StoreName string
	// ExportSecret makes exports carry the store's secret: for a store that the caller
	// opened itself.
	ExportSecret bool
	// BasePath is the path prefix of the service, such as /tally; may be empty.
	BasePath string
	// Pages are the dashboard's files, with index.html; nil: no dashboard.
	Pages fs.FS

	Logger *slog.Logger     // default: slog.Default()
	Now    func() time.Time // default: time.Now
}

// StoreHeader names the store in responses to the owner, so that commands can print which
// store they changed.
const StoreHeader = "Tally-Store"

// Server handles requests below /admin. It is safe for concurrent use.
type Server struct {
	// Fixed after construction.
	owner        *owner.Service
	store        Store
	catalog      *tally.Catalog
	keys         *tally.KnownKeys
	enabled      bool // there is a token
	token        [sha256.Size]byte
	storeName    string
	exportSecret bool
	basePath     string
	pages        fs.FS
	logger       *slog.Logger
	now          func() time.Time
	calls        *http.ServeMux

	attempts attempts
	sessions sessions
	hinted   atomic.Bool // the log says how to enable the server
}

// New returns a Server. It starts no goroutines.
func New(o Options) *Server {
	s := &Server{
		owner:        o.Owner,
		store:        o.Store,
		catalog:      o.Catalog,
		keys:         o.Keys,
		enabled:      o.Token != "",
		token:        sha256.Sum256([]byte(o.Token)),
		storeName:    o.StoreName,
		exportSecret: o.ExportSecret,
		basePath:     o.BasePath,
		pages:        o.Pages,
		logger:       cmp.Or(o.Logger, slog.Default()),
		now:          o.Now,
		attempts:     attempts{buckets: map[netip.Addr]time.Duration{}},
		sessions:     newSessions(o.Token),
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.calls = s.newCalls()
	return s
}

// ServeAdmin handles a request whose path begins with /admin.
func (s *Server) ServeAdmin(w http.ResponseWriter, r *http.Request, caller Caller) {
	q := &request{s: s, w: w, r: r, caller: caller}
	h := w.Header()
	for _, each := range headers {
		h.Set(each[0], each[1])
	}
	defer q.recover()
	if err := s.serve(q); err != nil {
		q.respondError(err)
	}
}

// headers are set on every response. Pages have a policy of their own.
var headers = [][2]string{
	{"Cache-Control", "no-store"},
	{"Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"},
	{"Cross-Origin-Opener-Policy", "same-origin"},
	{"Cross-Origin-Resource-Policy", "same-origin"},
	{"Referrer-Policy", "no-referrer"},
	{"X-Content-Type-Options", "nosniff"},
	{"X-Frame-Options", "DENY"},
	{"Vary", "Origin, Cookie, Authorization"},
}

// serve handles q or returns an error to respond with.
func (s *Server) serve(q *request) error {
	if !s.enabled {
		if s.hinted.CompareAndSwap(false, true) {
			s.logger.Info("a client requested /admin/, which is off: set --admin-token to enable it", "address", q.caller.Address.String())
		}
		return errNoToken
	}
	if !strings.HasPrefix(q.r.URL.Path, callsPath) {
		return s.servePage(q)
	}
	if err := q.rejectForeign(); err != nil {
		return err
	}
	if err := checkURL(q.r); err != nil {
		return err
	}
	s.calls.ServeHTTP(q.w, q.r.WithContext(context.WithValue(q.r.Context(), requestKey{}, q)))
	return nil
}

// errNoToken answers every request below /admin of a service without a token.
var errNoToken = tally.Errorf(tally.CodeNotFound, "the dashboard and the owner's calls are off; start the service with --admin-token to enable them")

var errNotFound = tally.Errorf(tally.CodeNotFound, "there is nothing at this path")

// authorize checks that the client is the owner. Errors: not_authorized, rate_limited, and
// origin_not_allowed if a cookie comes without proof that the dashboard sent it.
func (s *Server) authorize(q *request) error {
	if scheme, token, ok := strings.Cut(q.r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return s.checkToken(q, strings.TrimSpace(token))
	}
	cookie, err := q.r.Cookie(cookieName)
	if err != nil {
		return unauthorized("send the admin token as Authorization: Bearer, or sign in")
	}
	session, ok := s.sessions.read(cookie.Value, s.now())
	if !ok || s.owner.SessionEnded(session.name) {
		return unauthorized("the session has ended; sign in again")
	}
	q.session = session
	if q.r.Method == http.MethodGet || q.r.Method == http.MethodHead {
		return nil
	}
	return q.checkForgery()
}

// checkToken compares token with the admin token. It limits and logs wrong tokens by the
// client's address. Errors: not_authorized, rate_limited.
func (s *Server) checkToken(q *request, token string) error {
	sum := sha256.Sum256([]byte(token)) // so that the time of the comparison does not reveal the length
	if subtle.ConstantTimeCompare(sum[:], s.token[:]) == 1 {
		return nil
	}
	if wait := s.attempts.wrong(q.caller.Client, s.now()); wait > 0 {
		e := tally.Errorf(tally.CodeRateLimited, "this is not the admin token, and this address sent too many wrong tokens")
		e.RetryAfter = wait
		return e
	}
	s.logger.Warn("a client sent a wrong admin token", "address", q.caller.Address.String(), "request_id", q.caller.RequestID)
	return unauthorized("this is not the admin token")
}

func unauthorized(message string) error { return tally.Errorf(tally.CodeNotAuthorized, "%s", message) }

// respondError responds with err and logs internal errors.
func (q *request) respondError(err error) {
	problem.Respond(q.w, q.r, err, problem.Details{RequestID: q.caller.RequestID, Route: q.r.Pattern, Log: q.s.logger})
}
