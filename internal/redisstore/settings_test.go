package redisstore_test

import (
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/redisstore"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
	"github.com/tallycast/tallycast/internal/testkit/redistest"
)

// An instance notices changes of settings whose broadcast was lost, at its next probe: also if
// another instance changed a setting and changed it back. An older release does not raise the
// revision: the digest shows its changes.
func TestSettings_ChangedWithoutBroadcast(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	prefix := newPrefix()
	store := storeConfig{url: server.URL(0), options: redisstore.Options{
		Intervals: redisstore.Intervals{Idle: 200 * time.Millisecond, Watched: 200 * time.Millisecond, Digest: 400 * time.Millisecond},
	}}.connect(t, catalog(), prefix)
	other := storeConfig{url: server.URL(0)}.connect(t, catalog(), prefix)
	startFeed(t, store)
	changed := func(what string) {
		t.Helper()
		select {
		case <-store.SettingsChanged():
		case <-time.After(processtest.Timeout):
			t.Fatal("not noticed: " + what)
		}
	}
	quiet := func() { // until a probe and a digest find nothing new
		t.Helper()
		processtest.Eventually(t, "no further changes", func() bool {
			select {
			case <-store.SettingsChanged():
				return false
			case <-time.After(time.Second):
				return true
			}
		})
	}
	swap := func(from, to string) {
		t.Helper()
		ok, err := other.SwapSettings(t.Context(), map[string]string{"name": from}, map[string]string{"name": to})
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
	}
	changed("the settings at the start")
	swap("", "a")
	changed("the first setting")
	quiet()
	swap("a", "b")
	swap("b", "a")
	changed("a setting that was changed and changed back")
	quiet()
	server.Do("HSET", prefix+":register", "name", "c")
	changed("a setting of a former release")
	if settings, err := store.Settings(t.Context()); err != nil || len(settings) != 1 || settings["name"] != "c" {
		t.Errorf("%v, %v", settings, err)
	}
}
