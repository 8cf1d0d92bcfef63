package e2e_test

import (
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

const readers = "default/readers/page"

// Presence counts open pages, and pages that left for 3 s more.
func TestPresence_OpenPages(t *testing.T) {
	t.Parallel()
	s := serve(t)
	watcher := s.watch("?topic=" + readers)
	watcher.awaitEvents("live", 1)

	inQuery := s.watch("?topic=default/likes/x&present=" + readers)
	watcher.awaitCount(readers, 1)
	inBody := s.stream("POST", "/v1/stream", `{"present":["`+readers+`"]}`)
	watcher.awaitCount(readers, 2)
	socket := s.dial("?present=" + readers)
	watcher.awaitCount(readers, 3)
	inFrame := s.dial("")
	inFrame.send(`{"present":["` + readers + `"]}`)
	watcher.awaitCount(readers, 4)
	inFrame.send(`{"present":["` + readers + `"]}`) // a repetition counts once
	if c := s.read(readers); c.Count != 4 || c.Version == 0 {
		t.Errorf("read: %+v", c)
	}
	// Watching does not count. Other metrics cannot count presence.
	bystander := s.dial("?topic=" + readers + "&present=default/likes/x")
	bystander.awaitFrame("the refusal", func(f frame) bool { return f.Error != nil && f.Topic == "default/likes/x" })
	if c := s.read(readers); c.Count != 4 {
		t.Errorf("with a bystander: %+v", c)
	}

	left := time.Now()
	inFrame.send(`{"absent":["` + readers + `"]}`)
	f := watcher.awaitFrame("one less", func(f frame) bool { return f.Topic == readers && f.Count == 3 && f.at.After(left) })
	if after := f.at.Sub(left); after < 3*time.Second {
		t.Errorf("a page that went counted for %s more, want 3 s", after)
	}
	left = time.Now()
	inQuery.close()
	inBody.close()
	socket.close()
	f = watcher.awaitFrame("no reader", func(f frame) bool { return f.Topic == readers && f.Count == 0 && f.at.After(left) })
	if after := f.at.Sub(left); after < 3*time.Second {
		t.Errorf("pages that went counted for %s more, want 3 s", after)
	}
	watcher.checkVersions()
}

// Reloads of the only page do not set presence to 0.
func TestPresence_Reload(t *testing.T) {
	t.Parallel()
	s := serve(t)
	watcher := s.watch("?topic=" + readers)
	page := s.watch("?present=" + readers)
	watcher.awaitCount(readers, 1)
	for range 5 {
		page.close()
		page = s.watch("?present=" + readers)
		page.awaitEvents("live", 1)
	}
	// The pages before the reloads count for 3 s more.
	watcher.awaitFrame("more than one", func(f frame) bool { return f.Count > 1 })
	processtest.Eventually(t, "one page", func() bool { return watcher.last(readers).Count == 1 })
	for i, f := range watcher.received() {
		if i > 0 && f.Topic == readers && f.Count < 1 && watcher.received()[i-1].Count > 0 {
			t.Errorf("flickered: %s", watcher.transcript())
		}
	}
}

// After a restart presence counts from 0.
func TestPresence_Restart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store := "sqlite:" + dir + "/tally.db"
	s := serve(t, "--store", store)
	page := s.watch("?present=" + readers)
	processtest.Eventually(t, "a reader", func() bool { return s.read(readers).Count == 1 })
	version := s.read(readers).Version
	s.Kill()
	page.close()
	again := serve(t, "--store", store)
	processtest.Eventually(t, "no reader", func() bool { return again.read(readers).Count == 0 })
	next := again.watch("?topic=" + readers + "&present=" + readers)
	if f := next.awaitCount(readers, 1); f.Version <= version {
		t.Errorf("version %d after a restart, %d before", f.Version, version)
	}
}
