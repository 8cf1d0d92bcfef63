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
	// cookieName is the cookie that who signed in has.
	cookieName = "tally_admin"
	// sessionLasts is how long a sign-in holds: a working day with some to spare.
	sessionLasts = 12 * time.Hour
	// maxSignIn bounds, in bytes, the one body that anybody may send.
	maxSignIn = 4 << 10
	// nonceBytes tells sessions from each other.
	nonceBytes = 16
)

// sessions makes and reads cookies. A cookie is the time of its end, a nonce, and
// their MAC under a key made of the token: it proves that its holder knew the token,
// to every instance that has the same, and tells nobody what it is. Another token
// ends all sessions. Which were signed out of the desk knows.
type sessions struct{ key []byte }

// session is a cookie that was found to be ours.
type session struct {
	name  string // what the desk calls it: its nonce, which opens nothing by itself
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

// begin returns a cookie's value, good until the time returned.
func (s sessions) begin(now time.Time) (value string, until time.Time) {
	until = now.Add(sessionLasts).Truncate(time.Second)
	content := binary.BigEndian.AppendUint64(make([]byte, 0, cookieBytes), uint64(until.Unix()))
	content = content[:8+nonceBytes]
	_, _ = rand.Read(content[8:]) // never fails, see crypto/rand
	return base64.RawURLEncoding.EncodeToString(append(content, s.sum("cookie", content)...)), until
}

// read returns the session that a cookie's value stands for.
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

// signIn answers POST /admin/v1/session.
func (q *request) signIn() error {
	var said struct {
		Token string `json:"token"`
	}
	if err := q.decodeUpTo(&said, maxSignIn); err != nil {
		return err
	}
	if err := q.s.try(q, said.Token); err != nil {
		return err
	}
	value, _ := q.s.sessions.begin(q.s.now())
	q.setCookie(value, int(sessionLasts/time.Second))
	q.done()
	return nil
}

// showSession answers GET /admin/v1/session.
func (q *request) showSession() error {
	if q.session == nil {
		return unauthorized("this call came with the token itself, not with a session")
	}
	q.answer(struct {
		CSRF  string    `json:"csrf"`
		Until time.Time `json:"until"`
	}{q.session.csrf, q.session.until})
	return nil
}

// signOut answers DELETE /admin/v1/session. The browser drops the cookie in any case;
// all instances refuse it from then on, unless the store is away: then this one does,
// and the answer says so.
func (q *request) signOut() error {
	q.setCookie("", -1)
	if q.session != nil {
		if err := q.s.owner.EndSession(q.carriedThrough(), q.session.name, q.session.until); err != nil {
			return err
		}
	}
	q.done()
	return nil
}

// setCookie sets the cookie for seconds, or with less than none drops it. Scripts do not
// see it, and browsers send it from our own pages alone.
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
