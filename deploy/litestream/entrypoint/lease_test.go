package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// startStorage starts an S3 server with a bucket behind wrap, and returns a function that
// makes leases on one replica in it.
func startStorage(t *testing.T, wrap func(http.Handler) http.Handler) func() *lease {
	t.Helper()
	t.Setenv("LITESTREAM_ACCESS_KEY_ID", "key")
	t.Setenv("LITESTREAM_SECRET_ACCESS_KEY", "secret")
	backend := s3mem.New()
	if err := backend.CreateBucket("counts"); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(wrap(gofakes3.New(backend).Server()))
	t.Cleanup(server.Close)
	return func() *lease {
		t.Helper()
		l, err := newLease(t.Context(), "s3://counts/blog?region=auto&endpoint="+server.URL, filepath.Join(t.TempDir(), "lease"), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
}

// A storage that ignores conditions of writes is refused.
func TestLease_StorageWithoutConditions(t *testing.T) {
	for _, ignored := range []string{"If-Match", "If-None-Match"} {
		lease := startStorage(t, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r.Header.Del(ignored)
				next.ServeHTTP(w, r)
			})
		})()
		if err := lease.acquire(t.Context(), 0); err == nil || !strings.Contains(err.Error(), "ignores "+ignored) {
			t.Errorf("without %s: %v", ignored, err)
		}
	}
}

// A renewal whose reply is lost does not lose the lease, and no other process gets it.
func TestLease_LostReply(t *testing.T) {
	var losing atomic.Bool
	newLease := startStorage(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut && losing.CompareAndSwap(true, false) {
				next.ServeHTTP(httptest.NewRecorder(), r)
				panic(http.ErrAbortHandler)
			}
			next.ServeHTTP(w, r)
		})
	})
	own, other := newLease(), newLease()
	if err := own.acquire(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	losing.Store(true)
	if err := own.renew(t.Context(), own.record); err == nil || errors.Is(err, errConflict) {
		t.Errorf("a renewal without a reply: %v", err)
	}
	if err := own.renew(t.Context(), own.record); err != nil {
		t.Error(err)
	}
	if err := other.acquire(t.Context(), 0); err == nil || !strings.Contains(err.Error(), "another container") {
		t.Errorf("a second process: %v", err)
	}
	if err := own.release(); err != nil {
		t.Error(err)
	}
	if err := other.acquire(t.Context(), 0); err != nil {
		t.Error(err)
	}
	if err := own.renew(t.Context(), own.record); !errors.Is(err, errConflict) {
		t.Errorf("a renewal after another process has the lease: %v", err)
	}
}

// The lease is renewed during work that takes longer than the lease, such as restoring a
// large database. The work ends if the lease is lost.
func TestLease_LongWork(t *testing.T) {
	var isAway atomic.Bool
	newLease := startStorage(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if isAway.Load() {
				panic(http.ErrAbortHandler)
			}
			next.ServeHTTP(w, r)
		})
	})
	own, other := newLease(), newLease()
	own.duration, other.duration = 2*time.Second, 2*time.Second
	if err := own.acquire(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	err := own.holdWhile(t.Context(), func(held context.Context) error {
		if err := other.acquire(held, 2*other.duration); err == nil || !strings.Contains(err.Error(), "another container") {
			t.Errorf("a second process: %v", err)
		}
		isAway.Store(true)
		<-held.Done()
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "could not be renewed") {
		t.Errorf("without the storage: %v", err)
	}
}

func TestParse_Environment(t *testing.T) {
	valid := map[string]string{"TALLYCAST_STORE": "sqlite:/data/tallycast.db", "LITESTREAM_REPLICA_URL": "s3://counts/blog"}
	command := []string{"tallycast", "serve"}
	for _, c := range []struct {
		args       []string
		name, text string // of a variable
		want       string
	}{
		{args: command},
		{args: []string{"-sync", "2s", "tallycast", "serve", "--drain", "1s"}},
		{args: nil, want: "the command is missing"},
		{args: []string{"tallycast", "topics"}, want: "the command is missing"},
		{args: []string{"-lease", "1ms", "tallycast", "serve"}, want: "-lease"},
		{args: command, name: "TALLYCAST_STORE", text: "redis://redis:6379/0", want: "set it to sqlite:/data/tallycast.db"},
		{args: command, name: "LITESTREAM_REPLICA_URL", want: "LITESTREAM_REPLICA_URL is missing"},
	} {
		_, err := parse(c.args, func(name string) string {
			if name == c.name {
				return c.text
			}
			return valid[name]
		})
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, %s=%s: %v", c.args, c.name, c.text, err)
		}
	}
	if _, err := newLease(t.Context(), "gs://counts/blog", "lease", time.Minute); err == nil || !strings.Contains(err.Error(), "begins with s3://") {
		t.Errorf("another kind of storage: %v", err)
	}
}
