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
	"github.com/tallycast/tallycast/internal/ratelimit"
	"github.com/tallycast/tallycast/internal/tally"
)

// Caller describes the client of a request, as the HTTP edge determined it.
type Caller struct {
	Address netip.Addr // the client's, behind trusted proxies
	// Client is the address under which wrong tokens are counted, see [ratelimit.ClientAddress].
	Client     netip.Addr
	Origin     string // the Origin header; may be empty
	SameOrigin bool   // Origin is that of the service
	Secure     bool   // the client used https
	RequestID  string
	// Actor is the actor in the audit log; if it is empty, the actor is "admin" or "token" with the
	// token's name, and Address.
	Actor string
}

// Options configure a [Server]. Owner is required.
type Options struct {
	Owner *owner.Service
	Keys  *tally.KnownKeys // known keys of sites; may be nil
	// Token gives access to everything below /admin. If it is empty, the server answers
	// not_found to every request, also to one with a token for the owners of a site.
	Token string
	// StoreName names the store, without credentials, in [StoreHeader].
	StoreName string
	// ExportSecret makes exports carry the store's secret: for a store that the caller
	// opened itself.
	ExportSecret bool
	// BasePath is the path prefix of the service, such as /tally; may be empty.
	BasePath string
	// Pages are the dashboard's files in memory, with index.html; nil: no dashboard.
	Pages fs.FS

	Logger *slog.Logger     // default: slog.Default()
	Now    func() time.Time // default: time.Now
}

// StoreHeader names the store in responses to the holder of the admin token, so that commands
// can print which store they changed.
const StoreHeader = "Tally-Store"

// Server handles requests below /admin. It is safe for concurrent use.
type Server struct {
	// Fixed after construction.
	shared
	owner     *owner.Service // of all sites; handlers use the one of their request
	enabled   bool           // there is a token
	token     [sha256.Size]byte
	storeName string
	pages     fs.FS
	sessions  sessions
	calls     *http.ServeMux

	wrongTokens *ratelimit.Limiter // counts each as a read
	hinted      atomic.Bool        // how to enable the server was logged
}

// shared is the part of a Server that handlers may use. It is fixed after construction.
type shared struct {
	keys         *tally.KnownKeys
	exportSecret bool
	basePath     string
	logger       *slog.Logger
	now          func() time.Time
}

// New returns a Server. It starts no goroutines.
func New(o Options) *Server {
	s := &Server{
		shared: shared{
			keys:         o.Keys,
			exportSecret: o.ExportSecret,
			basePath:     o.BasePath,
			logger:       cmp.Or(o.Logger, slog.Default()),
			now:          o.Now,
		},
		owner:     o.Owner,
		enabled:   o.Token != "",
		token:     sha256.Sum256([]byte(o.Token)),
		storeName: o.StoreName,
		pages:     o.Pages,
		sessions:  newSessions(o.Token),

		wrongTokens: ratelimit.New(wrongTokenLimits, nil),
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.calls = s.newRouter(s.routes())
	return s
}

// ServeAdmin handles a request whose path begins with /admin.
func (s *Server) ServeAdmin(w http.ResponseWriter, r *http.Request, caller Caller) {
	q := &request{s: &s.shared, w: w, r: r, caller: caller}
	h := w.Header()
	for _, each := range headers {
		h.Set(each[0], each[1])
	}
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

// adminAccess is the access of the admin token.
var adminAccess = owner.Access{Role: owner.Admin}

// authorize determines the access of the client, and sets it in q. Errors: not_authorized,
// rate_limited, store_unavailable, and origin_not_allowed if a cookie comes without proof
// that the dashboard sent it.
func (s *Server) authorize(q *request) (err error) {
	if q.access, err = s.access(q); err != nil {
		return err
	}
	q.owner = s.owner.Within(q.access)
	if q.session == nil || q.r.Method == http.MethodGet || q.r.Method == http.MethodHead {
		return nil
	}
	return q.checkForgery()
}

// access returns the access of the token in the header, else that of the session in the cookie.
func (s *Server) access(q *request) (owner.Access, error) {
	if scheme, token, ok := strings.Cut(q.r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return s.checkToken(q, strings.TrimSpace(token))
	}
	cookie, err := q.r.Cookie(cookieName)
	if err != nil {
		return owner.Access{}, unauthorized("send the admin token, or a token for the owners of a site, as Authorization: Bearer, or sign in")
	}
	session, ok := s.sessions.read(cookie.Value, s.now())
	if !ok || s.owner.SessionEnded(session.name) {
		return owner.Access{}, errSessionEnded
	}
	access := adminAccess
	if session.token != "" {
		access, err = s.owner.Resume(q.r.Context(), session.token, session.id)
	}
	switch {
	case err == nil:
		q.session = session
	case tally.AsError(err).Code == tally.CodeNotAuthorized:
		err = errSessionEnded
	}
	return access, err
}

var errSessionEnded = unauthorized("the session has ended; sign in again")

// wrongTokenLimits limit the wrong tokens of one address. Ten in a minute are logged and answered with
// not_authorized. Further ones are answered with rate_limited, so that guessing does not fill the log.
var wrongTokenLimits = ratelimit.Limits{Reads: ratelimit.Limit{Count: 10, Per: time.Minute}, Burst: 1}

// checkToken returns the access of a token: the admin token, or one for the owners of a
// site. It limits and logs wrong tokens by the client's address. It always accepts a right token:
// otherwise another client behind the owner's proxy could lock the owner out, and guessing a token of
// 16 bytes or more is hopeless.
// Errors: not_authorized, rate_limited, store_unavailable.
func (s *Server) checkToken(q *request, token string) (owner.Access, error) {
	sum := sha256.Sum256([]byte(token)) // sums have one length, so the comparison does not reveal that of the token
	if subtle.ConstantTimeCompare(sum[:], s.token[:]) == 1 {
		return adminAccess, nil
	}
	access, err := s.owner.Authenticate(q.r.Context(), token)
	if err == nil || tally.AsError(err).Code != tally.CodeNotAuthorized {
		return access, err
	}
	if wait := s.wrongTokens.Read(q.caller.Client, 1); wait > 0 {
		e := tally.Errorf(tally.CodeRateLimited, "this is not the admin token, nor one for the owners of a site, and this address sent too many wrong tokens")
		e.RetryAfter = wait
		return owner.Access{}, e
	}
	s.logger.Warn("a client sent a wrong admin token", "address", q.caller.Address.String(), "request_id", q.caller.RequestID)
	return owner.Access{}, unauthorized("this is not the admin token, nor one for the owners of a site")
}

func unauthorized(message string) error { return tally.Errorf(tally.CodeNotAuthorized, "%s", message) }

// respondError responds with err and logs internal errors.
func (q *request) respondError(err error) {
	problem.Respond(q.w, q.r, err, problem.Details{RequestID: q.caller.RequestID, Route: q.r.Pattern, Log: q.s.logger})
}
