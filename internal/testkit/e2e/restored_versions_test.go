package e2e_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// subscribeAndLeave subscribes a socket to topic, waits until it shows count, and unsubscribes it.
func subscribeAndLeave(s *service, topic string, count int64) (v *viewer, was frame) {
	s.t.Helper()
	v = s.dial("")
	v.send(`{"subscribe":["` + topic + `"]}`)
	was = v.awaitCount(topic, count)
	v.send(`{"unsubscribe":["` + topic + `"]}`)
	// The answer to this follows the effects of all earlier messages.
	v.send(`{"subscribe":["default/likes/another"]}`)
	v.awaitEvents("live", 2)
	return v, was
}

// resubscribe subscribes the socket to topic again and checks that it gets the snapshot under a
// version above was.
func resubscribe(v *viewer, topic string, was frame, count int64) {
	v.t.Helper()
	before := len(v.received())
	v.send(`{"subscribe":["` + topic + `"]}`)
	processtest.Eventually(v.t, "a snapshot", func() bool { return len(v.received()) >= before+2 && v.last(topic).Count == count })
	v.checkVersions()
	if f := v.last(topic); f.Version <= was.Version {
		v.t.Errorf("%s after %s", f.raw, was.raw)
	}
}

// A socket that unsubscribed a topic and subscribes it again gets the stored count, under a version
// above the one that it received before, however the topic changed meanwhile.
func TestSocket_SubscribeAgainAfterEdit(t *testing.T) {
	onEachStore(t, func(t *testing.T, m ownedStore) {
		for name, act := range map[string]struct {
			edit  func(topic string)
			count int64
		}{
			"deleted": {func(topic string) { m.first.owner().call("DELETE", "topics/"+topic, "").wantStatus(200) }, 0},
			"reset":   {func(topic string) { m.first.owner().call("POST", "reset", `{"topics":["`+topic+`"]}`).wantStatus(200) }, 0},
			"deleted-and-liked": {func(topic string) {
				m.first.owner().call("DELETE", "topics/"+topic, "").wantStatus(200)
				m.first.like(topic, "visitor-9", "1")
			}, 1},
		} {
			topic := "default/likes/" + name
			for i := range 7 {
				m.first.like(topic, visitor(i), "1")
			}
			v, was := subscribeAndLeave(m.last, topic, 7)
			act.edit(topic)
			resubscribe(v, topic, was, act.count)
			if c := m.last.read(topic); c.Count != act.count || c.Version < v.last(topic).Version {
				t.Errorf("%s: read %+v after %s", name, c, v.last(topic).raw)
			}
		}
	})
}

// The same for a Redis that was emptied, without data or with an older export.
func TestSocket_SubscribeAgainAfterRedisWentBack(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{Hosted: true})
	a, b := pair(t, redis)
	const topic, other = "default/likes/x", "default/likes/y"
	for i := range 3 {
		a.like(topic, visitor(i), "1")
		a.like(other, visitor(i), "1")
	}
	export := filepath.Join(t.TempDir(), "numbers.jsonl")
	mustRun(t, "export", "--store", redis.URL(0), "--with-secret", export)
	for i := range 10 {
		a.like(topic, visitor(i), "1")
		a.like(other, visitor(i), "1")
	}
	gone, goneWas := subscribeAndLeave(a, topic, 10)
	restored, restoredWas := subscribeAndLeave(b, other, 10)
	redis.Do("FLUSHALL")
	resubscribe(gone, topic, goneWas, 0)
	// The page unsubscribes again before the topic exists. It received a version of the missing topic.
	missing := gone.last(topic)
	gone.send(`{"unsubscribe":["` + topic + `"]}`)
	mustRun(t, "import", "--store", redis.URL(0), export)
	resubscribe(restored, other, restoredWas, 3)
	resubscribe(gone, topic, missing, 3)
}

// Pages that are open while an older export is imported into a Redis that was emptied show
// it at once, not with the next sweep.
func TestImport_OlderExportIntoEmptiedRedis(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{Hosted: true})
	a, b := pair(t, redis)
	const topic = "default/likes/x"
	for i := range 3 {
		a.like(topic, visitor(i), "1")
	}
	export := filepath.Join(t.TempDir(), "numbers.jsonl")
	mustRun(t, "export", "--store", redis.URL(0), "--with-secret", export)
	for i := range 10 {
		a.like(topic, visitor(i), "1")
	}
	pages := []*viewer{a.watch("?topic=" + topic), b.dial("?topic=" + topic)}
	for _, v := range pages {
		v.awaitCount(topic, 10)
		v.awaitEvents("live", 1)
	}
	redis.Do("FLUSHALL")
	mustRun(t, "import", "--store", redis.URL(0), export)
	for _, v := range pages {
		processtest.Within(t, 5*time.Second, "the stored count", func() bool { return v.last(topic).Count == 3 })
		v.checkVersions()
	}
}

// After a restore every count has a version above all versions that were sent before, also the
// count of a topic that is not in the backup and is liked again.
func TestRestore_RaisesVersions(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store, backup := "sqlite:"+filepath.Join(dir, "tally.db"), filepath.Join(dir, "backup.db")
	const kept, late = "default/likes/kept", "default/likes/late"
	s := serve(t, "--store", store)
	for i := range 3 {
		s.like(kept, visitor(i), "1")
	}
	mustRun(t, "backup", "--store", store, backup)
	for i := range 10 {
		s.like(kept, visitor(i), "1")
		s.like(late, visitor(i), "1")
	}
	v := s.watch("?topic=" + kept + "&topic=" + late)
	before := v.awaitCount(kept, 10)
	lost := v.awaitCount(late, 10)
	s.Kill()
	mustRun(t, "restore", "--store", store, backup)
	s = serve(t, "--store", store)
	again := s.watch("?topic=" + kept)
	if f := again.awaitCount(kept, 3); f.Version <= max(before.Version, lost.Version) {
		t.Errorf("%s after %s", f.raw, before.raw)
	}
	if c := s.like(late, visitor(0), "1"); c.Count != 1 || c.Version <= lost.Version {
		t.Errorf("%+v after %s", c, lost.raw)
	}
	// A second restore over the first.
	newest := s.like(kept, visitor(9), "1").Version
	s.Kill()
	mustRun(t, "restore", "--store", store, backup)
	s = serve(t, "--store", store)
	if c := s.read(kept); c.Count != 3 || c.Version <= newest {
		t.Errorf("%+v after version %d", c, newest)
	}
}
