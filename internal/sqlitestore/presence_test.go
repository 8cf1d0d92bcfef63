package sqlitestore

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/tallycast/tallycast/internal/tally"
)

func TestPresence_VersionRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPresence(time.Now, newFeed())
		topic, err := tally.NewTopic(tally.DefaultSite, "readers", "page")
		if err != nil {
			t.Fatal(err)
		}
		kept := func() int {
			p.mu.Lock()
			defer p.mu.Unlock()
			return len(p.shares)
		}
		p.set(10*time.Second, []tally.Share{{Topic: topic, Pages: 2}})
		first := p.read(topic)
		time.Sleep(11 * time.Second)
		ended := p.read(topic)
		if ended.Count != 0 || ended.Version <= first.Version || kept() != 1 {
			t.Errorf("%v after %v, %d kept", ended, first, kept())
		}
		time.Sleep(versionRetention)
		if kept() != 0 {
			t.Errorf("%d versions are kept after their retention", kept())
		}
		p.set(10*time.Second, []tally.Share{{Topic: topic, Pages: 1}})
		if again := p.read(topic); again.Count != 1 || again.Version <= ended.Version {
			t.Errorf("%v after the version of %v was removed", again, ended)
		}
	})
}
