package api

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tallycast/tallycast/internal/sqlitestore"
	"github.com/tallycast/tallycast/internal/tally"
)

func TestRead_StoreAway(t *testing.T) {
	r := newRig(t, nil)
	r.do("POST", "/v1/blog/likes/x", "").hasStatus(200)
	_, lines := r.open("GET", "/v1/stream?topic=blog/likes/x", "")
	until(t, lines, `"count":1`)
	if err := r.store.Close(); err != nil {
		t.Fatal(err)
	}
	a := r.do("GET", "/v1/blog/likes/x", "").hasStatus(200).contains(`"count":1`).contains(`"stale":true`).hasHeader("Cache-Control", "no-store")
	if a.header.Get("Etag") != "" {
		t.Error("a stale number has an ETag")
	}
	r.do("GET", "/v1/blog/likes/y", "").hasError(503, "store_unavailable").hasHeader("Retry-After", "1")
	r.do("POST", "/v1/blog/likes/x", "").hasError(503, "store_unavailable")
	r.do("GET", "/v1/counts?topic=blog/likes/y&topic=blog/likes/x", "").hasStatus(200).contains(`"stale":true`).contains(`"code":"store_unavailable"`)
	r.do("GET", "/v1/counts?topic=blog/likes/y", "").hasError(503, "store_unavailable")
	r.do("GET", "/badge/blog/likes/x.svg", "").hasStatus(200)
	r.do("GET", "/badge/blog/likes/y.svg", "").hasError(503, "store_unavailable")
	r.do("GET", "/v1/top/blog/likes", "").hasError(503, "store_unavailable")
	r.do("GET", "/", "").hasStatus(200)
	if strings.Contains(r.log.String(), "level=ERROR") {
		t.Errorf("errors in the log while the store is away: %s", r.log.String())
	}
}

// A replica of a store that is away answers lists and histories, marked stale.
func TestReads_StaleReplica(t *testing.T) {
	store, err := sqlitestore.Open(t.Context(), filepath.Join(t.TempDir(), "tally.db"), catalog, sqlitestore.Options{TopInterval: time.Millisecond, History: tally.MaxHistory})
	if err != nil {
		t.Fatal(err)
	}
	r := newRigOn(t, store, func(o *Options) { o.Service = tally.NewService(staleStore{store}, catalog) })
	r.do("POST", "/v1/blog/likes/x", `{"visitor":"`+ann+`"}`).hasStatus(200)
	for _, path := range []string{"/v1/top/blog/likes", "/v1/top/blog/likes?since=24h", "/v1/history/blog/likes/x", "/v1/history/blog/likes/none"} {
		r.do("GET", path, "").hasStatus(200).contains(`,"stale":true}`).hasHeader("Cache-Control", "no-store").hasHeader("Etag", "")
	}
	a := r.do("POST", "/v1/counts", `{"topics":["blog/likes/x"],"visitor":"`+ann+`"}`).hasStatus(200).contains(`"count":1`).contains(`"stale":true}]}`)
	if strings.Contains(string(a.body), `"mine"`) {
		t.Errorf("a stale number has a contribution: %s", a.body)
	}
}

// staleStore is a store whose replica answers.
type staleStore struct{ storage }

func (staleStore) IsStale() bool { return true }
