package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// pair starts two instances on one Redis.
func pair(t *testing.T, redis *redistest.Server, args ...string) (a, b *service) {
	t.Helper()
	args = append([]string{"--store", redis.URL(0)}, args...)
	return serve(t, args...), serve(t, args...)
}

// A like on one instance reaches viewers of another within 100 ms. The test does not run beside
// others, which would use all cores.
func TestInstances_Latency(t *testing.T) {
	a, b := pair(t, redistest.Start(t, redistest.Options{Hosted: true}))
	stream, socket := b.watch("?topic=default/likes/x"), b.dial("?topic=default/likes/x")
	stream.awaitEvents("live", 1)
	socket.awaitEvents("live", 1)
	var took []time.Duration
	for i := range int64(15) {
		pressed := time.Now()
		a.like("default/likes/x", visitor(int(i)), "1")
		for _, v := range []*viewer{stream, socket} {
			took = append(took, v.awaitCount("default/likes/x", i+1).at.Sub(pressed))
		}
	}
	slices.Sort(took)
	t.Logf("median %s, most %s", took[len(took)/2], took[len(took)-1])
	if median := took[len(took)/2]; median > 100*time.Millisecond {
		t.Errorf("median %s of %v", median, took)
	}
}

// Likes that are sent twice to each instance count once.
func TestInstances_RepeatedLikes(t *testing.T) {
	t.Parallel()
	a, b := pair(t, redistest.Start(t, redistest.Options{Hosted: true}))
	va, vb := a.watch("?topic=default/likes/x"), b.watch("?topic=default/likes/x")
	va.awaitEvents("live", 1)
	vb.awaitEvents("live", 1)
	const likes = 500
	each(4*likes, 32, func(i int) {
		s := []*service{a, b}[i%2]
		if answer, err := s.try("POST", "/v1/default/likes/x", "", "Tally-Visitor: "+visitor(i/4)); err != nil || answer.status != 200 {
			t.Errorf("like %d: %d %v %s", i, answer.status, err, answer.body)
		}
	})
	for _, s := range []*service{a, b} {
		if c := s.read("default/likes/x"); c.Count != likes {
			t.Errorf("%+v", c)
		}
	}
	for _, v := range []*viewer{va, vb} {
		v.awaitCount("default/likes/x", likes)
		v.checkVersions()
	}
}

// The rate limit counts across instances.
func TestInstances_RateLimit(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{Hosted: true})
	args := []string{"--store", redis.URL(0), "--rate-limit", "10/h", "--new-topic-limit", "3/h"} // 30 at once
	a, b := serveIn(t, nil, args...), serveIn(t, nil, args...)
	for i := range 30 {
		a.like("default/likes/x", visitor(i), "1")
	}
	// Instances exchange their counters every 100 ms. Until then each has the full limit.
	processtest.Within(t, 5*time.Second, "the other instance refuses", func() bool {
		return b.do("POST", "/v1/default/likes/x", "", "Tally-Visitor: visitor-0").status == 429
	})
	b.from("127.0.0.2").like("default/likes/x", "visitor-99", "1")
	b.get("/v1/default/likes/x").wantStatus(200)
}

// The topic limit counts across instances. Visitors who contributed may still change their
// contributions on each of them.
func TestInstances_TopicLimit(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{Hosted: true})
	args := []string{"--store", redis.URL(0), "--rate-limit", "off", "--topic-limit", "20/h"}
	a, b := serveIn(t, nil, args...), serveIn(t, nil, args...)
	for i := range 20 {
		a.like("default/claps/x", visitor(i), "1")
	}
	next := 20
	processtest.Within(t, 5*time.Second, "the other instance refuses", func() bool {
		next++
		return b.do("POST", "/v1/default/claps/x", "", "Tally-Visitor: "+visitor(next)).status == 429
	})
	b.like("default/claps/x", visitor(0), "5")
	b.like("default/claps/x", visitor(0), "0")
	b.do("POST", "/v1/default/claps/x", "", "Tally-Visitor: "+visitor(0)).wantProblem(429, "rate_limited").wantBody("--topic-limit")
	b.like("default/claps/y", visitor(0), "1")
	b.from("127.0.0.2").like("default/claps/x", visitor(99), "1")
}

// All instances return the same top list.
func TestInstances_Top(t *testing.T) {
	t.Parallel()
	a, b := pair(t, redistest.Start(t, redistest.Options{Hosted: true}))
	for i := range 5 {
		for n := range i + 1 {
			[]*service{a, b}[n%2].like(fmt.Sprintf("default/likes/page-%d", i), visitor(n), "1")
		}
	}
	for _, s := range []*service{a, b} {
		processtest.Within(t, 10*time.Second, "the listing, which may be 2 s behind", func() bool {
			top := s.get("/v1/top/default/likes").counts()
			if len(top) != 5 {
				return false
			}
			for i, c := range top {
				if c.Topic != fmt.Sprintf("default/likes/page-%d", 4-i) || c.Count != int64(5-i) {
					return false
				}
			}
			return true
		})
	}
}

// An instance with another secret than the store's is not ready and accepts nothing.
func TestInstances_AnotherSecret(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{Hosted: true})
	first := serve(t, "--store", redis.URL(0), "--secret", "first-secret-of-16")
	first.like("default/likes/x", "visitor-1", "1")
	second := startWith(t, nil, "--store", redis.URL(0), "--secret", "other-secret-of-16")
	processtest.Eventually(t, "the conflict", func() bool { return strings.Contains(second.operator.get("/readyz").body, "conflict") })
	second.operator.get("/readyz").wantStatus(503).wantBody("secret")
	second.do("POST", "/v1/default/likes/x", `{"visitor":"visitor-1"}`).wantProblem(503, "store_unavailable")
	// Without its own secret an instance uses the store's.
	third := serve(t, "--store", redis.URL(0))
	if c := third.like("default/likes/x", "visitor-1", "1"); c.Count != 1 || *c.Changed {
		t.Errorf("%+v", c)
	}
	for _, s := range []*service{first, second} {
		if log := s.Log.String(); strings.Contains(log, "-secret-of-16") {
			t.Error("a secret was logged")
		}
	}
}

// Redis can require TLS, user and password. No password is logged.
func TestRedis_TLSAndUser(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{TLS: true, Password: "password-of-default", Users: []string{"app on >password-of-app ~* &* +@all"}})
	// The certificate is self-signed, so it replaces the system's trusted certificates.
	certificates, err := filepath.Glob(filepath.Join(redis.Dir, "*.crt"))
	if err != nil || len(certificates) != 1 {
		t.Fatalf("certificates: %v, %v", certificates, err)
	}
	s := serveIn(t, []string{"SSL_CERT_FILE=" + certificates[0], "REDIS_URL=" + redis.URLAs("app", "password-of-app", 0)}, unlimited...)
	v := s.watch("?topic=default/likes/x")
	v.awaitEvents("live", 1)
	s.like("default/likes/x", "visitor-1", "1")
	v.awaitCount("default/likes/x", 1)
	stranger := startWith(t, []string{"SSL_CERT_FILE=" + os.DevNull, "REDIS_URL=" + redis.URLAs("app", "password-of-app", 0)})
	wrong := startWith(t, []string{"SSL_CERT_FILE=" + certificates[0], "REDIS_URL=" + redis.URLAs("app", "password-that-is-wrong", 0)})
	for _, each := range []*service{stranger, wrong} {
		processtest.Eventually(t, "the error of the store", func() bool { return strings.Contains(each.operator.get("/readyz").body, `"error"`) })
		each.do("POST", "/v1/default/likes/x", `{"visitor":"visitor-1"}`).wantProblem(503, "store_unavailable")
	}
	for _, each := range []*service{s, stranger, wrong} {
		if strings.Contains(each.Log.String(), "password-") {
			t.Error("a password was logged")
		}
	}
}

// A Redis that evicts keys is refused unless --allow-eviction is set.
func TestRedis_Eviction(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{Args: []string{"--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"}})
	s := startWith(t, nil, "--store", redis.URL(0))
	processtest.Eventually(t, "the refusal", func() bool { return strings.Contains(s.operator.get("/readyz").body, "allkeys-lru") })
	s.operator.get("/readyz").wantStatus(503)
	allowed := serve(t, "--store", redis.URL(0), "--allow-eviction")
	allowed.like("default/likes/x", "visitor-1", "1")
	allowed.operator.get("/readyz").wantStatus(200).wantBody("warnings")
}

// A hosted Redis forbids commands and closes idle connections. The instance warns and works: a
// like after a pause is counted at the first attempt.
func TestInstances_HostedRedis(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{Hosted: true})
	s := serve(t, "--store", redis.URL(0))
	if answer := s.operator.get("/readyz"); answer.status != 200 || !strings.Contains(answer.body, "INFO is forbidden") {
		t.Errorf("/readyz: %d %s", answer.status, answer.body)
	}
	processtest.Eventually(t, "Redis closes the idle connections", func() bool {
		return strings.Count(fmt.Sprint(redis.Do("CLIENT", "LIST", "TYPE", "normal")), "user=hosted") == 0
	})
	if c := s.like("default/likes/page", "visitor-1", "1"); c.Count != 1 {
		t.Errorf("after a pause: %+v", c)
	}
	if lines := s.warnings(); len(lines) > 0 {
		t.Errorf("warnings: %v", lines)
	}
}
