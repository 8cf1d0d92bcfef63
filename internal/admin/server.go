package admin

import (
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
)

// Caller is who sends a request, as far as the HTTP edge knows.
type Caller struct {
	Address netip.Addr // the client's, with trusted proxies seen through
	// Client is the address by which wrong tokens are counted, see
	// [ratelimit.ClientAddress].
	Client     netip.Addr
	Origin     string // as the browser sent it; empty where it sent none
	SameOrigin bool   // Origin is the service's own
	Secure     bool   // the request is known to have come by https
	RequestID  string
	// Actor is who the audit log says it was; empty: the admin at Address.
	Actor string
}

// Options configure a [Server]. Desk, Store and Catalog are required.
type Options struct {
	Owner   *owner.Service
	Store   owner.Store // what is exported and imported
	Catalog *tally.Catalog
	Keys    *tally.KnownKeys // known keys of sites; may be nil
	// Token opens everything below /admin; without one nothing is there.
	Token string
	// StoreName is how the store is called, without credentials: the answers to the owner
	// carry it as [StoreHeader].
	StoreName string
	// BasePath is where the service is served below, such as /tally; or empty.
	BasePath string
	// Pages are the dashboard's files, index.html among them; nil: there is none.
	Pages  fs.FS
	Logger *slog.Logger     // slog.Default() when nil
	Now    func() time.Time // time.Now when nil
}

// StoreHeader names the store in the answers to the owner, so that commands can print
// which one they changed.
const StoreHeader = "Tally-Store"

// Server answers what stands below /admin. It is safe for concurrent use.
type Server struct {
	// Fixed after construction.
	owner     *owner.Service
	store     owner.Store
	catalog   *tally.Catalog
	keys      *tally.KnownKeys
	open      bool // there is a token
	token     [sha256.Size]byte
	storeName string
	basePath  string
	pages     fs.FS
	logger    *slog.Logger
	now       func() time.Time
	calls     *http.ServeMux

	attempts attempts
	sessions sessions
	noticed  atomic.Bool // that somebody asked while there is no token
}

// New returns a server. It starts nothing.
func New(o Options) *Server {
	s := &Server{
		owner:     o.Owner,
		store:     o.Store,
		catalog:   o.Catalog,
		keys:      o.Keys,
		open:      o.Token != "",
		token:     sha256.Sum256([]byte(o.Token)),
		storeName: o.StoreName,
		basePath:  o.BasePath,
		pages:     o.Pages,
		logger:    o.Logger,
		now:       o.Now,
		attempts:  attempts{buckets: map[netip.Addr]time.Duration{}},
		sessions:  newSessions(o.Token),
	}
	if s.logger == nil {
		s.logger = slog.Default()
	}
	if s.now == nil {
		s.now = time.Now
	}
	s.calls = s.newCalls()
	return s
}

// ServeAdmin answers a request whose path begins with /admin.
func (s *Server) ServeAdmin(w http.ResponseWriter, r *http.Request, caller Caller) {
	q := &request{s: s, w: w, r: r, caller: caller}
	h := w.Header()
	for _, each := range headers {
		h.Set(each[0], each[1])
	}
	if err := s.serve(q); err != nil {
		q.refuse(err)
	}
}

// headers stand on every answer. Pages replace the policy by their own.
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

// serve answers q, or says why not.
func (s *Server) serve(q *request) error {
	if !s.open {
		if s.noticed.CompareAndSwap(false, true) {
			s.logger.Info("somebody asked for /admin/, where nothing is without a token; --admin-token gives one", "address", q.caller.Address.String())
		}
		return errNoToken
	}
	if !strings.HasPrefix(q.r.URL.Path, callsBelow) {
		return s.servePage(q)
	}
	if err := q.refuseForeign(); err != nil {
		return err
	}
	if err := checkAddress(q.r); err != nil {
		return err
	}
	s.calls.ServeHTTP(q.w, q.r.WithContext(withRequest(q.r.Context(), q)))
	return nil
}

// errNoToken is the answer to everything below /admin of a service without a token.
var errNoToken = tally.Errorf(tally.CodeNotFound, "this service has no dashboard and takes no calls of an owner; start it with --admin-token")

var errNotFound = tally.Errorf(tally.CodeNotFound, "there is nothing at this address")

// authorize finds out whether whoever asks is the owner.
// Errors: not_authorized, rate_limited, and origin_not_allowed where a cookie came
// without what proves that our own page sent it.
func (s *Server) authorize(q *request) error {
	if scheme, token, ok := strings.Cut(q.r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return s.try(q, strings.TrimSpace(token))
	}
	cookie, err := q.r.Cookie(cookieName)
	if err != nil {
		return unauthorized("send the admin token as Authorization: Bearer, or sign in")
	}
	session, ok := s.sessions.read(cookie.Value, s.now())
	if !ok || s.owner.SessionEnded(session.name) {
		return unauthorized("the session is over; sign in again")
	}
	q.session = session
	if q.r.Method == http.MethodGet || q.r.Method == http.MethodHead {
		return nil
	}
	return q.checkForgery()
}

// try compares token with ours. Wrong tokens are counted by the caller's address.
// Errors: not_authorized, rate_limited after too many wrong tokens.
func (s *Server) try(q *request, token string) error {
	sum := sha256.Sum256([]byte(token)) // so that the comparison tells nothing of the length either
	if subtle.ConstantTimeCompare(sum[:], s.token[:]) == 1 {
		return nil
	}
	if wait := s.attempts.wrong(q.caller.Client, s.now()); wait > 0 {
		e := tally.Errorf(tally.CodeRateLimited, "this is not the admin token, and too many wrong ones came from this address")
		e.RetryAfter = wait
		return e
	}
	s.logger.Warn("a wrong admin token was sent", "address", q.caller.Address.String(), "request_id", q.caller.RequestID)
	return unauthorized("this is not the admin token")
}

func unauthorized(message string) error { return tally.Errorf(tally.CodeNotAuthorized, "%s", message) }

// refuse answers q with err. What the service did not expect is logged here, once.
func (q *request) refuse(err error) {
	e, status := problem.Of(err)
	if status == http.StatusInternalServerError {
		q.s.logger.Error("a request failed", "error", err, "method", q.r.Method, "route", q.r.Pattern, "request_id", q.caller.RequestID)
	}
	h := q.w.Header()
	problem.SetHeader(h, e, status, "")
	if status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="tallycast"`)
	}
	if problem.WantsPage(q.r) {
		problem.SetPageHeader(h)
		q.w.WriteHeader(status)
		_, _ = q.w.Write(problem.AppendPage(nil, e, status, "")) // the client may be gone
		return
	}
	h.Set("Content-Type", problem.Media)
	q.w.WriteHeader(status)
	_, _ = q.w.Write(problem.Append(nil, e, status, q.caller.RequestID)) // the client may be gone
}
