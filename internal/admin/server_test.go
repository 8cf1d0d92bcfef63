package admin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/goleak"

	"github.com/tallycast/tallycast/internal/admin"
	"github.com/tallycast/tallycast/internal/owner"
	"github.com/tallycast/tallycast/internal/sqlitestore"
	"github.com/tallycast/tallycast/internal/tally"
	"github.com/tallycast/tallycast/internal/testkit/processtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	token = "admin-token-of-this-test"
	// serverTimeout is the read and write timeout of the servers.
	serverTimeout = 300 * time.Millisecond
	// testTimeout bounds every wait of these tests.
	testTimeout = 20 * time.Second
)

// hookedStore is a real store with hooks.
type hookedStore struct {
	*sqlitestore.Store
	list func(context.Context)                      // before a List
	edit func(context.Context)                      // before an Edit
	read func(context.Context)                      // before a Journal
	dump func(each func(tally.Portion) error) error // instead of Dump
}

func (s *hookedStore) Dump(ctx context.Context, scope tally.Scope, each func(tally.Portion) error) error {
	if s.dump != nil {
		return s.dump(each)
	}
	return s.Store.Dump(ctx, scope, each)
}

func (s *hookedStore) List(ctx context.Context, l tally.Listing) (tally.Page, error) {
	if s.list != nil {
		s.list(ctx)
	}
	return s.Store.List(ctx, l)
}

func (s *hookedStore) Journal(ctx context.Context, scope tally.Scope, from, to int64, each func([]tally.JournalEntry) error) error {
	if s.read != nil {
		s.read(ctx)
	}
	return s.Store.Journal(ctx, scope, from, to, each)
}

func (s *hookedStore) SearchJournal(ctx context.Context, scope tally.Scope, from, to int64, each func([]tally.JournalEntry) error) error {
	if s.read != nil {
		s.read(ctx)
	}
	return s.Store.SearchJournal(ctx, scope, from, to, each)
}

func (s *hookedStore) Edit(ctx context.Context, edits []tally.Edit) {
	if s.edit != nil {
		s.edit(ctx)
	}
	s.Store.Edit(ctx, edits)
}

// serve serves /admin with the timeouts of a public listener.
func serve(t *testing.T, prepare func(*hookedStore)) *httptest.Server {
	t.Helper()
	catalog := tally.NewCatalog([]string{"blog"}, tally.DefaultMetrics())
	real, err := sqlitestore.Open(t.Context(), filepath.Join(t.TempDir(), "tally.db"), catalog, sqlitestore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	store := &hookedStore{Store: real}
	if prepare != nil {
		prepare(store)
	}
	a := admin.New(admin.Options{Owner: owner.New(store, tally.NewService(store, catalog), owner.Options{}), Token: token, Logger: slog.New(slog.DiscardHandler)})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		local := netip.MustParseAddr("127.0.0.1")
		a.ServeAdmin(w, r, admin.Caller{Address: local, Client: local, RequestID: "id"})
	}))
	server.Config.ReadTimeout, server.Config.WriteTimeout = serverTimeout, serverTimeout
	server.Start()
	t.Cleanup(func() {
		server.Close()
		if err := real.Close(); err != nil {
			t.Error(err)
		}
	})
	return server
}

func call(ctx context.Context, t *testing.T, server *httptest.Server, method, path, body string) (int, string, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, method, server.URL+"/admin/v1/"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	response, err := server.Client().Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

// A response may take longer than the server's timeouts.
func TestServer_SlowResponse(t *testing.T) {
	pause := func(ctx context.Context) {
		select {
		case <-ctx.Done():
			t.Errorf("request ended: %v", context.Cause(ctx))
		case <-time.After(2 * serverTimeout): // exceeds both timeouts
		}
	}
	server := serve(t, func(s *hookedStore) { s.list, s.edit = pause, pause })
	if status, text, err := call(t.Context(), t, server, "GET", "topics", ""); status != 200 {
		t.Errorf("%d %s %v", status, text, err)
	}
	if status, text, err := call(t.Context(), t, server, "PATCH", "topics/blog/likes/a", `{"count":1}`); status != 200 {
		t.Errorf("%d %s %v", status, text, err)
	}
}

func TestServer_SlowBody(t *testing.T) {
	server := serve(t, nil)
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /admin/v1/reset HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", token)
	_ = conn.SetReadDeadline(time.Now().Add(testTimeout))
	if text, err := io.ReadAll(conn); err != nil {
		t.Errorf("the connection is open: %v, %s", err, text)
	}
}

// A change that has begun is carried out even if its client disconnects.
func TestServer_ClientDisconnects(t *testing.T) {
	begun, gone := make(chan struct{}), make(chan struct{})
	server := serve(t, func(s *hookedStore) {
		s.edit = func(ctx context.Context) {
			close(begun)
			<-gone
			if ctx.Err() != nil {
				t.Error(ctx.Err())
			}
			s.edit = nil
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	answered := make(chan error, 1)
	go func() { // ends with ctx
		_, _, err := call(ctx, t, server, "PATCH", "topics/blog/likes/a", `{"count":7}`)
		answered <- err
	}()
	<-begun
	cancel()
	if err := <-answered; err == nil {
		t.Error("the call was answered")
	}
	close(gone)
	for path, want := range map[string]string{"topics/blog/likes/a": `"count":7`, "audit": `"action":"set"`} {
		deadline := time.Now().Add(testTimeout)
		for {
			_, text, err := call(t.Context(), t, server, "GET", path, "")
			if strings.Contains(text, want) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %s %v", path, text, err)
			}
			time.Sleep(time.Millisecond) // between two calls
		}
	}
}

func TestToken_ConcurrentWrongTokens(t *testing.T) {
	server := serve(t, nil)
	var wrong, limited atomic.Int64
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			request, _ := http.NewRequest("GET", server.URL+"/admin/v1/topics", nil)
			request.Header.Set("Authorization", "Bearer wrong")
			response, err := server.Client().Do(request)
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, response.Body)
			response.Body.Close()
			switch response.StatusCode {
			case 401:
				wrong.Add(1)
			case 429:
				limited.Add(1)
			}
		})
	}
	group.Wait()
	if wrong.Load() != 10 || limited.Load() != 40 {
		t.Errorf("%d wrong and %d limited, want 10 and 40", wrong.Load(), limited.Load())
	}
}

// A preview refuses the seeds that the store would refuse.
func TestSeed_InvalidInPreview(t *testing.T) {
	server := serve(t, nil)
	for _, preview := range []string{"true", "false"} {
		body := `{"seeds":[{"topic":"blog/likes/a","seed":2251799813685249},{"topic":"blog/likes/b","seed":2251799813685248}],"preview":` + preview + `}`
		status, text, err := call(t.Context(), t, server, "POST", "seeds", body)
		if err != nil || status != http.StatusOK || strings.Count(text, "bad_amount") != 1 || strings.Count(text, `"changed":true`) != 1 {
			t.Errorf("preview %s: %d %s, error %v", preview, status, text, err)
		}
	}
}

// The error of a body names the fields as the body does.
func TestServer_FieldOfWrongType(t *testing.T) {
	server := serve(t, nil)
	for body, want := range map[string]string{
		`{"site":5}`:     ": site is number and must be a string",
		`{"topics":[5]}`: ": topics is number and must be a string",
	} {
		status, text, err := call(t.Context(), t, server, "POST", "undo", body)
		if err != nil || status != http.StatusBadRequest || !strings.Contains(text, want) {
			t.Errorf("%s: %d %s, error %v; want %q", body, status, text, err, want)
		}
	}
}

// The refusals of a file that is not an export are bounded.
func TestImport_ManyRefusals(t *testing.T) {
	server := serve(t, nil)
	_, export, err := call(t.Context(), t, server, "GET", "export", "")
	if err != nil {
		t.Fatal(err)
	}
	header, _, _ := strings.Cut(export, "\n")
	const lines = 20_000
	request, err := http.NewRequestWithContext(t.Context(), "POST", server.URL+"/admin/v1/import", strings.NewReader(header+strings.Repeat("\nx", lines)+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/jsonl")
	response, err := server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var report struct {
		Refused  int               `json:"refused"`
		Refusals []json.RawMessage `json:"refusals"`
	}
	if err := json.NewDecoder(response.Body).Decode(&report); err != nil || report.Refused != lines || len(report.Refusals) != 10_000 {
		t.Errorf("%d of %d refusals in the response, error %v", len(report.Refusals), report.Refused, err)
	}
}

// Every path of a page that does not exist is not found, never an internal error.
func TestPages_Paths(t *testing.T) {
	pages := fstest.MapFS{"index.html": {Data: []byte("<p>hello")}, "part.d/a.js": {Data: []byte("1")}}
	a := admin.New(admin.Options{Token: token, Pages: pages, Logger: slog.New(slog.DiscardHandler)})
	for path, want := range map[string]int{
		"/admin": 308, "/admin/": 200, "/admin/index.html": 200, "/admin/part.d/a.js": 200,
		"/admin/.": 404, "/admin/..": 404, "/admin/part.d": 404, "/admin/part.d/": 404, "/admin//index.html": 404, "/admin/../index.html": 404, "/admin/none.js": 404,
	} {
		request := httptest.NewRequest("GET", "/", nil)
		request.URL.Path = path
		answer := httptest.NewRecorder()
		a.ServeAdmin(answer, request, admin.Caller{})
		if answer.Code != want {
			t.Errorf("%s: %d, want %d", path, answer.Code, want)
		}
	}
}

// Previews, and long changes that can be repeated, end when their client disconnects.
func TestServer_LongCallOfClientThatLeft(t *testing.T) {
	for name, body := range map[string]string{
		"undo":          `{"site":"blog","from":"2026-01-01T00:00:00Z"}`,
		"undo preview":  `{"site":"blog","from":"2026-01-01T00:00:00Z","preview":true}`,
		"prune":         `{"site":"blog","untouched_since":"2026-01-01T00:00:00Z"}`,
		"prune preview": `{"site":"blog","untouched_since":"2026-01-01T00:00:00Z","preview":true}`,
		"forget":        `{"site":"blog","visitor":"visitor-1"}`,
	} {
		began, ended := make(chan struct{}), make(chan error, 1)
		wait := func(ctx context.Context) {
			close(began)
			select {
			case <-ctx.Done():
				ended <- nil
			case <-time.After(testTimeout):
				ended <- fmt.Errorf("the call goes on after its client left")
			}
		}
		server := serve(t, func(s *hookedStore) { s.read, s.list = wait, wait })
		ctx, leave := context.WithCancel(t.Context())
		go func() {
			<-began
			leave()
		}()
		path, _, isPreview := strings.Cut(name, " ")
		if _, text, err := call(ctx, t, server, "POST", path, body); err == nil {
			t.Errorf("%s: answered %s", name, text)
		}
		if err := <-ended; err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if isPreview {
			continue
		}
		processtest.Within(t, testTimeout, "the audit log says that the change is not finished", func() bool {
			_, text, err := call(t.Context(), t, server, "GET", "audit", "")
			return err == nil && strings.Contains(text, "until the client disconnected")
		})
	}
}
