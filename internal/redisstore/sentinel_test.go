package redisstore_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/redisstore"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// The Sentinels cannot reach the primary, which still answers the store, and promote its
// replica. Nothing that replicas confirmed is lost.
func TestSentinel_Failover(t *testing.T) {
	t.Parallel()
	sentinels := redistest.StartSentinels(t, redistest.Options{})
	old, next := sentinels.Servers[0], sentinels.Servers[1]
	var log logBuffer
	p := storeConfig{url: sentinels.URL(0) + "?wait=1", options: redisstore.Options{Logger: log.logger(), Timeout: processtest.Timeout}}
	prefix, page, other := newPrefix(), topic(t, "default/likes/page"), topic(t, "default/likes/other")
	first, second := p.connect(t, catalog(), prefix), p.connect(t, catalog(), prefix)
	direct := storeConfig{url: old.URL(0) + "?wait=1"}.connect(t, catalog(), prefix)
	viewers := []*viewer{watch(t, first, page, other), watch(t, second, page, other)}
	likes := startVisitors(t, first, page, other)
	likes.waitForMore(t, "at first", 100)

	sentinels.FailOver(t, func() { sentinels.Isolate(old, true) }, next)
	processtest.Eventually(t, "the store follows", func() bool { return first.Lane(page) == next.Addr && second.Lane(page) == next.Addr })
	b := assertAll(direct, 2*time.Second, page, 1, 1<<40)
	if b.Err == nil || tally.AsError(b.Err).Code != tally.CodeStoreUnavailable {
		t.Errorf("the demoted primary, which still answers, acknowledged a like: %+v", b)
	}
	processtest.Eventually(t, "Health says that nothing is acknowledged without a replica", func() bool {
		h := first.Health()
		return h.Err != nil && strings.Contains(h.Err.Error(), "replicas")
	})

	sentinels.Isolate(old, false)
	likes.waitForMore(t, "when the old primary is a replica", 100)
	likes.check(t, viewers)
	for _, v := range viewers {
		if !v.wasStale() {
			t.Error("the viewer did not get stale")
		}
	}
	processtest.Eventually(t, "Health is good again", func() bool { return first.Health().Err == nil && second.Health().Err == nil })
	log.checkErrors(t, "replicas")
	if got := log.lines("INFO", "primaries changed"); len(got) != 4 { // each store, at the start and after the failover
		t.Errorf("the change of primary is logged as %q", got)
	}
}

func TestSentinel_Unavailable(t *testing.T) {
	t.Parallel()
	sentinels := redistest.StartSentinels(t, redistest.Options{})
	url := sentinels.URL(0)
	wrong := storeConfig{url: "redis+sentinel://" + sentinels.Watchers[0].Addr + "/nobody"}.open(t, catalog(), newPrefix())
	if err := wrong.Connect(t.Context()); err == nil || !strings.Contains(err.Error(), `monitors no primary named "nobody"`) {
		t.Errorf("connected: %v", err)
	}
	if h := wrong.Health(); h.Reached || h.Err == nil {
		t.Errorf("health %+v", h)
	}
	b := assertAll(wrong, processtest.Timeout, topic(t, "default/likes/page"), 1, 1)
	var e *tally.Error
	if !errors.As(b.Err, &e) || e.Code != tally.CodeStoreUnavailable {
		t.Errorf("a like: %v", b.Err)
	}

	var log logBuffer
	store := storeConfig{url: url, options: redisstore.Options{Logger: log.logger()}}.connect(t, catalog(), newPrefix())
	page := topic(t, "default/likes/page")
	v := watch(t, store, page)
	for _, w := range sentinels.Watchers {
		w.Kill()
	}
	processtest.Eventually(t, "Health warns", func() bool {
		h := store.Health()
		return h.Err == nil && len(h.Warnings) > 0 && strings.Contains(h.Warnings[len(h.Warnings)-1], "cannot find the primary")
	})
	like(t, store, page, 1) // the primary is not affected
	v.waitFor(t, store, page, 1)
	if got := log.lines("WARN", "cannot find"); len(got) != 1 {
		t.Errorf("logged: %q", got)
	}
	for _, w := range sentinels.Watchers {
		w.Restart()
	}
	processtest.Eventually(t, "it is over", func() bool { return len(log.lines("INFO", "found the primary again")) == 1 })
	if v.wasStale() {
		t.Error("viewers got stale, though no change was missed")
	}
}

// Sentinels may have their own password or users.
func TestSentinel_Credentials(t *testing.T) {
	t.Parallel()
	sentinels := redistest.StartSentinels(t, redistest.Options{})
	const word, user = "w:tch/ ?&=%+@#é", "wat@ch+er"
	set := func(rules ...any) {
		t.Helper()
		for _, w := range sentinels.Watchers {
			w.Do(append([]any{"ACL", "SETUSER"}, rules...)...)
		}
	}
	with := func(name, password string) string {
		query := url.Values{}
		if name != "" {
			query.Set("sentinel_user", name)
		}
		if password != "" {
			query.Set("sentinel_password", password)
		}
		return sentinels.URL(0) + "?" + query.Encode()
	}
	works := func(what, url string) {
		t.Helper()
		store := storeConfig{url: url}.connect(t, catalog(), newPrefix())
		like(t, store, topic(t, "default/likes/page"), 1)
		if err := store.Close(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused := func(what, url string, parts ...string) {
		t.Helper()
		store := storeConfig{url: url}.open(t, catalog(), newPrefix())
		err := store.Connect(t.Context())
		if err == nil {
			t.Errorf("%s: connected", what)
			return
		}
		for _, part := range append(parts, sentinels.Watchers[0].Addr) {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%s: %q lacks %q", what, err, part)
			}
		}
		for _, secret := range []string{redistest.Password, word, "wrong-word"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: %q has the password %q", what, err, secret)
			}
		}
	}
	works("a password that Sentinels do not require", with("", word))

	set("default", "resetpass", ">"+redistest.Password)
	works("the password of Redis", sentinels.URL(0))

	set("default", "resetpass", ">"+word)
	works("a password of their own", with("", word))
	works("the user default", with("default", word))
	refused("the password of Redis", sentinels.URL(0), "refuses no password, and the user \"default\" with the password in front of the @", "sentinel_password")
	refused("a wrong password", with("", "wrong-word"), "the user \"default\" with the password of sentinel_password")

	set(user, "on", ">"+word, "+@all")
	set("default", "off")
	works("a user", with(user, word))
	refused("a user with a wrong password", with(user, "wrong-word"), "the user \"wat@ch+er\" with the password of sentinel_password")
	refused("no user", with("", word), "the user \"default\"")
	set(user, "-@all", "+auth", "+hello")
	refused("a user without rights", with(user, word), "NOPERM", "the user \"wat@ch+er\"")
	set(user, "+sentinel|get-master-addr-by-name")
	works("a user with the rights that are needed", with(user, word))
}

// After a Sentinel's password changed, the store tries all credentials of the URL again.
func TestSentinel_PasswordChanges(t *testing.T) {
	t.Parallel()
	sentinels := redistest.StartSentinels(t, redistest.Options{})
	store := storeConfig{url: sentinels.URL(0)}.connect(t, catalog(), newPrefix())
	for _, rule := range []string{">" + redistest.Password, "nopass", ">" + redistest.Password} {
		for _, w := range sentinels.Watchers {
			w.Do("ACL", "SETUSER", "default", "resetpass", rule)
			w.Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
		}
		// The store notices killed connections with the next request.
		processtest.Eventually(t, "the Sentinels answer", func() bool { return store.Connect(t.Context()) == nil })
	}
}

// An error of Redis names the node and the credentials.
func TestConnect_RefusedCredentials(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{Password: "right-word", Users: []string{"app on >app-word ~* &* +@all"}})
	for url, part := range map[string]string{
		"redis://" + server.Addr:                   "no password",
		"redis://:wrong-word@" + server.Addr:       "the user \"default\" with the password in front of the @",
		"redis://app:wrong-word@" + server.Addr:    "the user \"app\" with the password in front of the @",
		"redis://nobody:wrong-word@" + server.Addr: "the user \"nobody\"",
	} {
		err := storeConfig{url: url}.open(t, catalog(), newPrefix()).Connect(t.Context())
		if err == nil || !strings.Contains(err.Error(), part) || !strings.Contains(err.Error(), server.Addr) || strings.Contains(err.Error(), "wrong-word") {
			t.Errorf("%s: %v", url, err)
		}
	}
}
