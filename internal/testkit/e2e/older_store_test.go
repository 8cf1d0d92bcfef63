package e2e_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// left subscribes a socket to topic, waits until it shows count, and unsubscribes it.
func left(s *service, topic string, count int64) (v *viewer, was frame) {
	s.t.Helper()
	v = s.dial("")
	v.say(`{"subscribe":["` + topic + `"]}`)
	was = v.sawCount(topic, count)
	v.say(`{"unsubscribe":["` + topic + `"]}`)
	// Once this is answered, what was said before it is done.
	v.say(`{"subscribe":["default/likes/another"]}`)
	v.sawEvents("live", 2)
	return v, was
}

// again subscribes the socket to topic again and checks that it gets the snapshot under a
// version above was.
func again(v *viewer, topic string, was frame, count int64) {
	v.t.Helper()
	before := len(v.seen())
	v.say(`{"subscribe":["` + topic + `"]}`)
	eventually(v.t, "a snapshot", func() bool { return len(v.seen()) >= before+2 && v.last(topic).Count == count })
	v.onlyGrows()
	if f := v.last(topic); f.Version <= was.Version {
		v.t.Errorf("%s after %s", f.raw, was.raw)
	}
}

// A socket that left a topic and comes back gets the number that is stored, under a version
// above the one that it was sent, whatever became of the topic meanwhile.
func TestSocket_SubscribeAgainAfterEdit(t *testing.T) {
	onEachStore(t, func(t *testing.T, m mended) {
		for name, act := range map[string]struct {
			edit  func(topic string)
			count int64
		}{
			"deleted": {func(topic string) { m.first.owner().ask("DELETE", "topics/"+topic, "").is(200) }, 0},
			"reset":   {func(topic string) { m.first.owner().ask("POST", "reset", `{"topics":["`+topic+`"]}`).is(200) }, 0},
			"deleted-and-liked": {func(topic string) {
				m.first.owner().ask("DELETE", "topics/"+topic, "").is(200)
				m.first.like(topic, "visitor-9", "1")
			}, 1},
		} {
			topic := "default/likes/" + name
			for i := range 7 {
				m.first.like(topic, visitor(i), "1")
			}
			v, was := left(m.last, topic, 7)
			act.edit(topic)
			again(v, topic, was, act.count)
			if c := m.last.read(topic); c.Count != act.count || c.Version < v.last(topic).Version {
				t.Errorf("%s: read %+v after %s", name, c, v.last(topic).raw)
			}
		}
	})
}

// The same for a Redis that was emptied, with nothing in it or with an older export.
func TestSocket_SubscribeAgainAfterRedisWentBack(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	a, b := pair(t, redis)
	const topic, other = "default/likes/x", "default/likes/y"
	for i := range 3 {
		a.like(topic, visitor(i), "1")
		a.like(other, visitor(i), "1")
	}
	export := filepath.Join(t.TempDir(), "numbers.jsonl")
	ran(t, "export", "--store", redis.URL(0), "--with-secret", export)
	for i := range 10 {
		a.like(topic, visitor(i), "1")
		a.like(other, visitor(i), "1")
	}
	gone, goneWas := left(a, topic, 10)
	restored, restoredWas := left(b, other, 10)
	redis.Do("FLUSHALL")
	again(gone, topic, goneWas, 0)
	// The page leaves again before the topic exists: the version of the missing topic counts.
	nothing := gone.last(topic)
	gone.say(`{"unsubscribe":["` + topic + `"]}`)
	ran(t, "import", "--store", redis.URL(0), export)
	again(restored, other, restoredWas, 3)
	again(gone, topic, nothing, 3)
}

// Pages that are open while an older export is imported into a Redis that was emptied show
// it at once, not with the next sweep.
func TestImport_OlderExportIntoEmptiedRedis(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	a, b := pair(t, redis)
	const topic = "default/likes/x"
	for i := range 3 {
		a.like(topic, visitor(i), "1")
	}
	export := filepath.Join(t.TempDir(), "numbers.jsonl")
	ran(t, "export", "--store", redis.URL(0), "--with-secret", export)
	for i := range 10 {
		a.like(topic, visitor(i), "1")
	}
	pages := []*viewer{a.watch("?topic=" + topic), b.dial("?topic=" + topic)}
	for _, v := range pages {
		v.sawCount(topic, 10)
		v.sawEvents("live", 1)
	}
	redis.Do("FLUSHALL")
	ran(t, "import", "--store", redis.URL(0), export)
	for _, v := range pages {
		within(t, 5*time.Second, "the stored number", func() bool { return v.last(topic).Count == 3 })
		v.onlyGrows()
	}
}

// After a restore every number has a version above all that were sent before, also one that
// is not in the backup and is liked again.
func TestRestore_RaisesVersions(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store, backup := "sqlite:"+filepath.Join(dir, "tally.db"), filepath.Join(dir, "backup.db")
	const kept, late = "default/likes/kept", "default/likes/late"
	s := serve(t, "--store", store)
	for i := range 3 {
		s.like(kept, visitor(i), "1")
	}
	ran(t, "backup", "--store", store, backup)
	for i := range 10 {
		s.like(kept, visitor(i), "1")
		s.like(late, visitor(i), "1")
	}
	v := s.watch("?topic=" + kept + "&topic=" + late)
	before := v.sawCount(kept, 10)
	lost := v.sawCount(late, 10)
	s.Kill()
	ran(t, "restore", "--store", store, backup)
	s = serve(t, "--store", store)
	again := s.watch("?topic=" + kept)
	if f := again.sawCount(kept, 3); f.Version <= max(before.Version, lost.Version) {
		t.Errorf("%s after %s", f.raw, before.raw)
	}
	if c := s.like(late, visitor(0), "1"); c.Count != 1 || c.Version <= lost.Version {
		t.Errorf("%+v after %s", c, lost.raw)
	}
	// Restored once more, over the restored one.
	newest := s.like(kept, visitor(9), "1").Version
	s.Kill()
	ran(t, "restore", "--store", store, backup)
	s = serve(t, "--store", store)
	if c := s.read(kept); c.Count != 3 || c.Version <= newest {
		t.Errorf("%+v after version %d", c, newest)
	}
}
