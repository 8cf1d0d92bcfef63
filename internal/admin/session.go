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

// sessions makes and reads cookies. A cookie is its expiry, a nonce, and their MAC under a
// key derived from the token. It proves knowledge of the token to every instance with the
// same token, without revealing it. Changing the token ends all sessions. The owner service
// records which sessions were signed out.
type sessions struct{ key []byte }

// session is the content of a valid cookie.
type session struct {
	name  string // the nonce, which gives no access by itself
	until time.Time
	csrf  string
}

func newSessions(token string) sessions {
	mac := hmac.New(sha256.New, []byte(token))
	mac.Write([]byte("tallycast admin session"))
	return sessions{key: mac.Sum(nil)}
}

// cookieBytes is the length of a cookie's value before it is written as text.
const cookieBytes = 8 + nonceBytes + sha256.Size

// begin returns the value of a new cookie.
func (s sessions) begin(now time.Time) string {
	content := make([]byte, 8+nonceBytes, cookieBytes)
	binary.BigEndian.PutUint64(content, uint64(now.Add(sessionTTL).Unix()))
	_, _ = rand.Read(content[8:]) // never fails, see crypto/rand
	return base64.RawURLEncoding.EncodeToString(append(content, s.sum("cookie", content)...))
}

// read returns the session of a cookie's value; false if it is invalid or expired.
func (s sessions) read(value string, now time.Time) (*session, bool) {
	raw, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil || len(raw) != cookieBytes {
		return nil, false
	}
	content, mac := raw[:8+nonceBytes], raw[8+nonceBytes:]
	if !hmac.Equal(mac, s.sum("cookie", content)) {
		return nil, false
	}
	found := &session{until: time.Unix(int64(binary.BigEndian.Uint64(content)), 0).UTC()}
	found.name = hex.EncodeToString(content[8:])
	found.csrf = base64.RawURLEncoding.EncodeToString(s.sum("csrf", content))
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

// signIn answers POST /admin/v1/session.
func (q *request) signIn(body signInBody) (any, error) {
	if err := q.s.checkToken(q, body.Token); err != nil {
		return nil, err
	}
	q.setCookie(q.s.sessions.begin(q.s.now()), int(sessionTTL/time.Second))
	return nil, nil
}

// showSession answers GET /admin/v1/session.
func (q *request) showSession() (any, error) {
	if q.session == nil {
		return nil, unauthorized("this request carries the token itself and has no session")
	}
	return struct {
		CSRF  string    `json:"csrf"`
		Until time.Time `json:"until"`
	}{q.session.csrf, q.session.until}, nil
}

// signOut answers DELETE /admin/v1/session. The browser removes the cookie in any case, and
// all instances refuse it. If the store is away, only this instance does, and the response
// is the store's error.
func (q *request) signOut() (any, error) {
	q.setCookie("", -1)
	if q.session == nil {
		return nil, nil
	}
	return nil, q.s.owner.EndSession(q.detached(), q.session.name, q.session.until)
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
