package admin

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"net/http"
	"time"

	"github.com/tallycast/tallycast/internal/owner"
)

const (
	// cookieName is the name of the session's cookie.
	cookieName = "tally_admin"
	// sessionTTL is how long a session lasts: a working day and some hours.
	sessionTTL = 12 * time.Hour
	// maxSignIn is the maximum size, in bytes, of the only body that needs no token.
	maxSignIn = 4 << 10
	// nonceBytes is the length of a session's random name.
	nonceBytes = 16
)

// sessions makes and reads cookies. A cookie consists of its expiry, a nonce, the id and the name of
// the token if it is one for the owners of a site, and the MAC of these under a key derived from the
// admin token. It proves to every instance with the same admin token that the client sent a valid
// token when it signed in, and reveals no token. Changing the admin token ends all sessions. The
// owner service knows which sessions were signed out, and which tokens exist.
type sessions struct{ key []byte }

// session is the content of a valid cookie.
type session struct {
	name  string // the nonce, which gives no access by itself
	until time.Time
	csrf  string
	token string        // name of the token; empty: the admin token
	id    owner.TokenID // of the token
}

func newSessions(token string) sessions {
	mac := hmac.New(sha256.New, []byte(token))
	mac.Write([]byte("tallycast admin session"))
	return sessions{key: mac.Sum(nil)}
}

// Lengths of the content of a cookie, without the MAC, before it is written as text. The
// name of the token follows.
const (
	adminCookieBytes = 8 + nonceBytes
	tokenCookieBytes = adminCookieBytes + len(owner.TokenID{})
)

// begin returns the value of a new cookie for a client with the access.
func (s sessions) begin(access owner.Access, now time.Time) string {
	content := make([]byte, adminCookieBytes)
	binary.BigEndian.PutUint64(content, uint64(now.Add(sessionTTL).Unix()))
	_, _ = rand.Read(content[8:]) // never fails, see crypto/rand
	if access.Token != "" {
		content = append(append(content, access.ID[:]...), access.Token...)
	}
	return base64.RawURLEncoding.EncodeToString(append(content, s.sum("cookie", content)...))
}

// read returns the session of a cookie's value; false if it is invalid or expired.
func (s sessions) read(value string, now time.Time) (*session, bool) {
	raw, err := base64.RawURLEncoding.DecodeString(value)
	n := len(raw) - sha256.Size
	if err != nil || n != adminCookieBytes && n <= tokenCookieBytes {
		return nil, false
	}
	content, mac := raw[:n:n], raw[n:]
	if !hmac.Equal(mac, s.sum("cookie", content)) {
		return nil, false
	}
	found := &session{until: time.Unix(int64(binary.BigEndian.Uint64(content)), 0).UTC()}
	found.name = hex.EncodeToString(content[8:adminCookieBytes])
	found.csrf = base64.RawURLEncoding.EncodeToString(s.sum("csrf", content))
	if n > tokenCookieBytes {
		found.id, found.token = owner.TokenID(content[adminCookieBytes:tokenCookieBytes]), string(content[tokenCookieBytes:])
	}
	return found, now.Before(found.until)
}

func (s sessions) sum(purpose string, content []byte) []byte {
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte(purpose))
	mac.Write([]byte{0})
	mac.Write(content)
	return mac.Sum(nil)
}

type signInBody struct {
	Token string `json:"token"`
}

// signIn answers POST /admin/v1/session, the one call that needs no authorization.
func (s *Server) signIn(q *request, body signInBody) (any, error) {
	access, err := s.checkToken(q, body.Token)
	if err != nil {
		return nil, err
	}
	q.setCookie(s.sessions.begin(access, s.now()), int(sessionTTL/time.Second))
	return nil, nil
}

// showSession answers GET /admin/v1/session.
func (q *request) showSession() (any, error) {
	if q.session == nil {
		return nil, unauthorized("this request has a token in its header, so it has no session")
	}
	return struct {
		CSRF  string     `json:"csrf"`
		Until time.Time  `json:"until"`
		Role  owner.Role `json:"role"`
		Token string     `json:"token,omitempty"`
		Sites []string   `json:"sites"`
	}{q.session.csrf, q.session.until, q.access.Role, q.access.Token, append([]string{}, q.owner.Catalog().Sites()...)}, nil
}

// signOut answers DELETE /admin/v1/session. The browser removes the cookie in any case. All instances
// refuse the cookie from now on; if the store is away, only this one does, and the response is the
// store's error.
func (q *request) signOut() (any, error) {
	q.setCookie("", -1)
	if q.session == nil {
		return nil, nil
	}
	return nil, q.owner.EndSession(q.detached(), q.access, q.session.name, q.session.until)
}

// setCookie sets the cookie for a number of seconds, or removes it if that is negative.
// Scripts cannot read it, and browsers send it only from pages of this site.
func (q *request) setCookie(value string, seconds int) {
	http.SetCookie(q.w, &http.Cookie{
		Name:     cookieName,
		Value:    value,
		Path:     q.s.basePath + "/admin",
		MaxAge:   seconds,
		Secure:   q.caller.Secure,
		HttpOnly: true,
		SameSite: http.SameSiteStrictMode,
	})
}
